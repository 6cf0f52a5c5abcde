"""The examples as a user runs them, in a process of their own, and as modules, to look at their functions."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parent.parent / "examples"

# An import of torch fails as if it were not installed; then the script runs as the main program.
WITHOUT_TORCH = """
import runpy, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert "torch" not in sys.modules
"""


def load(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


def run(name: str, output: Path, *options: str, torch: bool = True, timeout: int = 600) -> str:
    """What an example prints, as in a log file of 80 columns; warnings are errors, and nothing may be on stderr."""
    python = [sys.executable, "-W", "error", *([] if torch else ["-c", WITHOUT_TORCH])]
    result = subprocess.run(
        [*python, str(EXAMPLES / f"{name}.py"), "--output", str(output), *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    return result.stdout
