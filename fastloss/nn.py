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
from fastloss._loss import explained

_CALL_ARGUMENTS = ("input", "target", "sample_weight")
_BUFFERS = ("weight", "pos_weight")


class _Loss(torch.nn.Module):
    """A loss whose options are set once. Weights are buffers, so they move and save with the model.

    ``sample_weight`` belongs to the data, not to the module: it is given to the call.
    """

    function: Any
    _options: tuple[str, ...]

    def __init_subclass__(cls, loss: str) -> None:
        super().__init_subclass__()
        cls.function = staticmethod(getattr(fastloss, loss))
        parameters = inspect.signature(cls.function).parameters
        own = [p for name, p in parameters.items() if name not in _CALL_ARGUMENTS]
        cls.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        cls._options = tuple(p.name for p in own if p.name not in _BUFFERS)
        summary = (inspect.getdoc(cls.function) or "").partition("\n")[0]
        cls.__doc__ = (
            f"{summary}\n\nThe module of :func:`fastloss.{loss}`, which says what the parameters mean. Weights are "
            "buffers; ``sample_weight`` may be given to the call."
        )

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
                setattr(self, name, value)
        # The checks of the call, made where the mistake is.
        problem = self.function.spec.problem
        problem(*(getattr(self, name) for name in inspect.signature(problem).parameters))

    def extra_repr(self) -> str:
        defaults = self.__signature__.parameters  # type: ignore[attr-defined]
        changed = (name for name in self._options if getattr(self, name) != defaults[name].default)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in changed)

    def forward(self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None) -> Any:
        options = {name: getattr(self, name) for name in self._options}
        return self.function(input, target, sample_weight=sample_weight, **self._buffers, **options)


class CrossEntropyLoss(_Loss, loss="cross_entropy"):
    pass


class NLLLoss(_Loss, loss="nll_loss"):
    pass


class BCELoss(_Loss, loss="binary_cross_entropy"):
    pass


class BCEWithLogitsLoss(_Loss, loss="binary_cross_entropy_with_logits"):
    pass


class MSELoss(_Loss, loss="mse_loss"):
    pass
