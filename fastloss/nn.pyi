"""Made by tests/stubs.py from the signatures; do not edit."""

from typing import Any

import torch

class ArcFaceLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 0.5,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class AsymmetricLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
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

class BatchContrastiveLoss(torch.nn.Module):
    def __init__(
        self,
        pos_margin: float = 0.0,
        neg_margin: float = 1.0,
        *,
        metric: str = "euclidean",
        normalize: bool = False,
        power: int = 2,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class BatchTripletLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        mining: str = "hard",
        margin: float | str = 0.2,
        metric: str = "euclidean",
        normalize: bool = False,
        reduction: str = "mean",
        return_triplets: bool = False,
    ) -> None: ...
    def forward(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        references: torch.Tensor | None = None,
        reference_labels: torch.Tensor | None = None,
    ) -> Any: ...
    def __call__(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        references: torch.Tensor | None = None,
        reference_labels: torch.Tensor | None = None,
    ) -> Any: ...

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

class BoxIoULoss(torch.nn.Module):
    def __init__(
        self,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        empty: str = "zero",
    ) -> None: ...
    def forward(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class CategoricalCrossEntropyLoss(torch.nn.Module):
    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class CauchyLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class DistanceMatrix(torch.nn.Module):
    def __init__(
        self,
        *,
        metric: str = "euclidean",
        p: float = 2.0,
    ) -> None: ...
    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor: ...
    def __call__(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor: ...

class CharbonnierLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        eps: float = 0.001,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class CircleLoss(torch.nn.Module):
    def __init__(
        self,
        m: float = 0.4,
        gamma: float = 80.0,
        *,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class CLIPLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, image: torch.Tensor, text: torch.Tensor, logit_scale: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, image: torch.Tensor, text: torch.Tensor, logit_scale: torch.Tensor) -> torch.Tensor: ...

class CompleteBoxIoULoss(torch.nn.Module):
    def __init__(
        self,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        empty: str = "zero",
    ) -> None: ...
    def forward(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class ContrastiveLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self,
        input1: torch.Tensor,
        input2: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...
    def __call__(
        self,
        input1: torch.Tensor,
        input2: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...

class CosFaceLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 0.35,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class CosineEmbeddingLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self,
        input1: torch.Tensor,
        input2: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...
    def __call__(
        self,
        input1: torch.Tensor,
        input2: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...

class CosineSimilarityLoss(torch.nn.Module):
    def __init__(
        self,
        axis: int = -1,
        eps: float = 1e-08,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class CrammerSingerLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 1.0,
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

class CTCLoss(torch.nn.Module):
    def __init__(
        self,
        blank: int = 0,
        reduction: str = "mean",
        zero_infinity: bool = False,
        *,
        from_logits: bool = False,
        batch_first: bool = False,
        grad_of: str = "log_probs",
    ) -> None: ...
    def forward(
        self, log_probs: torch.Tensor, targets: torch.Tensor, input_lengths: torch.Tensor, target_lengths: torch.Tensor
    ) -> torch.Tensor: ...
    def __call__(
        self, log_probs: torch.Tensor, targets: torch.Tensor, input_lengths: torch.Tensor, target_lengths: torch.Tensor
    ) -> torch.Tensor: ...

class DiceLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class DistanceBoxIoULoss(torch.nn.Module):
    def __init__(
        self,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        empty: str = "zero",
    ) -> None: ...
    def forward(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class ElasticNetPenalty(torch.nn.Module):
    def __init__(
        self,
        strength: float = 1.0,
        l1_ratio: float = 0.5,
    ) -> None: ...
    def forward(self, parameters: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, parameters: torch.Tensor) -> torch.Tensor: ...

class EntropyLoss(torch.nn.Module):
    def __init__(
        self,
        from_logits: bool = True,
        axis: int | None = None,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(self, input: torch.Tensor, sample_weight: torch.Tensor | None = None) -> torch.Tensor: ...
    def __call__(self, input: torch.Tensor, sample_weight: torch.Tensor | None = None) -> torch.Tensor: ...

class ExponentialLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class FocalLoss(torch.nn.Module):
    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Any = None,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class FocalTverskyLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 0.75,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class GammaNLLLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        log_input: bool = True,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class GANDiscriminatorLoss(torch.nn.Module):
    def __init__(
        self,
        mode: str = "non_saturating",
        *,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self,
        real_logits: torch.Tensor,
        fake_logits: torch.Tensor,
        real_weight: torch.Tensor | None = None,
        fake_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...
    def __call__(
        self,
        real_logits: torch.Tensor,
        fake_logits: torch.Tensor,
        real_weight: torch.Tensor | None = None,
        fake_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...

class GANGeneratorLoss(torch.nn.Module):
    def __init__(
        self,
        mode: str = "non_saturating",
        *,
        from_logits: bool = True,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self,
        fake_logits: torch.Tensor,
        real_logits: torch.Tensor | None = None,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...
    def __call__(
        self,
        fake_logits: torch.Tensor,
        real_logits: torch.Tensor | None = None,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...

class GaussianNLLLoss(torch.nn.Module):
    def __init__(
        self,
        full: bool = False,
        eps: float = 1e-06,
        reduction: str = "mean",
        *,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, var: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, var: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class GemanMcClureLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class GeneralizedBoxIoULoss(torch.nn.Module):
    def __init__(
        self,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        empty: str = "zero",
    ) -> None: ...
    def forward(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, boxes1: torch.Tensor, boxes2: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class GeneralizedCrossEntropyLoss(torch.nn.Module):
    def __init__(
        self,
        q: float = 0.7,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class HingeEmbeddingLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class HingeLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        margin: float = 1.0,
        reduction: str = "mean",
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class HuberLoss(torch.nn.Module):
    def __init__(
        self,
        reduction: str = "mean",
        delta: float = 1.0,
        weight: Any = None,
        *,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class InfoNCELoss(torch.nn.Module):
    def __init__(
        self,
        temperature: float = 0.1,
        *,
        in_batch: bool = True,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> None: ...
    def forward(
        self, query: torch.Tensor, positive_key: torch.Tensor, negative_keys: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, query: torch.Tensor, positive_key: torch.Tensor, negative_keys: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class JaccardLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class JSDivLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        log_target: bool = False,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class KLDivLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        log_target: bool = False,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class KLDivWithLogitsLoss(torch.nn.Module):
    def __init__(
        self,
        temperature: float = 1.0,
        *,
        reduction: str = "mean",
        axis: int | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, student: torch.Tensor, teacher: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, student: torch.Tensor, teacher: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class L1Loss(torch.nn.Module):
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

class L1Penalty(torch.nn.Module):
    def __init__(
        self,
        strength: float = 1.0,
    ) -> None: ...
    def forward(self, parameters: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, parameters: torch.Tensor) -> torch.Tensor: ...

class L2Penalty(torch.nn.Module):
    def __init__(
        self,
        strength: float = 1.0,
    ) -> None: ...
    def forward(self, parameters: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, parameters: torch.Tensor) -> torch.Tensor: ...

class LogCoshLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class LogisticLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        targets: str = "sign",
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

class MAPELoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        eps: float = 1e-07,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class MarginRankingLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self,
        input1: torch.Tensor,
        input2: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...
    def __call__(
        self,
        input1: torch.Tensor,
        input2: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
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

class MSLELoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class MultiMarginLoss(torch.nn.Module):
    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
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

class MultiSimilarityLoss(torch.nn.Module):
    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        *,
        epsilon: float | None = None,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class MultiLabelMarginLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        axis: int = -1,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class MultiLabelSoftMarginLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        reduction: str = "mean",
        axis: int = -1,
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

class NPairsLoss(torch.nn.Module):
    def __init__(
        self,
        l2_reg: float = 0.002,
        *,
        reduction: str = "mean",
    ) -> None: ...
    def forward(
        self, anchor: torch.Tensor, positive: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, anchor: torch.Tensor, positive: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class NTXentLoss(torch.nn.Module):
    def __init__(
        self,
        temperature: float = 0.5,
        *,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor: ...

class PairwiseDistance(torch.nn.Module):
    def __init__(
        self,
        p: float = 2.0,
        eps: float = 1e-06,
        keepdim: bool = False,
    ) -> None: ...
    def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor: ...

class PerceptronLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class PoissonNLLLoss(torch.nn.Module):
    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        reduction: str = "mean",
        eps: float = 1e-08,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class PolyCrossEntropyLoss(torch.nn.Module):
    def __init__(
        self,
        epsilon: float = 1.0,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class ProxyAnchorLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 0.1,
        alpha: float = 32.0,
        *,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class ProxyNCALoss(torch.nn.Module):
    def __init__(
        self,
        scale: float = 1.0,
        *,
        include_positive: bool = True,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class QuantileLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        quantile: float = 0.5,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class RMSELoss(torch.nn.Module):
    def __init__(
        self,
        eps: float = 0.0,
        axis: int | None = None,
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

class SelfInformationLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(self, input: torch.Tensor, sample_weight: torch.Tensor | None = None) -> torch.Tensor: ...
    def __call__(self, input: torch.Tensor, sample_weight: torch.Tensor | None = None) -> torch.Tensor: ...

class SigLIPLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> None: ...
    def forward(
        self, image: torch.Tensor, text: torch.Tensor, logit_scale: torch.Tensor, logit_bias: torch.Tensor
    ) -> torch.Tensor: ...
    def __call__(
        self, image: torch.Tensor, text: torch.Tensor, logit_scale: torch.Tensor, logit_bias: torch.Tensor
    ) -> torch.Tensor: ...

class SigmoidFocalLoss(torch.nn.Module):
    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str = "none",
        *,
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

class SmoothL1Loss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        beta: float = 1.0,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class SoftMarginLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class SparseCategoricalCrossEntropyLoss(torch.nn.Module):
    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class SquaredHingeLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        margin: float = 1.0,
        reduction: str = "mean",
        ignore_index: float | None = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class SupervisedContrastiveLoss(torch.nn.Module):
    def __init__(
        self,
        temperature: float = 0.1,
        *,
        reduction: str = "mean",
    ) -> None: ...
    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

class TripletLossFromDistances(torch.nn.Module):
    def __init__(
        self,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        weight: Any = None,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, positive: torch.Tensor, negative: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, positive: torch.Tensor, negative: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class TripletMarginLoss(torch.nn.Module):
    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-06,
        swap: bool = False,
        *,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...
    def __call__(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...

class TripletMarginWithDistanceLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        distance_function: Any = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...
    def __call__(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
    ) -> torch.Tensor: ...

class TVDivLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        log_target: bool = False,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class TverskyLoss(torch.nn.Module):
    def __init__(
        self,
        weight: Any = None,
        *,
        alpha: float = 0.5,
        beta: float = 0.5,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class TweedieLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        power: float = 1.5,
        log_input: bool = True,
        reduction: str = "mean",
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class WelschLoss(torch.nn.Module):
    def __init__(
        self,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
        empty: str = "nan",
    ) -> None: ...
    def forward(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...
    def __call__(
        self, input: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor: ...

class ZeroOneLoss(torch.nn.Module):
    def __init__(
        self,
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
