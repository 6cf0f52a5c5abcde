"""The disk cache of compiled kernels: found again by the next process, private, salted, and never a reason to fail."""

import hashlib
import importlib
import inspect
import os
import pathlib
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest

from fastloss.kernels import build_cpu, cache_cpu

CALL = """
import numpy as np, fastloss as fl
from fastloss.kernels import cache_cpu
value = fl.mse_loss(np.full(3, 3.0, np.float32), np.ones(3, np.float32))
assert value == 4, value
print(cache_cpu.cache_directory())
"""


def run(code=CALL, **environment):
    """A fresh process; what it printed."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def contents(directory):
    return {
        path.relative_to(directory): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in pathlib.Path(directory).rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that one process filled."""
    directory = tmp_path_factory.mktemp("cache")
    run(FASTLOSS_CACHE_DIR=directory)
    return directory


def test_the_second_process_compiles_nothing(filled):
    before = contents(filled)
    assert len(before) == 4  # two kernels; of the launcher code and an index
    # With compilation forbidden, so that a cache that is written but not read does not pass.
    forbidden = "from numba.core import codegen, compiler\n"
    forbidden += "def refuse(*args, **kwargs): raise AssertionError('compiled')\n"
    forbidden += "compiler.compile_extra = refuse\n"
    run(forbidden + CALL, FASTLOSS_CACHE_DIR=filled)
    assert contents(filled) == before


@pytest.mark.parametrize("cached", (True, False))
def test_a_call_does_not_load_what_numba_knows_of_arrays(filled, tmp_path, cached):
    """And of SciPy where it is installed: more than half of a cached first call, an eighth of one that compiles."""
    done = "\nimport sys; assert not {'numba.np.arraymath', 'scipy.linalg'} & set(sys.modules)"
    run(CALL + done, FASTLOSS_CACHE_DIR=filled if cached else tmp_path)


def test_compilation_can_be_forbidden(tmp_path):
    """The refusal above works: without a cache the same process fails."""
    forbidden = "from numba.core import compiler\ndef refuse(*args, **kwargs): raise RuntimeError('compiled')\n"
    forbidden += "compiler.compile_extra = refuse\n"
    result = subprocess.run(
        [sys.executable, "-c", forbidden + CALL],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "FASTLOSS_CACHE_DIR": str(tmp_path)},
    )
    assert result.returncode != 0
    assert "RuntimeError: compiled" in result.stderr


def test_no_cache_writes_nothing(tmp_path):
    assert run(FASTLOSS_CACHE="0", FASTLOSS_CACHE_DIR=tmp_path) == "None"
    assert not contents(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ("empty", "garbage", "cut"))
def test_a_broken_cache_is_compiled_anew(filled, tmp_path, damage):
    directory = tmp_path / "cache"
    shutil.copytree(filled, directory)
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            path.write_bytes({"empty": b"", "garbage": b"\x80garbage" * 50, "cut": data[: len(data) // 2]}[damage])
    run(FASTLOSS_CACHE_DIR=directory)


def test_machine_code_with_one_wrong_byte_is_not_run(filled, tmp_path):
    directory = tmp_path / "cache"
    shutil.copytree(filled, directory)
    kernels = [path for path in directory.rglob("*") if path.is_file() and path.suffix not in (".nbi", ".nbc")]
    assert len(kernels) == 2
    for path in kernels:
        data = path.read_bytes()
        path.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
    run(FASTLOSS_CACHE_DIR=directory)
    for path in kernels:  # written anew
        assert hashlib.sha256(path.read_bytes()[32:]).digest() == path.read_bytes()[:32]
    forbidden = "from numba.core import compiler\ndef refuse(*args, **kwargs): raise RuntimeError('compiled')\n"
    run(forbidden + "compiler.compile_extra = refuse\n" + CALL, FASTLOSS_CACHE_DIR=directory)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", str(tmp_path))
    cache_cpu.cache_directory.cache_clear()
    try:
        file = cache_cpu.File("module", "name", {"build_cpu"})
        assert file.read() is None
        file.write("symbol", b"code")
        assert file.read() == ("symbol", b"code")
        before = contents(tmp_path)

        def full(*paths):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        file.write("symbol", b"other")
        assert contents(tmp_path) == before and file.read() == ("symbol", b"code")
    finally:
        monkeypatch.undo()
        cache_cpu.cache_directory.cache_clear()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights of other users are POSIX's")
@pytest.mark.parametrize("mode", (0o770, 0o707, 0o777))
def test_a_directory_that_others_can_write_is_not_used(tmp_path, mode):
    name = pathlib.Path(run(FASTLOSS_CACHE_DIR=tmp_path / "first")).name
    open_directory = tmp_path / "second" / name
    open_directory.mkdir(parents=True)
    open_directory.chmod(mode)
    assert run(FASTLOSS_CACHE_DIR=tmp_path / "second") == "None"
    assert not contents(tmp_path / "second")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights of other users are POSIX's")
def test_the_directory_is_private(filled):
    (directory,) = filled.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) & 0o077 == 0


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root writes everywhere")
def test_a_read_only_place_means_no_cache(tmp_path):
    tmp_path.chmod(0o500)
    assert run(FASTLOSS_CACHE_DIR=tmp_path) == "None"


def test_a_file_in_the_way_means_no_cache(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(FASTLOSS_CACHE_DIR=tmp_path / "file") == "None"


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of the kernels' sources that digests are made of, and a function that gives the digest of a module."""
    copies = tmp_path / "kernels"
    copies.mkdir()
    for path in pathlib.Path(build_cpu.__file__).parent.glob("*.py"):
        shutil.copy(path, copies)
    monkeypatch.setattr(cache_cpu, "__file__", str(copies / "cache_cpu.py"))

    def digest(stem):
        cache_cpu._source.cache_clear()
        return cache_cpu.source_digest({stem})

    yield copies, digest
    cache_cpu._source.cache_clear()


def imported(stem):
    """What a module of the kernels has imported from others, by the objects themselves rather than by its text."""
    module = importlib.import_module(f"fastloss.kernels.{stem}")
    found = set()
    for value in vars(module).values():
        owner = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
        owner = value.function.__module__ if isinstance(value, build_cpu.Template) else owner
        package, _, name = str(owner).rpartition(".")
        if package == "fastloss.kernels" and name != stem:
            found.add(name)
    return found


STEMS = [path.stem for path in pathlib.Path(build_cpu.__file__).parent.glob("*.py") if path.stem != "__init__"]


@pytest.mark.parametrize("stem", STEMS)
def test_a_digest_changes_with_every_source_that_counts(sources, stem):
    copies, digest = sources
    counts, new = {"build_cpu"}, {stem}
    while new:
        counts |= new
        new = set().union(*map(imported, counts)) - counts
    seen = {digest(stem)}
    assert seen == {digest(stem)}
    for other in sorted(counts):
        path = copies / f"{other}.py"
        path.write_text(path.read_text() + "\n# changed\n")
        seen.add(digest(stem))
    assert len(seen) == 1 + len(counts)


def test_a_digest_does_not_change_with_other_families(sources):
    copies, digest = sources
    before = digest("boxes_cpu")
    path = copies / "regression.py"
    path.write_text(path.read_text() + "\n# changed\n")
    assert digest("boxes_cpu") == before != digest("regression")


def test_a_directory_is_where_a_shell_would_have_it(tmp_path, monkeypatch):
    found = cache_cpu.cache_directory.__wrapped__
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", "~/kernels")
    assert found().parent == tmp_path / "home" / "kernels"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", "relative")
    assert found().parent == tmp_path / "relative", "wherever the program goes later"
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert found().parent == tmp_path / "xdg" / "fastloss"


def test_another_version_has_another_directory(monkeypatch):
    digest = cache_cpu.versions_digest.__wrapped__
    first = digest()
    monkeypatch.setattr(cache_cpu.numba, "__version__", "0.0.0")
    assert digest() != first


def test_two_processes_may_fill_one_cache_at_once(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CALL],
            env={**os.environ, "FASTLOSS_CACHE_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    run(FASTLOSS_CACHE_DIR=tmp_path)


def test_results_do_not_depend_on_the_cache(filled):
    code = "import numpy as np, fastloss as fl\n"
    code += "x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)\n"
    code += "print(fl.mse_loss(x, x[::-1]).tobytes().hex())"
    first = run(code, FASTLOSS_CACHE_DIR=filled)
    assert first == run(code, FASTLOSS_CACHE_DIR=filled) == run(code, FASTLOSS_CACHE="0")
    assert np.frombuffer(bytes.fromhex(first), np.float32)[0] > 0


def test_formulas_of_one_name_in_two_families_are_two_kernels(tmp_path):
    """l1 of regression and l1 of penalties once shared a file in the cache, and each gave the other's result."""
    code = (
        "import numpy as np, fastloss as fl; x = np.array([1.0, -3.0]); y = np.array([0.5, 0.5]);"
        "print(float(fl.{0}), float(fl.{1}))"
    )
    calls = ("l1_penalty(x)", "l1_loss(x, y)")
    for order in (calls, calls[::-1], calls):
        text = run(code.format(*order), FASTLOSS_CACHE_DIR=str(tmp_path))
        assert dict(zip(order, map(float, text.split()), strict=True)) == {"l1_penalty(x)": 4.0, "l1_loss(x, y)": 2.0}
