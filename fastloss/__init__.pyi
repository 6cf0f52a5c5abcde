"""Made by tests/stubs.py from the signatures; do not edit."""

from typing import Any

from fastloss.triplets import Pairs, Triplets

from . import nn as nn

__version__: str

class _ArcfaceLoss:
    def __call__(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.5,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.5,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.5,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

arcface_loss: _ArcfaceLoss

class _AsymmetricLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
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
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
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
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

asymmetric_loss: _AsymmetricLoss

class _BatchContrastiveLoss:
    def __call__(
        self,
        embeddings: Any,
        labels: Any,
        pos_margin: float = 0.0,
        neg_margin: float = 1.0,
        *,
        metric: str = "euclidean",
        normalize: bool = False,
        power: int = 2,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        labels: Any,
        pos_margin: float = 0.0,
        neg_margin: float = 1.0,
        *,
        metric: str = "euclidean",
        normalize: bool = False,
        power: int = 2,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        labels: Any,
        pos_margin: float = 0.0,
        neg_margin: float = 1.0,
        *,
        metric: str = "euclidean",
        normalize: bool = False,
        power: int = 2,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

batch_contrastive_loss: _BatchContrastiveLoss

class _BatchTripletLoss:
    def __call__(
        self,
        embeddings: Any,
        labels: Any,
        *,
        mining: str = "hard",
        margin: float | str = 0.2,
        metric: str = "euclidean",
        normalize: bool = False,
        reduction: str = "mean",
        references: Any = None,
        reference_labels: Any = None,
        return_triplets: bool = False,
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        labels: Any,
        *,
        mining: str = "hard",
        margin: float | str = 0.2,
        metric: str = "euclidean",
        normalize: bool = False,
        reduction: str = "mean",
        references: Any = None,
        reference_labels: Any = None,
        return_triplets: bool = False,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        labels: Any,
        *,
        mining: str = "hard",
        margin: float | str = 0.2,
        metric: str = "euclidean",
        normalize: bool = False,
        reduction: str = "mean",
        references: Any = None,
        reference_labels: Any = None,
        return_triplets: bool = False,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

batch_triplet_loss: _BatchTripletLoss

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

class _BoxIouLoss:
    def __call__(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
    ) -> Any: ...
    def value_and_grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

box_iou_loss: _BoxIouLoss

class _CategoricalCrossEntropy:
    def __call__(
        self,
        input: Any,
        target: Any,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        *,
        reduction: str = "mean",
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
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

categorical_cross_entropy: _CategoricalCrossEntropy

class _CauchyLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
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
        scale: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

cauchy_loss: _CauchyLoss

class _Cdist:
    def __call__(
        self,
        x: Any,
        y: Any = None,
        *,
        metric: str = "euclidean",
        p: float = 2.0,
    ) -> Any: ...
    def value_and_grad(
        self,
        x: Any,
        y: Any = None,
        *,
        metric: str = "euclidean",
        p: float = 2.0,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        x: Any,
        y: Any = None,
        *,
        metric: str = "euclidean",
        p: float = 2.0,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

cdist: _Cdist

class _CharbonnierLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        eps: float = 0.001,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        eps: float = 0.001,
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
        eps: float = 0.001,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

charbonnier_loss: _CharbonnierLoss

class _CircleLoss:
    def __call__(
        self,
        embeddings: Any,
        labels: Any,
        m: float = 0.4,
        gamma: float = 80.0,
        *,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        labels: Any,
        m: float = 0.4,
        gamma: float = 80.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        labels: Any,
        m: float = 0.4,
        gamma: float = 80.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

circle_loss: _CircleLoss

class _ClipLoss:
    def __call__(
        self,
        image: Any,
        text: Any,
        logit_scale: Any = 14.285714285714285,
        *,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        image: Any,
        text: Any,
        logit_scale: Any = 14.285714285714285,
        *,
        normalize: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        image: Any,
        text: Any,
        logit_scale: Any = 14.285714285714285,
        *,
        normalize: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

clip_loss: _ClipLoss

class _CompleteBoxIouLoss:
    def __call__(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
    ) -> Any: ...
    def value_and_grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

complete_box_iou_loss: _CompleteBoxIouLoss

class _ContrastiveLoss:
    def __call__(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

contrastive_loss: _ContrastiveLoss

class _CosfaceLoss:
    def __call__(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.35,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.35,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.35,
        scale: float = 64.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

cosface_loss: _CosfaceLoss

class _CosineEmbeddingLoss:
    def __call__(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

cosine_embedding_loss: _CosineEmbeddingLoss

class _CosineSimilarityLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        axis: int = -1,
        eps: float = 1e-08,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        axis: int = -1,
        eps: float = 1e-08,
        *,
        reduction: str = "mean",
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
        axis: int = -1,
        eps: float = 1e-08,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

cosine_similarity_loss: _CosineSimilarityLoss

class _CrammerSingerLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        margin: float = 1.0,
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
        margin: float = 1.0,
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
        margin: float = 1.0,
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

crammer_singer_loss: _CrammerSingerLoss

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

class _CtcLoss:
    def __call__(
        self,
        log_probs: Any,
        targets: Any,
        input_lengths: Any,
        target_lengths: Any,
        blank: int = 0,
        reduction: str = "mean",
        zero_infinity: bool = False,
        *,
        from_logits: bool = False,
        batch_first: bool = False,
        grad_of: str = "log_probs",
    ) -> Any: ...
    def value_and_grad(
        self,
        log_probs: Any,
        targets: Any,
        input_lengths: Any,
        target_lengths: Any,
        blank: int = 0,
        reduction: str = "mean",
        zero_infinity: bool = False,
        *,
        from_logits: bool = False,
        batch_first: bool = False,
        grad_of: str = "log_probs",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        log_probs: Any,
        targets: Any,
        input_lengths: Any,
        target_lengths: Any,
        blank: int = 0,
        reduction: str = "mean",
        zero_infinity: bool = False,
        *,
        from_logits: bool = False,
        batch_first: bool = False,
        grad_of: str = "log_probs",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

ctc_loss: _CtcLoss

class _DiceLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
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
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

dice_loss: _DiceLoss

class _DistanceBoxIouLoss:
    def __call__(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
    ) -> Any: ...
    def value_and_grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

distance_box_iou_loss: _DistanceBoxIouLoss

class _ElasticNetPenalty:
    def __call__(
        self,
        parameters: Any,
        strength: float = 1.0,
        l1_ratio: float = 0.5,
    ) -> Any: ...
    def value_and_grad(
        self,
        parameters: Any,
        strength: float = 1.0,
        l1_ratio: float = 0.5,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        parameters: Any,
        strength: float = 1.0,
        l1_ratio: float = 0.5,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

elastic_net_penalty: _ElasticNetPenalty

class _EntropyLoss:
    def __call__(
        self,
        input: Any,
        from_logits: bool = True,
        axis: int | None = None,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        from_logits: bool = True,
        axis: int | None = None,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input: Any,
        from_logits: bool = True,
        axis: int | None = None,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

entropy_loss: _EntropyLoss

class _ExponentialLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
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
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

exponential_loss: _ExponentialLoss

class _FocalLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        gamma: float = 2.0,
        alpha: Any = None,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        gamma: float = 2.0,
        alpha: Any = None,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
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
        gamma: float = 2.0,
        alpha: Any = None,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

focal_loss: _FocalLoss

class _FocalTverskyLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
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
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
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
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

focal_tversky_loss: _FocalTverskyLoss

class _GammaNllLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        log_input: bool = True,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        log_input: bool = True,
        reduction: str = "mean",
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
        log_input: bool = True,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

gamma_nll_loss: _GammaNllLoss

class _GanDiscriminatorLoss:
    def __call__(
        self,
        real_logits: Any,
        fake_logits: Any,
        mode: str = "non_saturating",
        *,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        real_weight: Any = None,
        fake_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        real_logits: Any,
        fake_logits: Any,
        mode: str = "non_saturating",
        *,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        real_weight: Any = None,
        fake_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        real_logits: Any,
        fake_logits: Any,
        mode: str = "non_saturating",
        *,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        real_weight: Any = None,
        fake_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

gan_discriminator_loss: _GanDiscriminatorLoss

class _GanGeneratorLoss:
    def __call__(
        self,
        fake_logits: Any,
        mode: str = "non_saturating",
        real_logits: Any = None,
        *,
        from_logits: bool = True,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        fake_logits: Any,
        mode: str = "non_saturating",
        real_logits: Any = None,
        *,
        from_logits: bool = True,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        fake_logits: Any,
        mode: str = "non_saturating",
        real_logits: Any = None,
        *,
        from_logits: bool = True,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

gan_generator_loss: _GanGeneratorLoss

class _GaussianNllLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        var: Any,
        full: bool = False,
        eps: float = 1e-06,
        reduction: str = "mean",
        *,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        var: Any,
        full: bool = False,
        eps: float = 1e-06,
        reduction: str = "mean",
        *,
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
        var: Any,
        full: bool = False,
        eps: float = 1e-06,
        reduction: str = "mean",
        *,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

gaussian_nll_loss: _GaussianNllLoss

class _GemanMcclureLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
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
        scale: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

geman_mcclure_loss: _GemanMcclureLoss

class _GeneralizedBoxIouLoss:
    def __call__(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
    ) -> Any: ...
    def value_and_grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        boxes1: Any,
        boxes2: Any,
        reduction: str = "none",
        eps: float = 1e-07,
        *,
        sample_weight: Any = None,
        empty: str = "zero",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

generalized_box_iou_loss: _GeneralizedBoxIouLoss

class _GeneralizedCrossEntropy:
    def __call__(
        self,
        input: Any,
        target: Any,
        q: float = 0.7,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        q: float = 0.7,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
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
        q: float = 0.7,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

generalized_cross_entropy: _GeneralizedCrossEntropy

class _HingeEmbeddingLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
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
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

hinge_embedding_loss: _HingeEmbeddingLoss

class _HingeLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        margin: float = 1.0,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        margin: float = 1.0,
        reduction: str = "mean",
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
        *,
        margin: float = 1.0,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

hinge_loss: _HingeLoss

class _HuberLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        reduction: str = "mean",
        delta: float = 1.0,
        weight: Any = None,
        *,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        reduction: str = "mean",
        delta: float = 1.0,
        weight: Any = None,
        *,
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
        reduction: str = "mean",
        delta: float = 1.0,
        weight: Any = None,
        *,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

huber_loss: _HuberLoss

class _InfoNceLoss:
    def __call__(
        self,
        query: Any,
        positive_key: Any,
        negative_keys: Any = None,
        temperature: float = 0.1,
        *,
        in_batch: bool = True,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        query: Any,
        positive_key: Any,
        negative_keys: Any = None,
        temperature: float = 0.1,
        *,
        in_batch: bool = True,
        normalize: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        query: Any,
        positive_key: Any,
        negative_keys: Any = None,
        temperature: float = 0.1,
        *,
        in_batch: bool = True,
        normalize: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

info_nce_loss: _InfoNceLoss

class _JaccardLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
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
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

jaccard_loss: _JaccardLoss

class _JsDiv:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        log_target: bool = False,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        log_target: bool = False,
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
        log_target: bool = False,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

js_div: _JsDiv

class _KlDiv:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        log_target: bool = False,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        log_target: bool = False,
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
        log_target: bool = False,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

kl_div: _KlDiv

class _KlDivWithLogits:
    def __call__(
        self,
        student: Any,
        teacher: Any,
        temperature: float = 1.0,
        *,
        reduction: str = "mean",
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        student: Any,
        teacher: Any,
        temperature: float = 1.0,
        *,
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
        student: Any,
        teacher: Any,
        temperature: float = 1.0,
        *,
        reduction: str = "mean",
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

kl_div_with_logits: _KlDivWithLogits

class _L1Loss:
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

l1_loss: _L1Loss

class _L1Penalty:
    def __call__(
        self,
        parameters: Any,
        strength: float = 1.0,
    ) -> Any: ...
    def value_and_grad(
        self,
        parameters: Any,
        strength: float = 1.0,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        parameters: Any,
        strength: float = 1.0,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

l1_penalty: _L1Penalty

class _L2Penalty:
    def __call__(
        self,
        parameters: Any,
        strength: float = 1.0,
    ) -> Any: ...
    def value_and_grad(
        self,
        parameters: Any,
        strength: float = 1.0,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        parameters: Any,
        strength: float = 1.0,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

l2_penalty: _L2Penalty

class _LogCoshLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
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
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

log_cosh_loss: _LogCoshLoss

class _LogisticLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        targets: str = "sign",
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
        *,
        targets: str = "sign",
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
        *,
        targets: str = "sign",
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

logistic_loss: _LogisticLoss

class _MapeLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        eps: float = 1e-07,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        eps: float = 1e-07,
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
        eps: float = 1e-07,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

mape_loss: _MapeLoss

class _MarginRankingLoss:
    def __call__(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input1: Any,
        input2: Any,
        target: Any,
        margin: float = 0.0,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

margin_ranking_loss: _MarginRankingLoss

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

class _MsleLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
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
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

msle_loss: _MsleLoss

class _MultiMarginLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        p: int = 1,
        margin: float = 1.0,
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
        p: int = 1,
        margin: float = 1.0,
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
        p: int = 1,
        margin: float = 1.0,
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

multi_margin_loss: _MultiMarginLoss

class _MultiSimilarityLoss:
    def __call__(
        self,
        embeddings: Any,
        labels: Any,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        *,
        epsilon: float | None = None,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        labels: Any,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        *,
        epsilon: float | None = None,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        labels: Any,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        *,
        epsilon: float | None = None,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

multi_similarity_loss: _MultiSimilarityLoss

class _MultilabelMarginLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        axis: int = -1,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        axis: int = -1,
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
        axis: int = -1,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

multilabel_margin_loss: _MultilabelMarginLoss

class _MultilabelSoftMarginLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        axis: int = -1,
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
        axis: int = -1,
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
        axis: int = -1,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

multilabel_soft_margin_loss: _MultilabelSoftMarginLoss

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

class _NpairsLoss:
    def __call__(
        self,
        anchor: Any,
        positive: Any,
        labels: Any = None,
        l2_reg: float = 0.002,
        *,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        anchor: Any,
        positive: Any,
        labels: Any = None,
        l2_reg: float = 0.002,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        anchor: Any,
        positive: Any,
        labels: Any = None,
        l2_reg: float = 0.002,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

npairs_loss: _NpairsLoss

class _NtXentLoss:
    def __call__(
        self,
        z1: Any,
        z2: Any,
        temperature: float = 0.5,
        *,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        z1: Any,
        z2: Any,
        temperature: float = 0.5,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        z1: Any,
        z2: Any,
        temperature: float = 0.5,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

nt_xent_loss: _NtXentLoss

class _PairwiseDistance:
    def __call__(
        self,
        x1: Any,
        x2: Any,
        p: float = 2.0,
        eps: float = 1e-06,
        keepdim: bool = False,
    ) -> Any: ...
    def value_and_grad(
        self,
        x1: Any,
        x2: Any,
        p: float = 2.0,
        eps: float = 1e-06,
        keepdim: bool = False,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        x1: Any,
        x2: Any,
        p: float = 2.0,
        eps: float = 1e-06,
        keepdim: bool = False,
        *,
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

pairwise_distance: _PairwiseDistance

class _PerceptronLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
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
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

perceptron_loss: _PerceptronLoss

class _PoissonNllLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        log_input: bool = True,
        full: bool = False,
        *,
        reduction: str = "mean",
        eps: float = 1e-08,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        log_input: bool = True,
        full: bool = False,
        *,
        reduction: str = "mean",
        eps: float = 1e-08,
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
        log_input: bool = True,
        full: bool = False,
        *,
        reduction: str = "mean",
        eps: float = 1e-08,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

poisson_nll_loss: _PoissonNllLoss

class _PolyCrossEntropy:
    def __call__(
        self,
        input: Any,
        target: Any,
        epsilon: float = 1.0,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        epsilon: float = 1.0,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
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
        epsilon: float = 1.0,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        axis: int | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

poly_cross_entropy: _PolyCrossEntropy

class _ProxyAnchorLoss:
    def __call__(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.1,
        alpha: float = 32.0,
        *,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.1,
        alpha: float = 32.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        margin: float = 0.1,
        alpha: float = 32.0,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

proxy_anchor_loss: _ProxyAnchorLoss

class _ProxyNcaLoss:
    def __call__(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        scale: float = 1.0,
        *,
        include_positive: bool = True,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        scale: float = 1.0,
        *,
        include_positive: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        weights: Any,
        labels: Any,
        scale: float = 1.0,
        *,
        include_positive: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

proxy_nca_loss: _ProxyNcaLoss

class _QuantileLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        quantile: float = 0.5,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        quantile: float = 0.5,
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
        quantile: float = 0.5,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

quantile_loss: _QuantileLoss

class _RmseLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        eps: float = 0.0,
        axis: int | None = None,
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
        eps: float = 0.0,
        axis: int | None = None,
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
        eps: float = 0.0,
        axis: int | None = None,
        *,
        reduction: str = "mean",
        weight: Any = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

rmse_loss: _RmseLoss

class _SelfInformation:
    def __call__(
        self,
        input: Any,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        input: Any,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

self_information: _SelfInformation

class _SiglipLoss:
    def __call__(
        self,
        image: Any,
        text: Any,
        logit_scale: Any = 10.0,
        logit_bias: Any = -10.0,
        *,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        image: Any,
        text: Any,
        logit_scale: Any = 10.0,
        logit_bias: Any = -10.0,
        *,
        normalize: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        image: Any,
        text: Any,
        logit_scale: Any = 10.0,
        logit_bias: Any = -10.0,
        *,
        normalize: bool = True,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

siglip_loss: _SiglipLoss

class _SigmoidFocalLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str = "none",
        *,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str = "none",
        *,
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
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str = "none",
        *,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

sigmoid_focal_loss: _SigmoidFocalLoss

class _SmoothL1Loss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        beta: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        beta: float = 1.0,
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
        beta: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

smooth_l1_loss: _SmoothL1Loss

class _SoftMarginLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
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
        *,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

soft_margin_loss: _SoftMarginLoss

class _SparseCategoricalCrossEntropy:
    def __call__(
        self,
        input: Any,
        target: Any,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        *,
        reduction: str = "mean",
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
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

sparse_categorical_cross_entropy: _SparseCategoricalCrossEntropy

class _SquaredHingeLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        margin: float = 1.0,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        margin: float = 1.0,
        reduction: str = "mean",
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
        *,
        margin: float = 1.0,
        reduction: str = "mean",
        ignore_index: float | None = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

squared_hinge_loss: _SquaredHingeLoss

class _SupervisedContrastiveLoss:
    def __call__(
        self,
        embeddings: Any,
        labels: Any,
        temperature: float = 0.1,
        *,
        reduction: str = "mean",
    ) -> Any: ...
    def value_and_grad(
        self,
        embeddings: Any,
        labels: Any,
        temperature: float = 0.1,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        embeddings: Any,
        labels: Any,
        temperature: float = 0.1,
        *,
        reduction: str = "mean",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

supervised_contrastive_loss: _SupervisedContrastiveLoss

class _TripletLossFromDistances:
    def __call__(
        self,
        positive: Any,
        negative: Any,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        weight: Any = None,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        positive: Any,
        negative: Any,
        margin: float = 1.0,
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
        positive: Any,
        negative: Any,
        margin: float = 1.0,
        *,
        reduction: str = "mean",
        weight: Any = None,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

triplet_loss_from_distances: _TripletLossFromDistances

class _TripletMarginLoss:
    def __call__(
        self,
        anchor: Any,
        positive: Any,
        negative: Any,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-06,
        swap: bool = False,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        anchor: Any,
        positive: Any,
        negative: Any,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-06,
        swap: bool = False,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        anchor: Any,
        positive: Any,
        negative: Any,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-06,
        swap: bool = False,
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

triplet_margin_loss: _TripletMarginLoss

class _TripletMarginWithDistanceLoss:
    def __call__(
        self,
        anchor: Any,
        positive: Any,
        negative: Any,
        *,
        distance_function: Any = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        anchor: Any,
        positive: Any,
        negative: Any,
        *,
        distance_function: Any = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> tuple[Any, Any]: ...
    def grad(
        self,
        anchor: Any,
        positive: Any,
        negative: Any,
        *,
        distance_function: Any = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

triplet_margin_with_distance_loss: _TripletMarginWithDistanceLoss

class _TvDiv:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        log_target: bool = False,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        log_target: bool = False,
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
        log_target: bool = False,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

tv_div: _TvDiv

class _TverskyLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
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
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
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
        alpha: float = 0.5,
        beta: float = 0.5,
        mode: str | None = None,
        from_logits: bool = False,
        smooth: float = 0.0,
        axis: int | None = None,
        per_image: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

tversky_loss: _TverskyLoss

class _TweedieLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        power: float = 1.5,
        log_input: bool = True,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        power: float = 1.5,
        log_input: bool = True,
        reduction: str = "mean",
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
        power: float = 1.5,
        log_input: bool = True,
        reduction: str = "mean",
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

tweedie_loss: _TweedieLoss

class _WelschLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
    ) -> Any: ...
    def value_and_grad(
        self,
        input: Any,
        target: Any,
        *,
        reduction: str = "mean",
        scale: float = 1.0,
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
        scale: float = 1.0,
        sample_weight: Any = None,
        empty: str = "nan",
        wrt: Any = None,
        out: Any = None,
        grad_output: Any = None,
    ) -> Any: ...

welsch_loss: _WelschLoss

class _ZeroOneLoss:
    def __call__(
        self,
        input: Any,
        target: Any,
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

zero_one_loss: _ZeroOneLoss

def ctc_beam_decode(
    log_probs: Any,
    input_lengths: Any = None,
    blank: int = 0,
    *,
    beam: int = 32,
    top_k: int = 1,
    from_logits: bool = False,
    batch_first: bool = False,
) -> tuple[Any, Any]: ...
def ctc_feasible(
    targets: Any,
    input_lengths: Any,
    target_lengths: Any = None,
) -> Any: ...
def ctc_forced_align(
    log_probs: Any,
    targets: Any,
    input_lengths: Any = None,
    target_lengths: Any = None,
    blank: int = 0,
    *,
    from_logits: bool = False,
    batch_first: bool = False,
) -> tuple[Any, Any]: ...
def ctc_greedy_decode(
    log_probs: Any,
    input_lengths: Any = None,
    blank: int = 0,
    *,
    from_logits: bool = False,
    batch_first: bool = False,
) -> tuple[Any, Any]: ...
def ctc_posteriors(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    *,
    from_logits: bool = False,
    batch_first: bool = False,
) -> Any: ...
def find(
    text: str,
) -> list[str]: ...
def get_num_threads() -> int: ...
def info() -> dict[str, Any]: ...
def losses() -> dict[str, Any]: ...
def mine_pairs(
    embeddings: Any,
    labels: Any,
    *,
    pos_margin: float = 0.2,
    neg_margin: float = 0.8,
    metric: str = "euclidean",
    normalize: bool = False,
    references: Any = None,
    reference_labels: Any = None,
) -> Pairs: ...
def mine_triplets(
    embeddings: Any,
    labels: Any,
    *,
    mining: str = "hard",
    margin: float | str = 0.2,
    metric: str = "euclidean",
    normalize: bool = False,
    references: Any = None,
    reference_labels: Any = None,
) -> Triplets: ...
def release_memory() -> None: ...
def set_num_threads(
    n: int,
) -> None: ...
