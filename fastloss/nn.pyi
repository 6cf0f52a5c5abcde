"""Made by tests/stubs.py from the signatures; do not edit."""

from typing import Any

import torch

class BCELoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class BCEWithLogitsLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        reduction: str = "mean",
        pos_weight: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class CrossEntropyLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class MSELoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        weight: Any = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class NLLLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        axis: int | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
