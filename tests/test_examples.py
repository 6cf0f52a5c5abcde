"""The examples run as a user runs them, with and without PyTorch."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.image
import pytest
import scripts


@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
def test_train_digits(tmp_path: Path, torch: bool) -> None:
    output = tmp_path / "new" / "folder"
    shown = scripts.run("train_digits", output, "--quick", "--seed", "1", torch=torch)

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
    picture = matplotlib.image.imread(output / "train_digits.png")
    height, width, _ = picture.shape
    assert width >= 1000
    assert height >= 500
    assert picture[..., :3].std() > 0.05  # not blank
