"""What examples/learn_an_embedding.py claims is so, with and without PyTorch."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import matplotlib.image
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

SCRIPT = Path(__file__).parent.parent / "examples" / "learn_an_embedding.py"

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


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[SCRIPT.stem] = module  # where its dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


def test_recall_is_scikit_learns(example: ModuleType) -> None:
    digits = example.load(seed=0, steps=1)
    nearest = NearestNeighbors(n_neighbors=2).fit(digits.test_x).kneighbors(return_distance=False)[:, 0]
    assert example.recall(digits.test_x, digits.test_y) == np.mean(digits.test_y[nearest] == digits.test_y)


@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
def test_script(tmp_path: Path, torch: bool) -> None:
    output = tmp_path / "new" / "folder"
    # 80 columns and no terminal, as in a log file.
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", *([] if torch else ["-c", WITHOUT_TORCH]), str(SCRIPT), "--quick"]
    result = subprocess.run(
        [*command, "--seed", "1", "--output", str(output)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    shown = result.stdout
    rows = re.findall(r"^ *(\w[\w ]*?) +(\d+) +(\d+\.\d)%(?: +(\d+\.\d+) +(\d+\.\d+))?", shown, re.MULTILINE)
    by_name = {name: (int(numbers), float(recall), first, last) for name, numbers, recall, first, last in rows}
    assert list(by_name) == ["pixels", "principal components", "NumPy", *(["PyTorch"] if torch else [])]
    assert by_name["pixels"][0] == 64
    for name in list(by_name)[2:]:
        numbers, recall, first, last = by_name[name]
        assert numbers == 8
        assert recall >= 97.0
        assert recall > by_name["principal components"][1] + 2.0
        assert float(last) < float(first)
    assert ("PyTorch is not installed" in shown) is not torch
    assert "\x1b" not in shown
    assert "…" not in shown  # the table fits
    picture = matplotlib.image.imread(output / "learn_an_embedding.png")
    assert picture.shape[0] >= 600
    assert picture.shape[1] >= 1000
    assert picture[..., :3].std() > 0.05  # not blank
