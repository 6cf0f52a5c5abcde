"""Cross-entropy of finding the right one among all others by similarity: the matrix of similarities is never held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastloss import _batch
from fastloss import _sweeps as sweeps
from fastloss._batch import Job
from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, REAL, Indices, Row
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands
from fastloss._similarities import (
    UNITS,
    SimilarityProblem,
    TwoNumbers,
    entropy_sweep,
    groups,
    kernels_of,
    per_row,
    squared_norms,
    write_losses,
)

__all__ = [
    "clip_loss",
    "info_nce_loss",
    "npairs_loss",
    "nt_xent_loss",
    "siglip_loss",
    "supervised_contrastive_loss",
]

_LABELS = {"labels": "class indices have none"}


_MARGINALS = kernels_of(
    "similarities_cpu", "positive_logits", "marginals", "merge_marginals", "finish_marginals", "softmax_coefficients"
)
_ENTROPY = kernels_of("similarities_cpu", "cross_entropy_rows", OTHERS=False, MARGIN=0)


# One view among all others.


class _InfoNCE(SimilarityProblem):
    name = "info_nce_loss"
    operands = (
        ("query", "rows"),
        ("positive_key", "rows"),
        ("negative_keys", "more"),
    )
    kernels = (*UNITS, *_ENTROPY)

    def __init__(self, temperature: Any, in_batch: Any, normalize: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.scale, self.unit = self.temperature(temperature), self.flag("normalize", normalize)
        self.in_batch = self.flag("in_batch", in_batch)

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        if arrays[2] is None and not self.in_batch:
            raise ValueError(f"{self.name}: negative_keys is None and in_batch is False, which leaves no negatives")
        return super().normalise(backend, arrays)

    def compute(self, job: Job) -> tuple[float, float]:
        query, positive, negative = job.operands[:3]
        by_query, by_positive, by_negative = job.grads
        left = sweeps.Units([query], self.unit, job.threads)
        first = np.arange(len(query))
        if self.in_batch:
            own, parts, slopes = None, [positive], [by_positive]
            if negative is not None:
                parts, slopes = [positive, negative], [by_positive, by_negative]
        else:  # the one positive of each query is the first column of its row
            first = np.zeros(len(query), np.int64)
            own, parts, slopes = sweeps.Units([positive], self.unit, job.threads), [negative], [by_negative]
        right = sweeps.Units(parts, self.unit, job.threads)
        found = entropy_sweep(
            left.rows,
            right.rows,
            self.scale,
            first,
            first + 1,
            job,
            wanted=(by_query is not None, any(grad is not None for grad in slopes)),
            own=None if own is None else own.rows,
        )
        left.write_slopes(found.by_left, self.scale, [by_query])
        right.write_slopes(found.by_right, self.scale, slopes)
        if own is not None:
            own.write_slopes(found.by_own, self.scale, [by_positive])
        return found.total, found.count


@loss(
    _InfoNCE,
    Row(
        "InfoNCELoss",
        {"query": REAL, "positive_key": REAL, "negative_keys": REAL},
        {"temperature": POSITIVE, "in_batch": FLAG, "normalize": FLAG},
        denominator="rows",
        also=("InfoNCE", "noise contrastive estimation", "in-batch negatives", "multiple negatives ranking"),
        whole=True,
    ),
    differentiable=("query", "positive_key", "negative_keys"),
    default=("query", "positive_key"),
    names=("query", "positive_key", "negative_keys", "", ""),
    engine=_batch.BatchLoss,
)
def info_nce_loss(
    query: Any,
    positive_key: Any,
    negative_keys: Any = None,
    temperature: float = 0.1,
    *,
    in_batch: bool = True,
    normalize: bool = True,
    reduction: str = "mean",
) -> Arguments:
    r"""Cross-entropy of finding each query's own key among the keys of the whole batch.

    .. math:: \ell_i = -\log\frac{\exp(\langle q_i, k_i\rangle / \tau)}{\sum_j \exp(\langle q_i, k_j\rangle / \tau)}

    over the positive keys of all queries (in-batch negatives) and the negative keys, if any.

    Args:
        query: embeddings q of shape (N, D).
        positive_key: the key of each query, of shape (N, D); those of the other queries are its negatives.
        negative_keys: more negatives of all queries, of shape (M, D).
        temperature: tau > 0.
        in_batch: whether the keys of other queries are negatives; if not, the sum is over the query's own key and the
            negative keys alone, as where these are a queue (MoCo).
        normalize: whether rows are divided by their norms first, so that products are cosines.
        reduction: ``"none"`` (one loss a query), ``"sum"``, or ``"mean"`` over the queries.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``; of no queries 0. Gradients exist for all three arrays
        (the first two by default).

    Raises:
        ValueError: shapes that do not fit, a temperature that is not positive, no negatives at all. TypeError: a dtype
            that is not floating.

    A row of zeros has cosines of 0 and a gradient of 0. The loss of one direction; :func:`clip_loss` takes both.

    >>> import numpy as np, fastloss as fl
    >>> q = np.eye(3)
    >>> round(float(fl.info_nce_loss(q, q, temperature=1.0)), 6)  # log(1 + 2 / e)
    0.551445

    Source: van den Oord, Li and Vinyals (2018), Representation Learning with Contrastive Predictive Coding.
    """
    return (query, positive_key, negative_keys, None, None), (temperature, in_batch, normalize, reduction)


def _of_itself(
    matrices: Sequence[Any], order: Any, firsts: Any, lasts: Any, scale: float, job: Job
) -> tuple[sweeps.Units, sweeps.Margins]:
    """Cross-entropy of the cosines of each row with all others, against those of its group."""
    units = sweeps.Units(matrices, True, job.threads, order)
    weights, losses, _ = per_row(job, units.rows, order)
    found = sweeps.Margins(units.rows, None, scale, job.threads, firsts, lasts, weights, [losses])
    write_losses(job, losses, order)
    return units, found


class _NTXent(SimilarityProblem):
    name = "nt_xent_loss"
    operands = (
        ("z1", "rows"),
        ("z2", "rows"),
    )
    kernels = (*UNITS, *_MARGINALS)

    def __init__(self, temperature: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.scale = self.temperature(temperature)

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return (2 * int(operands[0].shape[0]),)

    def compute(self, job: Job) -> tuple[float, float]:
        views = job.operands[:2]
        pairs = len(views[0])
        # Views of one thing next to each other: a group of two.
        order = np.arange(2 * pairs).reshape(2, pairs).T.reshape(-1)
        firsts = np.repeat(np.arange(0, 2 * pairs, 2), 2)
        units, found = _of_itself(views, order, firsts, firsts + 2, self.scale, job)
        if any(grad is not None for grad in job.grads):
            units.write_slopes(found.slopes_of_itself(), self.scale, job.grads[:2])
        return found.total, found.count


@loss(
    _NTXent,
    Row(
        "NTXentLoss",
        {"z1": REAL, "z2": REAL},
        {"temperature": POSITIVE},
        denominator="rows",
        also=("SimCLR loss", "normalized temperature-scaled cross-entropy"),
        whole=True,
    ),
    differentiable=("z1", "z2"),
    default=("z1", "z2"),
    names=("z1", "z2", "", "", ""),
    engine=_batch.BatchLoss,
)
def nt_xent_loss(z1: Any, z2: Any, temperature: float = 0.5, *, reduction: str = "mean") -> Arguments:
    r"""Normalised temperature-scaled cross-entropy of two views of each example: the loss of SimCLR.

    .. math:: \ell_i = -\log\frac{\exp(\cos(z_i, z_{p(i)}) / \tau)}{\sum_{j \ne i} \exp(\cos(z_i, z_j) / \tau)}

    for all 2N views i, the other view of its example being p(i).

    Args:
        z1: the first views' embeddings, of shape (N, D); they are normalised here.
        z2: the second views', of shape (N, D).
        temperature: tau > 0 (0.5 in SimCLR for small batches; 0.07 to 0.5 are in use).
        reduction: ``"none"`` (2N losses, those of z1 first), ``"sum"``, or ``"mean"`` over the 2N views.

    Returns:
        The loss: a scalar, or an array of (2N) for ``"none"``; of no examples 0. Gradients exist for ``z1`` and ``z2``
        (both by default).

    Raises:
        ValueError: shapes that do not fit, a temperature that is not positive. TypeError: a dtype that is not floating.

    A row of zeros has cosines of 0 and a gradient of 0. With one example, the loss is 0. The matrix of similarities is
    symmetric: half of it is computed, twice, and no more than a strip of it is ever held.

    >>> import numpy as np, fastloss as fl
    >>> z1, z2 = np.eye(2), np.eye(2)
    >>> round(float(fl.nt_xent_loss(z1, z2, temperature=1.0)), 6)  # log(1 + 2 / e)
    0.551445

    Source: Chen, Kornblith, Norouzi and Hinton (2020), A Simple Framework for Contrastive Learning of Visual
    Representations; the same as lightly's ``NTXentLoss``, and as pytorch-metric-learning's on two views a label.
    """
    return (z1, z2, None, None, None), (temperature, reduction)


class _SupervisedContrastive(SimilarityProblem):
    name = "supervised_contrastive_loss"
    operands = (
        ("embeddings", "rows"),
        ("labels", "labels"),
    )
    kernels = (*UNITS, *_MARGINALS)

    def __init__(self, temperature: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.scale = self.temperature(temperature)

    def compute(self, job: Job) -> tuple[float, float]:
        rows, labels = job.operands[:2]
        units, found = _of_itself([rows], *groups(labels), self.scale, job)
        if job.grads[0] is not None:
            units.write_slopes(found.slopes_of_itself(), self.scale, job.grads[:1])
        return found.total, found.count


@loss(
    _SupervisedContrastive,
    Row(
        "SupervisedContrastiveLoss",
        {"embeddings": REAL, "labels": Indices()},
        {"temperature": POSITIVE},
        denominator="rows",
        also=("SupCon", "SupConLoss"),
        whole=True,
    ),
    differentiable=("embeddings",),
    refused=_LABELS,
    names=("embeddings", "labels", "", "", ""),
    engine=_batch.BatchLoss,
)
def supervised_contrastive_loss(
    embeddings: Any, labels: Any, temperature: float = 0.1, *, reduction: str = "mean"
) -> Arguments:
    r"""Cross-entropy of each embedding's cosines with all others, averaged over those of its class.

    .. math:: \ell_i = -\frac{1}{|P(i)|} \sum_{p \in P(i)}
        \log\frac{\exp(\cos(z_i, z_p) / \tau)}{\sum_{j \ne i} \exp(\cos(z_i, z_j) / \tau)}

    where P(i) are the other embeddings with the label of i: the paper's L_out. Its code multiplies the loss by
    temperature / base_temperature, which is 1 by default.

    Args:
        embeddings: z of shape (N, D); they are normalised here. Several views of an example are several rows.
        labels: one integer a row, of shape (N); any values.
        temperature: tau > 0.
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows that have a positive.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. The gradient exists for ``embeddings``.

    Raises:
        ValueError: shapes that do not fit, a temperature that is not positive. TypeError: an unsuitable dtype.

    A row without another one of its label contributes nothing and is not counted, yet it is a negative of the others;
    where no row has one, the loss is 0. A row of zeros has cosines of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(float(fl.supervised_contrastive_loss(z, np.array([0, 0, 1]), temperature=1.0)), 6)  # log(1 + 1 / e)
    0.313262

    Source: Khosla et al. (2020), Supervised Contrastive Learning.
    """
    return (embeddings, labels, None, None, None), (temperature, reduction)


class _NPairs(SimilarityProblem):
    name = "npairs_loss"
    operands = (
        ("anchor", "rows"),
        ("positive", "rows"),
        ("labels", "labels"),
    )
    kernels = (*kernels_of("similarities_cpu", "slopes_of_rows"), *_ENTROPY)

    def __init__(self, l2_reg: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.l2_reg = NON_NEGATIVE.check(self.name, "l2_reg", l2_reg)

    def compute(self, job: Job) -> tuple[float, float]:
        anchor, positive, labels = job.operands[:3]
        count = len(anchor)
        order = None
        firsts, lasts = np.arange(count), np.arange(1, count + 1)
        if labels is not None:
            order, firsts, lasts = groups(labels)
        sides = [sweeps.Units([rows], False, job.threads, order) for rows in (anchor, positive)]
        wanted = job.grads[0] is not None, job.grads[1] is not None
        found = entropy_sweep(sides[0].rows, sides[1].rows, 1.0, firsts, lasts, job, wanted=wanted, order=order)
        total = found.total
        for side, slope, rows, grad in zip(
            sides, (found.by_left, found.by_right), (anchor, positive), job.grads, strict=False
        ):
            side.write_slopes(slope, 1.0, [grad])
            total += self._penalty(job, rows, grad)
        return total, found.count

    def _penalty(self, job: Job, rows: Any, grad: Any) -> float:
        """l2_reg / 4 times the squared norm of each row; its gradient is added."""
        factor = 0.25 * self.l2_reg
        if factor == 0.0:
            return 0.0
        with np.errstate(all="ignore"):
            squares = factor * squared_norms(rows)
            if job.losses is not None:
                np.add(job.losses, squares, out=job.losses, casting="unsafe")
            if grad is not None:
                weights = rows.dtype.type(2.0 * factor)
                grad += rows * (weights if job.upstream is None else weights * job.upstream[:, None])
        return float(squares.sum())


@loss(
    _NPairs,
    Row(
        "NPairsLoss",
        {"anchor": REAL, "positive": REAL, "labels": Indices()},
        {"l2_reg": NON_NEGATIVE},
        denominator="rows",
        also=("N-pair loss", "N-pairs", "multi-class N-pair loss"),
        whole=True,
    ),
    differentiable=("anchor", "positive"),
    default=("anchor", "positive"),
    refused=_LABELS,
    names=("anchor", "positive", "labels", "", ""),
    engine=_batch.BatchLoss,
)
def npairs_loss(
    anchor: Any, positive: Any, labels: Any = None, l2_reg: float = 0.002, *, reduction: str = "mean"
) -> Arguments:
    r"""Cross-entropy of the products of each anchor with the positives of all pairs, and a penalty on long embeddings.

    .. math:: \ell_i = \log\sum_j \exp\langle a_i, p_j\rangle - \frac{1}{|P(i)|} \sum_{j \in P(i)} \langle a_i,
        p_j\rangle + \frac{\lambda}{4} \left(|a_i|^2 + |p_i|^2\right)

    Args:
        anchor: embeddings a of shape (N, D), not normalised.
        positive: embeddings p of shape (N, D), the i-th of the class of the i-th anchor.
        labels: one integer a pair, of shape (N): P(i) are the pairs with the label of i. By default all pairs are of
            different classes, as the paper's batches have them, and P(i) = {i}.
        l2_reg: lambda >= 0.
        reduction: ``"none"`` (one loss a pair), ``"sum"``, or ``"mean"`` over the pairs.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``; of no pairs 0. Gradients exist for ``anchor`` and
        ``positive`` (both by default).

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    The factor of 1/4 and shared labels are those of TensorFlow Addons' ``npairs_loss``.

    >>> import numpy as np, fastloss as fl
    >>> x = np.eye(3)
    >>> round(float(fl.npairs_loss(x, x, l2_reg=0.0)), 6)  # log(1 + 2 / e)
    0.551445

    Source: Sohn (2016), Improved Deep Metric Learning with Multi-class N-pair Loss Objective.
    """
    return (anchor, positive, labels, None, None), (l2_reg, reduction)


# Images and texts.


class _CLIP(SimilarityProblem):
    name = "clip_loss"
    operands = (
        ("image", "rows"),
        ("text", "rows"),
        ("logit_scale", "number"),
    )
    kernels = (*UNITS, *_MARGINALS)

    def __init__(self, normalize: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.unit = self.flag("normalize", normalize)

    def compute(self, job: Job) -> tuple[float, float]:
        image, text, logit_scale = job.operands[:3]
        scale, count = float(logit_scale.reshape(())), len(image)
        left = sweeps.Units([image], self.unit, job.threads)
        right = sweeps.Units([text], self.unit, job.threads)
        numbers = np.arange(count + 1)
        weights = np.full(count, 0.5, image.dtype)
        if job.upstream is not None:
            weights *= job.upstream
        losses: list[Any] = [None if job.losses is None else np.empty(count, image.dtype) for _ in range(2)]
        found = sweeps.Margins(left.rows, right.rows, scale, job.threads, numbers[:-1], numbers[1:], weights, losses)
        if job.losses is not None:
            np.add(0.5 * losses[0], 0.5 * losses[1], out=job.losses)
        by_image, by_text, by_scale = job.grads
        if any(grad is not None for grad in job.grads):
            by_left = by_image is not None or by_scale is not None
            left_slope, right_slope = found.slopes(by_left, by_text is not None)
            left.write_slopes(left_slope, scale, [by_image])
            right.write_slopes(right_slope, scale, [by_text])
            if by_scale is not None:
                by_scale[...] = sweeps.slope_by_scale(left_slope, left.rows)
        return 0.5 * found.total, 0.5 * found.count


@loss(
    _CLIP,
    Row(
        "CLIPLoss",
        {"image": REAL, "text": REAL, "logit_scale": REAL},
        {"normalize": FLAG},
        denominator="rows",
        also=("symmetric InfoNCE", "contrastive language-image pre-training"),
        whole=True,
    ),
    differentiable=("image", "text", "logit_scale"),
    default=("image", "text"),
    names=("image", "text", "logit_scale", "", ""),
    engine=_batch.BatchLoss,
)
def clip_loss(
    image: Any, text: Any, logit_scale: Any = 1 / 0.07, *, normalize: bool = True, reduction: str = "mean"
) -> Arguments:
    r"""Cross-entropy of finding each image's text among all texts, and each text's image among all images.

    .. math:: \ell_i = -\frac{1}{2} \log\frac{e^{s c_{ii}}}{\sum_j e^{s c_{ij}}} -
        \frac{1}{2} \log\frac{e^{s c_{ii}}}{\sum_j e^{s c_{ji}}}, \qquad c_{ij} = \langle x_i, t_j\rangle

    Args:
        image: embeddings x of shape (N, D).
        text: embeddings t of shape (N, D), the i-th of the i-th image.
        logit_scale: s, a number or an array of shape () or (1): the scale itself, the exponential of the logarithm
            that models learn.
        normalize: whether rows are divided by their norms first; rows of norm 1 stay what they are.
        reduction: ``"none"`` (one loss a pair), ``"sum"``, or ``"mean"`` over the pairs.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``; of no pairs 0. Gradients exist for ``image`` and ``text``
        (both by default) and ``logit_scale``.

    Raises:
        ValueError: shapes that do not fit. TypeError: an unsuitable dtype.

    A row of zeros has cosines of 0 and a gradient of 0. The sums over columns need a look at all rows before the first
    coefficient: the product is computed twice, and no more than a strip of it is ever held.

    >>> import numpy as np, fastloss as fl
    >>> x = np.eye(3)
    >>> round(float(fl.clip_loss(x, x, 1.0)), 6)  # log(1 + 2 / e)
    0.551445

    Source: Radford et al. (2021), Learning Transferable Visual Models From Natural Language Supervision; meaning of
    open_clip's ``ClipLoss``.
    """
    return (image, text, logit_scale, None, None), (normalize, reduction)


class _SigLIP(SimilarityProblem):
    name = "siglip_loss"
    operands = (
        ("image", "rows"),
        ("text", "rows"),
        ("logit_scale", "pair"),
    )
    kernels = (*UNITS, *kernels_of("similarities_cpu", "sigmoid_rows"))

    def __init__(self, normalize: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.unit = self.flag("normalize", normalize)

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        image, text, *_ = super().normalise(backend, (*arrays[:2], None, None, None))
        return image, text, backend.cast(arrays[2], backend.dtype_name(image)), None, None

    def compute(self, job: Job) -> tuple[float, float]:
        image, text, numbers = job.operands[:3]
        scale, bias = (float(number) for number in numbers)
        left = sweeps.Units([image], self.unit, job.threads)
        right = sweeps.Units([text], self.unit, job.threads)
        rows = _batch.kernel("similarities_cpu.sigmoid_rows", str(image.dtype))
        weights, losses, gradient = per_row(job, image, None)
        slope_sums = np.zeros(len(image))

        def score(low: int, high: int, tile: Any) -> tuple[float, float, int]:
            return rows(low, high, tile, tile.shape[1], weights, losses, gradient, bias, slope_sums)

        by_image, by_text, by_numbers = job.grads
        by_left = by_image is not None or by_numbers is not None
        found = sweeps.Sweep(left.rows, right.rows, scale, score, job.threads, by_left, by_text is not None)
        write_losses(job, losses, None)
        left.write_slopes(found.by_left, scale, [by_image])
        right.write_slopes(found.by_right, scale, [by_text])
        if by_numbers is not None:
            by_numbers[...] = sweeps.slope_by_scale(found.by_left, left.rows), slope_sums.sum()
        return found.total, found.count


@loss(
    _SigLIP,
    Row(
        "SigLIPLoss",
        {"image": REAL, "text": REAL, "logit_scale": REAL, "logit_bias": REAL},
        {"normalize": FLAG},
        denominator="rows",
        also=("sigmoid loss for language-image pre-training", "pairwise sigmoid loss"),
        whole=True,
    ),
    differentiable=("image", "text", "logit_scale"),
    default=("image", "text"),
    names=("image", "text", "logit_scale", "logit_bias", ""),
    engine=TwoNumbers,
)
def siglip_loss(
    image: Any,
    text: Any,
    logit_scale: Any = 10.0,
    logit_bias: Any = -10.0,
    *,
    normalize: bool = True,
    reduction: str = "mean",
) -> Arguments:
    r"""Logistic loss of every image with every text: does this text belong to this image?

    .. math:: \ell_i = \sum_j \log\left(1 + e^{-z_{ij} (s \langle x_i, t_j\rangle + b)}\right), \qquad z_{ij} = 1
        \text{ for } i = j, \text{ else } -1

    Args:
        image: embeddings x of shape (N, D).
        text: embeddings t of shape (N, D), the i-th of the i-th image.
        logit_scale: s, a number or an array of shape () or (1): the scale itself, the exponential of the logarithm
            that models learn.
        logit_bias: b, likewise.
        normalize: whether rows are divided by their norms first; rows of norm 1 stay what they are.
        reduction: ``"none"`` (one loss an image), ``"sum"``, or ``"mean"`` over the images (the paper's).

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``; of no pairs 0. Gradients exist for ``image`` and ``text``
        (both by default), ``logit_scale`` and ``logit_bias``.

    Raises:
        ValueError: shapes that do not fit. TypeError: an unsuitable dtype.

    A row of zeros has cosines of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> x = np.eye(2)
    >>> round(float(fl.siglip_loss(x, x, 0.0, 0.0)), 6)  # 2 log 2
    1.386294

    Source: Zhai, Mustafa, Kolesnikov and Beyer (2023), Sigmoid Loss for Language Image Pre-Training.
    """
    return (image, text, logit_scale, logit_bias, None), (normalize, reduction)
