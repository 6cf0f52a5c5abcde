"""The wheel: one top-level package, every kernel under it, the typing marker, and it works from there."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of the sources, without network."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("fastloss", "kernels", "tests", "bench", "examples", "docs"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place / "dist"), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = (place / "dist").glob("*.whl")
    return path


def test_content(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packages = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in packages} == {"fastloss"}
    modules = {f"fastloss/{path.name}" for path in (ROOT / "fastloss").glob("*.py")}
    kernels = {f"fastloss/kernels/{path.name}" for path in (ROOT / "kernels").glob("*.py")}
    assert len(kernels) > 5
    assert modules | kernels | {"fastloss/py.typed"} <= packages
    assert {name for name in packages if name.endswith(".py")} == modules | kernels
    assert not [name for name in packages if "__pycache__" in name or name.endswith((".pyc", ".so", ".nbi", ".nbc"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        assert "Root-Is-Purelib: true" in archive.read(name).decode()
    head = metadata.split("\n\n")[0]
    for line in ("Name: fastloss", "License-Expression: Apache-2.0", "Requires-Python: >=3.10"):
        assert line in head
    required = [line for line in head.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert sorted(line.split()[1].split(">")[0] for line in required) == ["numba", "numpy", "threadpoolctl"]
    extras = {line.split()[1] for line in head.splitlines() if line.startswith("Provides-Extra")}
    assert {"torch", "cuda12", "cuda13", "bench", "examples", "docs", "test"} <= extras


def test_the_installed_package_works_alone(wheel, tmp_path):
    """Unpacked elsewhere, with no file of the repository in reach."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
import numpy as np, fastloss as fl, fastloss.kernels
assert fl.__file__.startswith({str(tmp_path)!r}), fl.__file__
assert fastloss.kernels.__file__.startswith({str(tmp_path)!r}), fastloss.kernels.__file__
assert fl.mse_loss(np.ones(2), np.zeros(2)) == 1
print("done")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert result.stdout == "done\n", result.stderr


def test_the_version_is_said_once_to_all():
    import fastloss

    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{fastloss.__version__}"' in text
