"""A loss beside its oracle, and beside PyTorch: what the test files of the families have in common."""

import numpy as np
import torch
from cases import DTYPES, assert_close
from elements import ORACLES

import fastloss as fl

NAN, INF = float("nan"), float("inf")
TORCH_DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
#: PyTorch rounds intermediate results to 16 bits, in which ours is one of few roundings.
TOLERANCE = {"float64": 1e-14, "float32": 3e-6, "float16": 4e-3, "bfloat16": 3e-2}


def assert_oracle(loss, arrays, *, wrt, ulps, reduction="mean", **options):
    """Value and gradients of NumPy arrays, in ulps of the magnitudes of the oracle."""
    want = ORACLES[loss](**arrays, reduction=reduction, **options)
    value, grads = getattr(fl, loss).value_and_grad(**arrays, reduction=reduction, wrt=wrt, **options)
    names = list(ORACLES[loss].names)
    dtype = str(arrays[names[0]].dtype)
    kind = dtype if dtype == "float64" or reduction == "none" else "float32"
    assert_close(value, want.value, ulps=ulps, dtype=kind, magnitude=want.value_magnitude)
    slopes = (
        (want.grad_input, want.grad_input_magnitude),
        (want.grad_target, want.grad_target_magnitude),
        (want.grad_third, want.grad_third_magnitude),
    )
    for name, grad in zip(wrt, grads, strict=True):
        slope, size = slopes[names.index(name)]
        assert_close(grad, slope, ulps=ulps, dtype=str(arrays[name].dtype), magnitude=size)


def assert_torch(ours, its, arrays, wrt, *, dtype="float64", upstream=0.25, tolerance=None):
    """Value, dtype and gradients through autograd, of two functions of tensors."""
    rtol = TOLERANCE[dtype] if tolerance is None else tolerance
    results = []
    for function in (ours, its):
        tensors = {}
        for name, array in arrays.items():
            tensor = torch.from_numpy(np.array(array, np.float64)).to(TORCH_DTYPES[dtype])
            tensors[name] = tensor.requires_grad_(name in wrt)
        value = function(**tensors)
        grads = torch.autograd.grad(value, [tensors[n] for n in wrt], torch.full_like(value, upstream))
        results.append((value.detach(), *grads))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=rtol, atol=rtol, equal_nan=True)


def assert_table(loss, rows, *, dtype="float32", **options):
    """Rows of arguments, then value and gradient by the first: at infinities and NaN, exactly."""
    function = getattr(fl, loss)
    names = [name for name in function.spec.names[:3] if name]
    for *point, value, slope in rows:
        arrays = {name: np.array([p], DTYPES[dtype]) for name, p in zip(names, point, strict=True)}
        got, grad = function.value_and_grad(**arrays, reduction="none", wrt=names[0], **options)
        np.testing.assert_array_equal(got, np.array([value], DTYPES[dtype]), err_msg=f"value at {point}")
        np.testing.assert_array_equal(grad, np.array([slope], DTYPES[dtype]), err_msg=f"slope at {point}")


def assert_finite(loss, points, *, wrt, **options):
    """No NaN comes of any combination of points that holds none, but where ``wrt`` meets none of them either."""
    function = getattr(fl, loss)
    names = list(points)
    grid = np.array(np.meshgrid(*points.values(), indexing="ij"), np.float32).reshape(len(names), -1)
    arrays = dict(zip(names, grid, strict=True))
    value, grads = function.value_and_grad(**arrays, reduction="none", wrt=wrt, **options)
    for result in (value, *grads):
        assert not np.isnan(result).any(), [tuple(grid[:, i]) for i in np.flatnonzero(np.isnan(result))][:5]
