"""Losses that are sums of elementwise terms, of arrays whose shapes need not agree: real and fake scores, parameters.

Each term is an elementwise loss of its own, which carries the public name and its arguments' names so that its
messages do. This file only hands arrays out to the terms, and their values and gradients back.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple, cast

import numpy as np

from fastloss import _arrays
from fastloss._catalogue import Row
from fastloss._loss import Arguments, Loss, loss
from fastloss._plan import SHARED_MEMORY, Operands


class Term(NamedTuple):
    """One elementwise loss of some of the arrays."""

    spec: Loss
    #: The arrays of the call that it reads, in the order of its operands.
    arrays: tuple[str, ...]
    options: tuple[Any, ...]
    #: The sample weights of the call that it is weighted by: by their product, where there are several.
    weights: tuple[str, ...] = ()


class Piece(NamedTuple):
    """A term at work: on whole arrays, or on one array of a list."""

    term: Term
    operands: Operands
    leaf: int


class Sum(Loss):
    """The engine of such a loss."""

    def value(self, arrays: Operands, options: tuple[Any, ...]) -> Any:
        return _added(
            [piece.term.spec.value(piece.operands, piece.term.options) for piece in self.pieces(arrays, options)]
        )

    def value_and_grad(
        self, arrays: Operands, options: tuple[Any, ...], wrt: Any, out: Any, grad_output: Any
    ) -> tuple[Any, Any]:
        terms = cast(Any, self.problem)(*options)
        if len(terms) == 1 and not isinstance(arrays[0], (list, tuple)) and (wrt is None or wrt in terms[0].arrays):
            # One term of whole arrays looks after itself, in half the time.
            (piece,) = self.pieces(arrays, options, terms)
            if wrt is None:
                wrt = self.default if len(self.default) > 1 else self.default[0]
            return piece.term.spec.value_and_grad(piece.operands, piece.term.options, wrt, out, grad_output)
        names, single, outs = self.check_wrt(wrt, out)
        pieces = list(self.pieces(arrays, options, terms))
        given = dict(zip(self.names, arrays, strict=True))
        for name in names:
            if given[name] is None:
                raise ValueError(f"{self.name}: wrt is {wrt!r}, but {name} is not given")
        places = {name: self._places(name, place, given[name]) for name, place in zip(names, outs, strict=True)}
        if out is not None:
            self._check_apart(pieces, places)
        values, grads = [], {name: list(own) for name, own in places.items()}
        for piece in pieces:
            term = piece.term
            wanted = tuple(name for name in term.arrays if name in places)
            if not wanted:
                values.append(term.spec.value(piece.operands, term.options))
                continue
            into = tuple(places[name][piece.leaf] for name in wanted)
            value, found = term.spec.value_and_grad(piece.operands, term.options, wanted, into, grad_output)
            values.append(value)
            for name, grad in zip(wanted, found, strict=True):
                grads[name][piece.leaf] = grad
        result = tuple(_like(given[name], grads[name]) for name in names)
        return _added(values), result[0] if single else result

    def pieces(
        self, arrays: Operands, options: tuple[Any, ...], terms: tuple[Term, ...] | None = None
    ) -> Iterator[Piece]:
        given = dict(zip(self.names, arrays, strict=True))
        for name in self.required:
            if given[name] is None:
                raise TypeError(f"{self.name}: {name} is None, expected an array")
        if len({type(leaf) for array in arrays for leaf in _leaves(array) if leaf is not None}) > 1:
            leaves = {}
            for name, array in given.items():
                for i, leaf in enumerate(_leaves(array)):
                    leaves[f"{name}[{i}]" if leaf is not array else name] = leaf
            _arrays.common_backend(self.name, leaves)
        for term in terms or cast(Any, self.problem)(*options):
            first, *others = (given[name] for name in term.arrays)
            weights = [given[name] for name in term.weights if given[name] is not None]
            weight = reduce(operator.mul, weights) if weights else None
            if not others:
                for leaf, array in enumerate(_leaves(first)):
                    yield Piece(term, (array, None, None, None, weight), leaf)
            else:
                second, third = (*others, None)[:2]
                yield Piece(term, (first, second, third, None, weight), 0)

    def _places(self, name: str, out: Any, array: Any) -> list[Any]:
        """The caller's arrays for the gradients of one argument, one for each of a list."""
        if not isinstance(array, (list, tuple)):
            return [out]
        if out is None:
            return [None] * len(array)
        if not isinstance(out, (list, tuple)) or len(out) != len(array):
            raise ValueError(f"{self.name}: out is no list of {len(array)} arrays, as {name} is")
        return list(out)

    def _check_apart(self, pieces: list[Piece], places: dict[str, list[Any]]) -> None:
        """That no term writes where another reads or writes; each looks after itself."""
        outs = [
            (i, places[name][piece.leaf])
            for i, piece in enumerate(pieces)
            for name in piece.term.arrays
            if name in places and places[name][piece.leaf] is not None
        ]
        read = [(i, array) for i, piece in enumerate(pieces) for array in piece.operands if array is not None]
        for i, out in outs:
            backend = _arrays.backend_of(out)
            for j, other in (*read, *outs):
                if i != j and type(other) is type(out) and backend.overlap(out, other):
                    raise ValueError(f"{self.name}: {SHARED_MEMORY}")


def _added(values: list[Any]) -> Any:
    if not values:
        return np.float64(0.0)
    if len(values) > 2 and isinstance(values[0], np.generic):
        return np.result_type(*values).type(math.fsum(values) if np.isfinite(values).all() else sum(values))
    return reduce(operator.add, values)


def _leaves(array: Any) -> Sequence[Any]:
    return array if isinstance(array, (list, tuple)) else (array,)


def _like(original: Any, grads: list[Any]) -> Any:
    if isinstance(original, tuple):
        return tuple(grads)
    return grads if isinstance(original, list) else grads[0]


def named(name: str) -> Callable[[Callable[..., Arguments]], Callable[..., Arguments]]:
    """Give a term the name of the loss that it belongs to."""

    def rename(bind: Callable[..., Arguments]) -> Callable[..., Arguments]:
        bind.__name__ = name
        return bind

    return rename


def sum_of_terms(
    terms: Callable[..., tuple[Term, ...]],
    row: Row,
    names: tuple[str, ...],
    *,
    differentiable: tuple[str, ...],
    default: tuple[str, ...] | None = None,
) -> Callable[[Callable[..., Arguments]], Any]:
    """Make a loss of ``terms``, which checks the options of a call and says what they are the sum of."""
    return loss(cast(Any, terms), row, differentiable=differentiable, default=default, names=names, engine=Sum)
