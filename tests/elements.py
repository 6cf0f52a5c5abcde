"""Oracles of elementwise losses: the formula of one element in mpmath, differentiated by differences in 120 digits.

``@oracle()`` makes of ``formula(x, t, z, **parameters)``, in numbers of mpmath, a function with the arguments of the
public one that returns a ``Result``. Nothing here knows a derivative: slopes are central differences with a step of
1e-45 of the argument, exact to far more digits than any dtype has. At a kink they are the mean of the slopes on either
side, which is one of many right answers: ``check_awkward`` asks for a number between the two.

A formula may return (value, magnitude): the sum of the absolute values of the terms, where terms may cancel.
``magnitude`` of the decorator gives those of the gradients: ``magnitude(x, t, z, **parameters)`` returns one for each
gradient, in float64 or mpmath.
"""

import functools
import inspect
import itertools

import mpmath
import numpy as np
import oracles
from cases import DTYPES, FORMAT, unit
from oracles import WIDE, Result

import fastloss as fl

DIGITS = 120
STEP = mpmath.mpf(10) ** -45
ORACLES = {}


def number(value):
    """An mpmath number of any float, exactly."""
    high = float(value)
    if isinstance(value, np.longdouble) and np.isfinite(high):
        return mpmath.mpf(high) + mpmath.mpf(float(value - WIDE(high)))
    return mpmath.mpf(high)


def wide(value):
    """A long double of an mpmath number, rounded twice at worst."""
    value = mpmath.mpf(value)
    if not mpmath.isfinite(value):
        return WIDE(float(value))
    mantissa, exponent = mpmath.frexp(value)  # within the range of a double, whatever the number is
    high = float(mantissa)
    return np.ldexp(WIDE(high) + WIDE(float(mantissa - high)), int(np.clip(int(exponent), -(2**30), 2**30)))


def value_of(formula, arguments, parameters):
    """(value, magnitude) of one element."""
    result = formula(*arguments, **parameters)
    if isinstance(result, tuple):
        return result
    return result, abs(result)


def slopes_of(formula, arguments, index, parameters):
    """The slopes on the left and on the right of argument ``index``."""
    # The step is relative to the argument, which may be tiny beside another: as many digits more.
    exponents = [mpmath.frexp(a)[1] for a in arguments if a] or [0]
    spread = max(0, *exponents) - (mpmath.frexp(arguments[index])[1] if arguments[index] else min(0, *exponents))
    with mpmath.workdps(DIGITS + int(0.31 * spread)):
        h = STEP * (abs(arguments[index]) if arguments[index] else mpmath.mpf(2) ** min(0, *exponents))

        def at(shift):
            moved = list(arguments)
            moved[index] = moved[index] + shift
            return value_of(formula, moved, parameters)[0]

        middle = at(0)
        return (middle - at(-h)) / h, (at(h) - middle) / h


def oracle(names=("input", "target", ""), denominator="count", magnitude=None):
    """Register the formula of one element as the oracle of the loss of its name.

    ``denominator``: "count" or "weights"; ``names``: those of the operands x, t, z. Numbers among the operands (a
    variance, say) are allowed. ``label_smoothing`` reaches the formula where it names it.
    """

    def decorate(formula):
        own = [p.name for p in inspect.signature(formula).parameters.values() if p.kind is p.KEYWORD_ONLY]

        @functools.wraps(formula)
        def compute(
            *,
            weight=None,
            sample_weight=None,
            reduction="mean",
            empty="nan",
            ignore_index=None,
            grad_output=None,
            **given,
        ):
            defaults = inspect.signature(getattr(fl, formula.__name__)).parameters
            parameters = {name: given.get(name, defaults[name].default if name in defaults else None) for name in own}
            arrays = [given.get(name) if name else None for name in names]
            shapes = [np.shape(array) for array in arrays]
            present = [i for i, array in enumerate(arrays) if array is not None]
            views = dict(zip(present, np.broadcast_arrays(*(oracles.wide(arrays[i]) for i in present)), strict=True))
            shape = views[present[0]].shape
            w = np.broadcast_to(WIDE(1) if weight is None else oracles.wide(weight), shape)
            w = w * np.broadcast_to(WIDE(1) if sample_weight is None else oracles.wide(sample_weight), shape)
            upstream = np.broadcast_to(WIDE(1) if grad_output is None else oracles.wide(grad_output), shape)
            counts = np.ones(shape, bool) if ignore_index is None else views[1] != WIDE(ignore_index)
            value, value_magnitude = np.zeros(shape, WIDE), np.zeros(shape, WIDE)
            slopes = {i: np.zeros(shape, WIDE) for i in present}
            sizes = {i: np.zeros(shape, WIDE) for i in present}
            with mpmath.workdps(DIGITS):
                exact = {name: _exact(parameter) for name, parameter in parameters.items()}
                for at in np.ndindex(shape):
                    if not counts[at]:
                        continue
                    element = [number(views[i][at]) if i in views else mpmath.mpf(1) for i in range(3)]
                    value[at], value_magnitude[at] = map(wide, value_of(formula, element, exact))
                    for i in present:
                        slopes[i][at] = wide(sum(slopes_of(formula, element, i, exact)) / 2)
                    if magnitude is not None:
                        for i, size in zip(present, magnitude(*element, **exact), strict=False):
                            sizes[i][at] = wide(size)
            losses = np.where(counts, oracles.times(w, value), WIDE(0))
            magnitudes = np.where(counts, oracles.times(np.abs(w), value_magnitude), WIDE(0))
            weigh = sample_weight is not None or denominator == "weights"
            divisor = (w if weigh else np.ones_like(w))[counts].sum(dtype=WIDE)
            if reduction == "batchmean":
                divisor, reduction = WIDE(shape[0] if shape else 1), "mean"
            with np.errstate(all="ignore"):
                total, total_magnitude, scale = oracles.reduced(losses, magnitudes, counts, divisor, reduction, empty)
                row = np.where(counts, w * upstream, WIDE(0)) * scale
            grads = [None] * 6
            for i in present:
                size = np.maximum(np.abs(slopes[i]), sizes[i])
                grads[2 * i] = oracles.sum_to(oracles.times(row, slopes[i]), shapes[i])
                grads[2 * i + 1] = oracles.sum_to(oracles.times(np.abs(row), size), shapes[i])
            return Result(
                total, grads[0], grads[2], total_magnitude, grads[1], grads[3], float(divisor), grads[4], grads[5]
            )

        compute.formula, compute.names, compute.magnitude = formula, names, magnitude
        ORACLES[formula.__name__] = compute
        return compute

    return decorate


def _exact(parameter):
    if isinstance(parameter, float):
        return mpmath.mpf(parameter)
    return parameter


def awkward(dtype, low=None, high=None, extra=()):
    """The points where arithmetic goes wrong: zeros, denormals, ends of ranges; those within [low, high]."""
    largest = float(np.finfo(DTYPES[dtype]).max)
    smallest = float(np.finfo(DTYPES[dtype]).smallest_subnormal)
    tiny = float(np.finfo(DTYPES[dtype]).tiny)
    sizes = (0.0, smallest, tiny, 1e-4, 0.3, 0.5, 1.0, 2.5, 30.0, 100.0, 1e4, largest)
    points = {float(DTYPES[dtype].type(x)) for x in (*(s * n for s in (1, -1) for n in sizes), -0.0, *extra)}
    kept = sorted(x for x in points if (low is None or x >= low) and (high is None or x <= high))
    if 0.0 in kept and (low is None or low < 0):
        kept.append(-0.0)
    return kept


def check_awkward(loss, points, dtype, *, value_ulps, grad_ulps, wrt, flush=0, options=None, skip=None):
    """Value and gradients at every combination of ``points`` (a list for each operand by name), against mpmath.

    Errors are measured in units in the last place of the result, or of the magnitudes that the oracle states. A result
    beyond the range of ``dtype`` is infinite, or the largest number. ``flush``: results below so many times the
    smallest normal number may be 0. ``skip(*point)`` leaves out combinations that the loss does not define.
    """
    known = ORACLES[loss]
    names = [name for name in known.names if name]
    grid = [p for p in itertools.product(*(points[name] for name in names)) if skip is None or not skip(*p)]
    assert grid
    columns = {name: np.array([p[i] for p in grid], DTYPES[dtype]) for i, name in enumerate(names)}
    function = getattr(fl, loss)
    value, grads = function.value_and_grad(**columns, reduction="none", wrt=wrt, **(options or {}))
    np.testing.assert_array_equal(value, function(**columns, reduction="none", **(options or {})), strict=True)
    defaults = inspect.signature(function).parameters
    own = [p.name for p in inspect.signature(known.formula).parameters.values() if p.kind is p.KEYWORD_ONLY]
    given = {**{name: defaults[name].default for name in own}, **(options or {})}
    lowest = FORMAT[dtype][1]
    largest = WIDE(float(np.finfo(DTYPES[dtype]).max))
    floor = WIDE(flush) * np.ldexp(WIDE(1), lowest)
    wrong = []
    with mpmath.workdps(DIGITS):
        exact = {name: _exact(given[name]) for name in own}
        for row, point in enumerate(grid):
            element = [mpmath.mpf(1)] * 3
            for name in names:
                element[known.names.index(name)] = number(columns[name][row])
            want, size = map(wide, value_of(known.formula, element, exact))
            wrong += _compare(loss, "value", point, value[row], want, want, size, value_ulps, dtype, largest, floor)
            magnitudes = known.magnitude(*element, **exact) if known.magnitude else None
            for name, grad in zip(wrt, grads, strict=True):
                index = known.names.index(name)
                left, right = (wide(s) for s in slopes_of(known.formula, element, index, exact))
                size = max(abs(left), abs(right))
                if magnitudes is not None:
                    size = max(size, abs(wide(magnitudes[names.index(name)])))
                ends = min(left, right), max(left, right)
                wrong += _compare(loss, f"d {name}", point, grad[row], *ends, size, grad_ulps, dtype, largest, floor)
    assert not wrong, f"{len(wrong)} of {len(grid)}: " + "; ".join(wrong[:5])


def _compare(loss, what, point, got, low, high, size, ulps, dtype, largest, floor):
    got = WIDE(got)
    with np.errstate(all="ignore"):
        allowed = ulps * unit(min(size, largest), dtype) + floor
        inside = low - allowed <= got <= high + allowed
        over = (np.isinf(got) or abs(got) == largest) and max(abs(low), abs(high)) > largest * (1 - WIDE(2) ** -20)
        same_sign = got == 0 or np.sign(got) == np.sign(high if abs(high) >= abs(low) else low)
    if inside or (over and same_sign):
        return []
    error = float(max(low - got, got - high) / unit(min(size, largest), dtype)) if np.isfinite(got) else float("nan")
    return [f"{loss} {what} at {point}: got {got!r}, expected {low!r} to {high!r} ({error:.3g} ulp)"]
