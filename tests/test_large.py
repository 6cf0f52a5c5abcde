"""More than 2**31 elements: an index of 32 bits would write or read elsewhere. Within 16 GB, so in bfloat16."""

import os

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch")

ROWS, CLASSES = (1 << 16) + 1, (1 << 15) + 8  # 2**31 + 600,000 elements
ELEMENTS = ROWS * CLASSES


def need(gigabytes):
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if free < gigabytes << 30:
        pytest.skip(f"needs {gigabytes} GB of free memory")


def filled(rows, columns):
    """bfloat16 with other numbers in each row and column, made without a temporary of that size."""
    x = torch.empty(rows, columns, dtype=torch.bfloat16)
    pattern = torch.sin(torch.arange(columns, dtype=torch.float32))
    for low in range(0, rows, 4096):
        high = min(rows, low + 4096)
        x[low:high] = pattern * (1 + torch.arange(low, high)[:, None] % 7)
    return x


def last_rows(x, n=3):
    return x[-n:].double()


@pytest.mark.slow
def test_cross_entropy():
    need(11)
    x = filled(ROWS, CLASSES)
    assert x.numel() > 1 << 31
    t = torch.arange(ROWS) % CLASSES
    t[-3:] = torch.tensor([0, CLASSES - 1, CLASSES - 2])
    expected = torch.nn.functional.cross_entropy(last_rows(x), t[-3:], reduction="none")
    losses = fl.cross_entropy(x, t, reduction="none")
    assert torch.allclose(losses[-3:].double(), expected, rtol=2**-8)

    only_last = torch.full_like(t, -100)
    only_last[-3:] = t[-3:]
    value = fl.cross_entropy(x, only_last)
    assert torch.allclose(value.double(), expected.mean(), rtol=2**-8)

    out = torch.full_like(x, 7.0)
    value, grad = fl.cross_entropy.value_and_grad(x, only_last, reduction="sum", out=out)
    assert grad is out
    assert torch.allclose(value.double(), expected.sum(), rtol=2**-8)
    assert not out[:-3].any()
    leaf = last_rows(x).requires_grad_()
    torch.nn.functional.cross_entropy(leaf, t[-3:], reduction="sum").backward()
    assert torch.allclose(out[-3:].double(), leaf.grad, rtol=2**-8, atol=1e-30)


@pytest.mark.slow
def test_cross_entropy_lanes():
    need(11)
    rows, classes = (1 << 28) + 9, 8
    x = filled(1 << 16, (rows * classes >> 16) + 1).reshape(-1)[: rows * classes].reshape(rows, classes)
    assert x.numel() > 1 << 31
    t = torch.full((rows,), -100)
    t[-3:] = torch.tensor([7, 0, 3])
    value, grad = fl.cross_entropy.value_and_grad(x, t)
    leaf = last_rows(x).requires_grad_()
    expected = torch.nn.functional.cross_entropy(leaf, t[-3:])
    expected.backward()
    assert torch.allclose(value.double(), expected.detach(), rtol=2**-8)
    assert torch.allclose(grad[-3:].double(), leaf.grad, rtol=2**-8)
    assert not grad[: 1 << 20].any()
    t[-1] = 8
    with pytest.raises(IndexError, match=str(rows - 1)):
        fl.cross_entropy(x, t)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse_loss", "binary_cross_entropy_with_logits"])
def test_elementwise(loss):
    need(10)
    x = torch.zeros(ELEMENTS, dtype=torch.bfloat16)
    x[-3:] = torch.tensor([1.0, -2.0, 3.0])
    t = torch.zeros(1, dtype=torch.bfloat16).expand(ELEMENTS)
    out = torch.full((ELEMENTS,), 7.0, dtype=torch.bfloat16)
    value, grad = getattr(fl, loss).value_and_grad(x, t, reduction="sum", out=out)
    leaf = x[-3:].double().requires_grad_()
    end = getattr(torch.nn.functional, loss)(leaf, torch.zeros(3, dtype=torch.float64), reduction="sum")
    end.backward()
    end = end.detach()
    rest = (ELEMENTS - 3) * (0.0 if loss == "mse_loss" else np.log(2))
    assert abs(float(value) - rest - float(end)) <= 2**-8 * (rest + float(end))
    assert torch.allclose(grad[-3:].double(), leaf.grad, rtol=2**-8)
    middle = 0.0 if loss == "mse_loss" else 0.5
    for at in (0, 1 << 20, (1 << 31) - 1, 1 << 31, ELEMENTS - 4):
        assert float(grad[at]) == middle, at


@pytest.mark.slow
def test_strided_far_apart():
    # Few elements, far from one another: offsets past 2**31 elements and 2**32 bytes.
    need(6)
    base = torch.zeros((1 << 31) + 64, dtype=torch.bfloat16)
    x = base.as_strided((2, 40), (1 << 31, 1))
    x[1] = torch.arange(40)
    t = torch.tensor([0, 3])
    value, grad = fl.cross_entropy.value_and_grad(x, t, reduction="none")
    leaf = x.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(leaf, t, reduction="none")
    expected.sum().backward()
    assert torch.allclose(value.double(), expected.detach(), rtol=2**-8)
    assert torch.allclose(grad.double(), leaf.grad, rtol=2**-8, atol=1e-30)
    assert abs(float(fl.mse_loss(x, torch.zeros_like(x), reduction="sum")) / 20540 - 1) <= 2**-8
