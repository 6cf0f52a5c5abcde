"""What examples/learn_an_embedding.py claims is so, with and without PyTorch."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import matplotlib.image
import numpy as np
import pytest
import scripts
from sklearn.neighbors import NearestNeighbors


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return scripts.load("learn_an_embedding")


def test_recall_is_scikit_learns(example: ModuleType) -> None:
    digits = example.load(seed=0, steps=1)
    nearest = NearestNeighbors(n_neighbors=2).fit(digits.test_x).kneighbors(return_distance=False)[:, 0]
    assert example.recall(digits.test_x, digits.test_y) == np.mean(digits.test_y[nearest] == digits.test_y)


@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
def test_script(tmp_path: Path, torch: bool) -> None:
    output = tmp_path / "new" / "folder"
    shown = scripts.run("learn_an_embedding", output, "--quick", "--seed", "1", torch=torch)
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
    assert "…" not in shown  # the table fits
    picture = matplotlib.image.imread(output / "learn_an_embedding.png")
    assert picture.shape[0] >= 600
    assert picture.shape[1] >= 1000
    assert picture[..., :3].std() > 0.05  # not blank
