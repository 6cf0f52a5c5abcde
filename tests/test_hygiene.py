"""The repository's own rules: checks that can fail, no print and no assert in the library, doctests, ruff and mypy."""

import ast
import doctest
import importlib
import pathlib
import pkgutil
import re
import shutil
import subprocess
import sys

import pytest

import fastloss

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = sorted((ROOT / "tests").glob("*.py"))
TEST_FILES = [path for path in TESTS if path.name.startswith("test_")]
LIBRARY = sorted((ROOT / "fastloss").glob("*.py"))
KERNELS = sorted((ROOT / "kernels").glob("*.py"))
COMPARERS = {"allclose", "isclose", "array_equal", "array_equiv", "equal", "is_close", "same_bits"}


def name_of(paths):
    return {"argvalues": paths, "ids": [path.name for path in paths]}


def idle_checks(source):
    """Lines of statements that compare without consequence."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Expr):
            continue
        value = node.value
        if isinstance(value, (ast.Compare, ast.BoolOp)) or (
            isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
        ):
            lines.append(node.lineno)
        elif isinstance(value, ast.Call):
            function = value.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if called in COMPARERS:
                lines.append(node.lineno)
    return lines


def checks(node, helpers):
    """Whether anything under ``node`` can fail the test: assert, raises, warns, an assert_ function, or a helper."""
    for child in ast.walk(node):
        if isinstance(child, (ast.Assert, ast.Raise)):
            return True
        if isinstance(child, ast.Call):
            function = child.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if called.startswith("assert_") or called in ("raises", "warns", "fail", "gradcheck") or called in helpers:
                return True
    return False


def checking_functions(tree):
    """Functions of a module that check, directly, through each other, or as other names of those of a helper module."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and any(map(is_checking_helper, ast.walk(node.value)))
    }
    while True:
        more = {name for name, node in functions.items() if name not in found and checks(node, found)}
        if not more:
            return functions, found
        found |= more


def is_checking_helper(node):
    """Whether it is ``module.function``, of a helper module here, that checks."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    path = ROOT / "tests" / f"{node.value.id}.py"
    return path in TESTS and node.attr in checking_functions(ast.parse(path.read_text()))[1]


def tautologies(source):
    """Lines of ``assert`` with a constant or a tuple, which always holds."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assert) and isinstance(node.test, (ast.Constant, ast.Tuple, ast.List, ast.JoinedStr))
    ]


@pytest.mark.parametrize("path", **name_of(TESTS))
def test_no_check_without_consequence(path):
    source = path.read_text()
    assert idle_checks(source) == []
    assert tautologies(source) == []


@pytest.mark.parametrize("path", **name_of(TEST_FILES))
def test_every_test_can_fail(path):
    functions, checking = checking_functions(ast.parse(path.read_text()))
    assert [name for name in functions if name.startswith("test_") and name not in checking] == []


@pytest.mark.parametrize("path", **name_of(TEST_FILES))
def test_no_test_is_defined_twice(path):
    names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", **name_of(TESTS))
def test_every_test_file_says_its_property(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text
    assert len(text.splitlines()[0]) > 20


@pytest.mark.parametrize(
    ("source", "found"),
    (
        ("a == b", [1]),
        ("np.allclose(a, b)", [1]),
        ("assert np.allclose(a, b)", []),
        ("torch.equal(a, b)", [1]),
        ("not a", [1]),
        ("x = a == b", []),
        ("def f():\n    np.isclose(a, b).all()", []),
        ("a < b < c", [1]),
    ),
)
def test_the_scan_finds_idle_checks(source, found):
    assert idle_checks(source) == found


def test_the_scan_finds_tests_that_cannot_fail():
    functions, checking = checking_functions(
        ast.parse("def test_a():\n f()\ndef helper():\n assert x\ndef test_b():\n helper()\ndef test_c():\n print(1)")
    )
    assert set(functions) - checking == {"test_a", "test_c"}
    assert tautologies("assert (a, 'message')\nassert True\nassert a") == [1, 2]


def code_of(path):
    """The source without comments and docstrings, line by line."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            node.body[0].value.value = ""
    return ast.unparse(tree)


@pytest.mark.parametrize("path", **name_of([*LIBRARY, *KERNELS, *TESTS]))
def test_kernels_are_imported_by_their_installed_name(path):
    assert not re.search(r"^\s*(import kernels|from kernels)\b", code_of(path), re.M)


@pytest.mark.parametrize("path", **name_of([*LIBRARY, *KERNELS]))
def test_no_print(path):
    if path.name == "__main__.py":
        pytest.skip("a command prints")
    assert not re.search(r"\bprint\(", code_of(path))


def test_fastmath_flags_are_named_in_one_place():
    """Other files use the name FASTMATH, or a set with a stated reason; nowhere a bare True."""
    for path in [*LIBRARY, *KERNELS]:
        code = code_of(path)
        assert not re.search(r"fastmath\s*=\s*True", code), path.name
        assert "nnan" not in code, path.name
        assert "ninf" not in code, path.name
        if path.name not in ("build_cpu.py", "memory_cpu.py"):  # the set, and ``accumulate``
            assert not re.search(r"fastmath\s*=\s*[{\[(\"']|['\"]reassoc['\"]", code), path.name


def test_the_library_raises_exceptions_and_does_not_assert():
    """But for the type checker: ``assert x is not None``."""
    for path in [*LIBRARY, *KERNELS]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assert):
                narrowing = (
                    isinstance(node.test, ast.Compare)
                    and isinstance(node.test.ops[0], ast.IsNot)
                    and isinstance(node.test.comparators[0], ast.Constant)
                )
                assert narrowing, f"{path.name}:{node.lineno}"


def test_kernels_do_not_import_the_api():
    for path in KERNELS:
        for module in re.findall(r"^\s*(?:from|import) (fastloss[\w.]*)", code_of(path), re.M):
            assert module.startswith("fastloss.kernels"), f"{path.name} imports {module}"


def test_the_api_holds_no_jitted_code():
    for path in LIBRARY:
        assert not re.search(r"\bnjit\b|\bnumba\.jit\b|@jit\b", code_of(path)), path.name


MODULES = [
    module.name for module in pkgutil.iter_modules(fastloss.__path__, "fastloss.") if "__main__" not in module.name
]


@pytest.mark.parametrize("name", ["fastloss", *MODULES])
def test_doctests(name):
    """Each public loss has one, and all are right."""
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


@pytest.mark.parametrize(
    "name", [name for name in fastloss.__all__ if hasattr(getattr(fastloss, name), "value_and_grad")]
)
def test_documentation_of_a_loss(name):
    """Formula, every argument of the signature, what is returned and raised, an example, the source."""
    import inspect

    loss = getattr(fastloss, name)
    text = loss.__doc__
    for part in (".. math::", "Args:", "Returns:", "Raises:", ">>> ", "Source:"):
        assert part in text
    for argument in inspect.signature(loss).parameters:
        assert re.search(rf"^    +{argument}: ", text, re.M), f"{argument} is not documented"
    for entry in (loss.value_and_grad, loss.grad):
        for argument in ("wrt", "out", "grad_output"):
            assert f"``{argument}``" in entry.__doc__
            assert argument in inspect.signature(entry).parameters


def ruff():
    beside = pathlib.Path(sys.executable).with_name("ruff")
    return str(beside) if beside.exists() else shutil.which("ruff")


@pytest.mark.parametrize("arguments", (("check",), ("format", "--check")), ids=" ".join)
def test_ruff(arguments):
    program = ruff()
    if program is None:
        pytest.skip("ruff is not installed")
    result = subprocess.run([program, *arguments, "--no-cache", str(ROOT)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy(tmp_path):
    pytest.importorskip("mypy")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--cache-dir",
        str(tmp_path),
        "--config-file",
        str(ROOT / "pyproject.toml"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
