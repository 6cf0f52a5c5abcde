"""The examples run as a user runs them, with and without PyTorch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest

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


def run_digits(output: Path, *python: str) -> str:
    # 80 columns and no terminal, as in a log file.
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", *python]
    script = [str(EXAMPLES / "train_digits.py"), "--quick", "--seed", "1", "--output", str(output)]
    result = subprocess.run(
        [*command, *script], capture_output=True, text=True, encoding="utf-8", env=environment, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
def test_train_digits(tmp_path: Path, torch: bool) -> None:
    output = tmp_path / "new" / "folder"
    shown = run_digits(output, *([] if torch else ["-c", WITHOUT_TORCH]))

    names = ["NumPy by hand", "NumPy fastloss"]
    if torch:
        names += ["PyTorch F.cross_entropy", "PyTorch fastloss"]
    accuracy = dict(re.findall(r"^ *(\w.*?) +(\d+\.\d)% ", shown, re.MULTILINE))
    assert list(accuracy) == names
    assert min(map(float, accuracy.values())) >= 96.0, accuracy

    # Two curves of each library in each of the two parts. They would be equal but for the last bits of each loss.
    differences = re.findall(
        r"^(\w+): largest relative difference of the two .* (\d\.\de[+-]\d\d)$", shown, re.MULTILINE
    )
    assert [library for library, _ in differences] == (["NumPy", "PyTorch"] if torch else ["NumPy"]) * 2
    assert max(float(gap) for _, gap in differences) < 1e-4, differences

    assert ("PyTorch is not installed" in shown) is not torch
    assert "\x1b" not in shown
    picture = matplotlib.image.imread(output / "train_digits.png")
    height, width, _ = picture.shape
    assert width >= 1000
    assert height >= 500
    assert picture[..., :3].std() > 0.05  # not blank
