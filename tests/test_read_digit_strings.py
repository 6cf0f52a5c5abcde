"""What examples/read_digit_strings.py shows is so, with and without PyTorch: it reads strings of held-out digits."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import matplotlib.image
import numpy as np
import pytest
import scripts


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return scripts.load("read_digit_strings")


def shares(shown: str) -> dict[str, tuple[float, float]]:
    """Of each run: strings read by the best path and by beam search, in percent."""
    rows = re.findall(r"^ *(\w.*?) +(\d+\.\d)% +(\d+\.\d)% ", shown, re.MULTILINE)
    return {name: (float(by_path), float(by_beam)) for name, by_path, by_beam in rows}


@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
def test_the_script_reads(tmp_path: Path, torch: bool) -> None:
    """A quarter of the training reads three quarters of the strings: a digit takes 0.93 right for that."""
    shown = scripts.run("read_digit_strings", tmp_path / "new" / "folder", "--quick", "--seed", "1", torch=torch)
    names = ["NumPy fastloss", *(["PyTorch F.ctc_loss", "PyTorch fastloss"] if torch else [])]
    found = shares(shown)
    assert list(found) == names
    assert min(map(min, found.values())) >= 75.0, found
    assert ("PyTorch is not installed" in shown) is not torch

    # The runs differ in the last bits of losses and gradients only.
    gaps = re.findall(r"^largest relative difference of the loss curves at any step: (\d\.\de[+-]\d\d)$", shown, re.M)
    assert len(gaps) == torch
    assert all(float(gap) < 1e-3 for gap in gaps), gaps

    path = tmp_path / "new" / "folder" / "read_digit_strings.png"
    picture = matplotlib.image.imread(path)
    height, width, _ = picture.shape
    assert width >= 1000
    assert height >= 500
    assert picture[..., :3].std() > 0.05  # not blank
    assert path.stat().st_size < 150_000


@pytest.mark.slow
def test_the_whole_training_reads_85_percent(tmp_path: Path) -> None:
    ((by_path, by_beam),) = shares(scripts.run("read_digit_strings", tmp_path, "--seed", "1", torch=False)).values()
    assert min(by_path, by_beam) >= 85.0


def test_strings_are_digits_side_by_side(example: ModuleType) -> None:
    train, test = example.load(0)
    assert len(train.images) + len(test.images) == 1797
    assert all(image.any(axis=1)[[0, -1]].all() and image.shape[1] == 8 for image in train.images)
    strings = example.draw_strings(np.random.default_rng(0), test, 50)
    assert strings.columns.shape == (50, strings.lengths.max(), 8)
    assert set(strings.counts) == set(range(2, 7))
    for columns, length, target, count in zip(
        strings.columns, strings.lengths, strings.targets, strings.counts, strict=True
    ):
        assert not columns[length:].any()
        assert (target[count:] == -1).all()
        at = example.MARGIN
        for digit in target[:count]:
            fitting = [
                image
                for image, label in zip(test.images, test.labels, strict=True)
                if label == digit and np.array_equal(columns[at : at + len(image)], image)
            ]
            assert fitting
            at += max(map(len, fitting))
            while at < length and not columns[at].any():
                at += 1
        assert at == length


def test_test_digits_are_held_out(example: ModuleType) -> None:
    train, test = example.load(0)
    known = {image.tobytes() for image in train.images}
    assert sum(image.tobytes() in known for image in test.images) == 0


def test_windows_make_a_convolution(example: ModuleType) -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(2, 20, 8))
    kernel = rng.normal(size=(8, example.WINDOW))
    got = example.windows(columns) @ kernel.reshape(-1)
    for image, row in zip(columns, got, strict=True):
        want = sum(np.convolve(image[:, i], kernel[i, ::-1], "same") for i in range(8))
        np.testing.assert_allclose(row, want, atol=1e-12)


def test_back_propagation_by_hand(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradients that the optimizer gets, against central differences of the loss."""
    seen: list[list[np.ndarray]] = []

    def record(self: object, gradients: tuple[np.ndarray, ...], rate: float) -> None:
        seen.append(list(gradients))

    monkeypatch.setattr(example.Adam, "update", record)
    strings = example.draw_strings(np.random.default_rng(1), example.load(0)[0], 4)
    strings.columns = strings.columns.astype(np.float64)
    start = [array.astype(np.float64) for array in example.first_weights(0)]

    def loss(parameters: list[np.ndarray]) -> float:
        return example.train_numpy(parameters, 1, [strings]).losses[0]

    loss(start)
    gradients = seen[0]
    rng = np.random.default_rng(2)
    for i, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        ends = [loss([p + sign * 1e-5 * direction if j == i else p for j, p in enumerate(start)]) for sign in (1, -1)]
        want = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(np.vdot(gradient, direction), want, rtol=1e-6, atol=1e-8)
