"""Made by tests/stubs.py from the signatures; do not edit."""

from typing import Any

from . import nn as nn

__version__: str

class _BinaryCrossEntropy:
    def __call__(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

binary_cross_entropy: _BinaryCrossEntropy

class _BinaryCrossEntropyWithLogits:
    def __call__(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        pos_weight: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        pos_weight: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        pos_weight: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

binary_cross_entropy_with_logits: _BinaryCrossEntropyWithLogits

class _CrossEntropy:
    def __call__(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

cross_entropy: _CrossEntropy

class _MseLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        weight: Any = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        weight: Any = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        weight: Any = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

mse_loss: _MseLoss

class _NllLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

nll_loss: _NllLoss

def find(text: str) -> list[str]: ...
def get_num_threads() -> int: ...
def info() -> dict[str, Any]: ...
def losses() -> dict[str, Any]: ...
def release_memory() -> None: ...
def set_num_threads(n: int) -> None: ...
