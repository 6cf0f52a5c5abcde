"""The losses and their options, once: every test that speaks of "all losses" is parametrised over ``CASES``.

Error bounds. ``assert_close`` measures errors in units in the last place (ulp) of the magnitude of the result (see
``oracles``), in the type of the arithmetic: float64 for float64, float32 for the rest; a result stored in 16 bits may
differ by its rounding besides. The bounds of a case are the largest error found over a few seeds, rounded up by
about a half: the arithmetic has 2 to 4 rounding errors of its own, and the rest has a reason that ``BOUNDS`` states.
"""

import functools
import zlib
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
import oracles

import fastloss as fl

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
WIDE_DTYPES = ("float32", "float64")
NARROW_DTYPES = ("float16", "bfloat16")
REDUCTIONS = ("mean", "sum", "none")
#: Bits of the mantissa and the exponent of the smallest normal number.
FORMAT = {"float64": (52, -1022), "float32": (23, -126), "float16": (10, -14), "bfloat16": (7, -126)}


def unit(value, dtype):
    """The distance of neighbouring numbers of ``dtype`` at ``value``."""
    bits, lowest = FORMAT[dtype]
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(np.abs(np.asarray(value, oracles.WIDE)))
    exponent = np.maximum(np.where(np.asarray(value) == 0, lowest, exponent - 1), lowest)
    return np.ldexp(oracles.WIDE(1), exponent - bits)


def assert_close(got, want, *, ulps, dtype, magnitude=None, flushed=0):
    """That ``got`` is of ``dtype`` and within ``ulps`` units in the last place of max(|want|, magnitude).

    NaN and infinities must agree. A finite result beyond the range of ``dtype`` may be infinite. ``flushed`` is the
    number of terms below the smallest normal number that may count as 0: those of a softmax do.
    """
    got, want = np.asarray(got), np.asarray(want, oracles.WIDE)
    assert got.dtype == DTYPES[dtype], f"dtype {got.dtype}, expected {dtype}"
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    if got.size == 0:
        return
    compute = "float64" if dtype == "float64" else "float32"
    size = np.abs(want) if magnitude is None else np.maximum(np.abs(want), np.asarray(magnitude, oracles.WIDE))
    wide = oracles.wide(got)
    bits, _ = FORMAT[dtype]
    with np.errstate(all="ignore"):
        allowed = ulps * unit(np.where(np.isfinite(size), size, oracles.WIDE(0)), compute)
        if dtype != compute:
            allowed = allowed + unit(np.where(np.isfinite(want), want, oracles.WIDE(0)), dtype) / 2
        allowed = allowed + flushed * np.ldexp(oracles.WIDE(1), FORMAT[compute][1])
        error = np.abs(wide - want)
        largest = float(ml_dtypes.finfo(DTYPES[dtype]).max)
        overflow = (np.abs(want) * (1 + oracles.WIDE(2.0) ** -bits) > largest) & np.isfinite(want)
        same = (
            (np.isnan(wide) & np.isnan(want))
            | (wide == want)
            | (error <= allowed)
            | (overflow & np.isinf(wide) & (np.sign(wide) == np.sign(want)))
        )
    if not same.all():
        first = tuple(int(i) for i in np.argwhere(~same)[0]) if same.ndim else ()
        worst = np.nanmax(np.where(same, 0, error / allowed * ulps)) if ulps else np.nan
        raise AssertionError(
            f"{int((~same).sum())} of {same.size} elements differ, first at {list(first)}: got {wide[first]!r}, "
            f"expected {want[first]!r}; worst error {worst:.4g} ulp, bound {ulps}"
        )


def errors_in_ulps(got, want, dtype, magnitude):
    """The largest error in the measure of ``assert_close``; for choosing bounds, not for tests."""
    compute = "float64" if dtype == "float64" else "float32"
    size = np.maximum(np.abs(want), magnitude)
    finite = np.isfinite(want)
    return float(np.max(np.where(finite, np.abs(oracles.wide(got) - want) / unit(size, compute), 0), initial=0))


def same_bits(a, b):
    """Whether two arrays or scalars have the same type, shape and bytes."""
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@dataclass
class Call:
    """Arguments of one call: ``arrays`` by name (those the case has), and ``options``."""

    loss: str
    arrays: dict
    options: dict

    def __call__(self, **changes):
        return getattr(fl, self.loss)(**{**self.arrays, **self.options, **changes})

    def value_and_grad(self, **changes):
        return getattr(fl, self.loss).value_and_grad(**{**self.arrays, **self.options, **changes})

    def grad(self, **changes):
        return getattr(fl, self.loss).grad(**{**self.arrays, **self.options, **changes})

    def oracle(self, **changes):
        return getattr(oracles, self.loss)(**{**self.arrays, **self.options, **changes})

    @property
    def loss_shape(self):
        return np.shape(self.oracle(reduction="none").value)


@dataclass(frozen=True)
class Case:
    """A loss with options. ``arrays`` says which weights there are, ``target`` of what kind the targets are."""

    id: str
    loss: str
    shape: tuple
    target: str
    arrays: tuple = ()
    options: dict = field(default_factory=dict, hash=False)

    @property
    def target_has_gradient(self):
        return self.target not in ("index", "bool", "int")

    @property
    def over_classes(self):
        return self.loss in ("cross_entropy", "nll_loss")

    @property
    def axis(self):
        axis = self.options.get("axis")
        return (1 if len(self.shape) > 1 else 0) if axis is None else axis % len(self.shape)

    def data(self, dtype="float32", reduction="mean", seed=0, shape=None):
        """A call with arrays drawn from ``seed``."""
        shape = self.shape if shape is None else shape
        rng = np.random.default_rng([zlib.crc32(self.id.encode()), seed])
        kind = DTYPES[dtype]
        options = {**self.options, "reduction": reduction}
        positions = shape[: self.axis] + shape[self.axis + 1 :] if self.over_classes else shape
        if self.loss == "cross_entropy":
            x = rng.normal(0, 4, shape).astype(kind)
        elif self.loss == "nll_loss":
            x = np.log(rng.uniform(0.01, 1, shape)).astype(kind)
        elif self.loss == "binary_cross_entropy":
            x = np.clip(rng.uniform(0.02, 0.98, shape), 0.02, 0.98).astype(kind)
        else:
            x = rng.normal(0, 4, shape).astype(kind)
        if self.target == "index":
            t = rng.integers(0, shape[self.axis], positions)
            ignored = options.get("ignore_index", -100)
            if "ignore_index" in options:
                t = np.where(rng.uniform(size=positions) < 0.3, ignored, t)
        elif self.target == "probability":
            t = rng.exponential(1.0, shape)
            t = (t / t.sum(self.axis, keepdims=True)).astype(kind)
        elif self.target == "bool":
            t = rng.uniform(size=shape) < 0.5
        elif self.target == "int":
            t = rng.integers(0, 2, shape)
        elif self.target == "unit":
            t = rng.uniform(0, 1, shape).astype(kind)
            if options.get("ignore_index") is not None:
                t = np.where(rng.uniform(size=shape) < 0.3, options["ignore_index"], t).astype(kind)
        else:
            t = rng.normal(0, 4, shape).astype(kind)
        arrays = {"input": x, "target": t}
        for name in self.arrays:
            if name == "weight" and self.over_classes:
                size = (shape[self.axis],)
            elif name == "pos_weight":
                size = shape[-1:]
            elif name == "sample_weight row":
                size = (*positions[:1], *(1,) * (len(positions) - 1))
            elif name == "weight row":
                size = shape[-1:]
            else:
                size = positions
            arrays[name.split()[0]] = rng.uniform(0.25, 2, size).astype(kind)
        return Call(self.loss, arrays, options)


#: Few classes run in lanes (positions side by side), many in rows; an image has a class axis that is not the last.
CLASS_SHAPES = {"few": (37, 10), "many": (19, 130), "image": (3, 7, 5, 6)}

_CROSS_ENTROPY = {
    "plain": ("index", (), {}),
    "weight": ("index", ("weight",), {}),
    "ignore": ("index", (), {"ignore_index": 2}),
    "ignore-outside": ("index", ("weight",), {"ignore_index": -100}),
    "smoothing": ("index", (), {"label_smoothing": 0.1}),
    "smoothing-weight-ignore": ("index", ("weight",), {"label_smoothing": 0.25, "ignore_index": 1}),
    "sample-weight": ("index", ("sample_weight",), {}),
    "sample-weight-row": ("index", ("sample_weight row", "weight"), {"ignore_index": 0}),
    "z-loss": ("index", (), {"z_loss": 0.01}),
    "z-loss-weights": ("index", ("weight", "sample_weight"), {"z_loss": 0.01, "ignore_index": 3}),
    "softcap": ("index", (), {"softcap": 5.0}),
    "all": (
        "index",
        ("weight", "sample_weight"),
        {"softcap": 20.0, "z_loss": 0.001, "label_smoothing": 0.1, "ignore_index": 3},
    ),
    "soft": ("probability", (), {}),
    "soft-weight-smoothing": ("probability", ("weight",), {"label_smoothing": 0.1}),
    "soft-sample-weight": ("probability", ("sample_weight",), {}),
    "soft-all": ("probability", ("weight", "sample_weight"), {"softcap": 20.0, "z_loss": 0.01, "label_smoothing": 0.1}),
}
_NLL = {
    "plain": ((), {}),
    "weight-ignore": (("weight",), {"ignore_index": 2}),
    "sample-weight": (("weight", "sample_weight"), {"ignore_index": -100}),
}
_BINARY = {
    "plain": ("unit", (), {}),
    "bool": ("bool", (), {}),
    "int": ("int", (), {}),
    "weight": ("unit", ("weight",), {}),
    "weight-row": ("unit", ("weight row",), {}),
    "smoothing": ("unit", (), {"label_smoothing": 0.1}),
    "ignore": ("unit", (), {"ignore_index": -1.0}),
    "sample-weight": ("unit", ("weight", "sample_weight"), {"ignore_index": 0.5, "label_smoothing": 0.2}),
    "sample-weight-row": ("unit", ("sample_weight row",), {}),
}
_MSE = {
    "plain": ("real", (), {}),
    "int": ("int", (), {}),
    "bool": ("bool", (), {}),
    "weight": ("real", ("weight",), {}),
    "weight-row": ("real", ("weight row", "sample_weight"), {}),
}
ELEMENT_SHAPE = (13, 21)


def _cases():
    for size, shape in CLASS_SHAPES.items():
        for name, (target, arrays, options) in _CROSS_ENTROPY.items():
            yield Case(f"cross_entropy-{name}-{size}", "cross_entropy", shape, target, arrays, options)
        for name, (arrays, options) in _NLL.items():
            yield Case(f"nll_loss-{name}-{size}", "nll_loss", shape, "index", arrays, options)
    for axis, shape in ((0, (12, 5, 4)), (-1, (4, 3, 90)), (2, (3, 4, 9, 5)), (0, (9,)), (0, (100,))):
        name = f"axis{axis}-{'x'.join(map(str, shape))}"
        yield Case(f"cross_entropy-{name}", "cross_entropy", shape, "index", (), {"axis": axis})
        yield Case(f"cross_entropy-soft-{name}", "cross_entropy", shape, "probability", ("weight",), {"axis": axis})
        yield Case(f"nll_loss-{name}", "nll_loss", shape, "index", ("weight",), {"axis": axis})
    for loss in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        for name, (target, arrays, options) in _BINARY.items():
            yield Case(f"{loss}-{name}", loss, ELEMENT_SHAPE, target, arrays, options)
    bce = "binary_cross_entropy_with_logits"
    yield Case(f"{bce}-pos-weight", bce, ELEMENT_SHAPE, "unit", ("pos_weight",), {})
    yield Case(
        f"{bce}-all",
        bce,
        ELEMENT_SHAPE,
        "unit",
        ("pos_weight", "weight", "sample_weight"),
        {"label_smoothing": 0.1, "ignore_index": -1.0},
    )
    for name, (target, arrays, options) in _MSE.items():
        yield Case(f"mse_loss-{name}", "mse_loss", ELEMENT_SHAPE, target, arrays, options)


CASES = tuple(_cases())
BY_ID = {case.id: case for case in CASES}
LOSSES = ("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss")
#: One plain case a loss, and those whose kernels differ: for properties that do not depend on options.
REPRESENTATIVES = tuple(
    BY_ID[name]
    for name in (
        "cross_entropy-plain-few",
        "cross_entropy-plain-many",
        "cross_entropy-all-few",
        "cross_entropy-soft-all-many",
        "cross_entropy-soft-image",
        "nll_loss-weight-ignore-few",
        "binary_cross_entropy-sample-weight",
        "binary_cross_entropy_with_logits-all",
        "mse_loss-weight-row",
    )
)


def named(cases):
    """``ids=`` of pytest for a list of cases."""
    return [case.id for case in cases]


def bounds(case):
    """The error bounds (value, gradients) of a case, in ulps of magnitudes; see the head of this file."""
    value, grad = 6, 8
    if case.loss == "cross_entropy":
        # z - max is rounded to half an ulp of |z - max| < 40, which exp turns into a relative error: 2^-24 * 40 / 2
        # is 20 ulp at the worst, of a class that hardly counts; sums over classes average it.
        value, grad = 8, 24
    if "softcap" in case.options:
        # cap * tanh is wrong by 2 ulp of up to the cap, before exp turns that into a relative error.
        value, grad = value + 2 * case.options["softcap"], grad + 4 * case.options["softcap"]
    return value, grad


@functools.cache
def oracle_of(case, dtype, reduction, seed=0):
    """Call and oracle of a case; kept, since several tests ask for the same."""
    call = case.data(dtype, reduction, seed)
    return call, call.oracle()
