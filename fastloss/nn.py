"""The losses as modules, with PyTorch's class names, parameters and defaults.

>>> import torch, fastloss as fl
>>> criterion = fl.nn.CrossEntropyLoss(label_smoothing=0.1)
>>> criterion
CrossEntropyLoss(label_smoothing=0.1)
>>> round(criterion(torch.zeros(2, 4), torch.tensor([1, 3])).item(), 6)
1.386294
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

import fastloss
from fastloss._errors import plain
from fastloss._loss import explained

_BUFFERS = ("weight", "pos_weight")


class _Loss(torch.nn.Module):
    """A loss whose options are set once. Weights are buffers, so they move and save with the model.

    The arrays of a step belong to the call, ``sample_weight`` among them.
    """

    function: Any
    _options: tuple[str, ...]
    _weights: tuple[str, ...]
    _arguments: tuple[str, ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        try:
            bound = self.__signature__.bind(*args, **kwargs)  # type: ignore[attr-defined]
        except TypeError as error:
            raise explained(type(self).__name__, TypeError(f"{type(self).__name__}: {error}"), kwargs) from None
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name in _BUFFERS:
                if value is not None and not isinstance(value, torch.Tensor):
                    raise TypeError(
                        f"{type(self).__name__}: {name} is of type {type(value).__name__}, expected a tensor"
                    )
                self.register_buffer(name, value)
            else:
                setattr(self, name, plain(type(self).__name__, name, value))
        # The checks of the call, made where the mistake is.
        problem = self.function.spec.problem
        problem(*(getattr(self, name) for name in self.function.spec.options))

    def extra_repr(self) -> str:
        defaults = self.__signature__.parameters  # type: ignore[attr-defined]
        changed = (name for name in self._options if getattr(self, name) != defaults[name].default)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in changed)

    def forward(self, *arrays: torch.Tensor, **others: torch.Tensor) -> Any:
        if others or len(arrays) > len(self._arguments):
            self._check(arrays, others)
        given: dict[str, Any] = dict(zip(self._arguments, arrays, strict=False))
        for name in self._options:
            given[name] = getattr(self, name)
        buffers = self._buffers
        for name in self._weights:
            # Whoever makes a parameter of a weight has it elsewhere. (Through ``getattr`` it takes 1 us to find.)
            given[name] = buffers[name] if name in buffers else getattr(self, name)
        return self.function(**given, **others)

    def _check(self, arrays: tuple[Any, ...], others: dict[str, Any]) -> None:
        name = type(self).__name__
        if len(arrays) > len(self._arguments):
            raise TypeError(f"{name}: {len(arrays)} arrays given, expected {', '.join(self._arguments)}")
        for argument in others:
            if argument in self._arguments[: len(arrays)]:
                raise TypeError(f"{name}: {argument} is given twice")
            if argument not in self._arguments:
                set_once = argument in self._options or argument in self._weights
                where = "is set when the module is made" if set_once else f"is none of {', '.join(self._arguments)}"
                raise TypeError(f"{name}: {argument} {where}")


def _module(loss: str, function: Any) -> type[_Loss]:
    """The class of a loss, made of its signature: what is no array of a step is set once."""
    parameters = inspect.signature(function).parameters
    arguments = tuple(name for name in parameters if name in function.spec.names and name not in _BUFFERS)
    own = [p for name, p in parameters.items() if name not in arguments]
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    return type(
        function.spec.row.module,
        (_Loss,),
        {
            "function": staticmethod(function),
            "__signature__": inspect.Signature(own),
            "__module__": __name__,
            "__doc__": (
                f"{summary}\n\nThe module of :func:`fastloss.{loss}`, which says what the parameters mean. Weights are "
                f"buffers. The call takes {', '.join(f'``{name}``' for name in arguments)}."
            ),
            "_options": tuple(p.name for p in own if p.name not in _BUFFERS),
            "_weights": tuple(p.name for p in own if p.name in _BUFFERS),
            "_arguments": arguments,
        },
    )


for _name, _function in fastloss.losses().items():
    globals()[_function.spec.row.module] = _module(_name, _function)
