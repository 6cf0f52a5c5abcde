"""Checks that every loss makes, and their messages: the loss, the argument, what came, what was expected."""

from __future__ import annotations

from typing import Any

REDUCTIONS = ("none", "mean", "sum")


def wrong(loss: str, argument: str, got: Any, expected: str) -> str:
    return f"{loss}: {argument} is {got}, expected {expected}"


def not_floating(loss: str, argument: str, dtype: str, target_is_floating: bool = False) -> TypeError:
    """That an array has no floating dtype; the target's, where there is one, says whether the two were swapped."""
    hint = "; convert it, to float32 for instance"
    if target_is_floating:
        hint = "; are input and target swapped?"
    return TypeError(f"{loss}: {argument} has dtype {dtype}, expected float16, bfloat16, float32 or float64{hint}")


def plain(loss: str, argument: str, value: Any) -> Any:
    """An option as Python has it: what a number of NumPy or a tensor holds now; arrays and lists as tuples."""
    if getattr(value, "requires_grad", False):
        raise NotImplementedError(f"{loss}: no gradient with respect to {argument}, which requires grad: detach it")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(plain(loss, argument, one) for one in value)
    return value


def check_reduction(loss: str, reduction: Any, choices: tuple[str, ...] = REDUCTIONS) -> None:
    expected = f"one of {', '.join(map(repr, choices))}"
    if not isinstance(reduction, str):
        raise TypeError(wrong(loss, "reduction", repr(reduction), expected))
    if reduction not in choices:
        raise ValueError(wrong(loss, "reduction", repr(reduction), expected))


def check_choice(loss: str, argument: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(wrong(loss, argument, repr(value), f"one of {', '.join(map(repr, choices))}"))


def number(loss: str, argument: str, value: Any, low: float, high: float) -> float:
    """``value`` as a float within [low, high]."""
    value = plain(loss, argument, value)
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(wrong(loss, argument, f"of type {type(value).__name__}", "a number"))
    try:
        result = float(value)
    except OverflowError:
        raise ValueError(
            wrong(loss, argument, "an integer past all floats", f"a number in [{low:g}, {high:g}]")
        ) from None
    if not low <= result <= high:
        raise ValueError(wrong(loss, argument, repr(value), f"a number in [{low:g}, {high:g}]"))
    return result


def integer(loss: str, argument: str, value: Any) -> int:
    value = plain(loss, argument, value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(wrong(loss, argument, f"of type {type(value).__name__}", "an integer"))
    return int(value.__index__())


def check_shape(loss: str, argument: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(got) != tuple(expected):
        raise ValueError(f"{loss}: {argument} has shape {tuple(got)}, expected {tuple(expected)}")


def broadcastable(got: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    if len(got) > len(shape):
        return False
    return all(g in (1, s) for g, s in zip(reversed(got), reversed(shape), strict=False))


def check_broadcastable(loss: str, argument: str, got: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if not broadcastable(tuple(got), tuple(shape)):
        raise ValueError(f"{loss}: {argument} has shape {tuple(got)}, which does not broadcast to {tuple(shape)}")
