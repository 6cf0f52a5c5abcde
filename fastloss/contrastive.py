"""Losses of the similarities of all pairs of a batch: O(B D) memory, for the matrix of similarities is never held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastloss import _batch, _errors
from fastloss import _sweeps as sweeps
from fastloss._batch import Job
from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, REAL, Indices, Row, Values
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands
from fastloss._similarities import SimilarityProblem, TwoNumbers, entropy_sweep, groups, per_row, write_losses

__all__ = [
    "batch_contrastive_loss",
    "circle_loss",
    "clip_loss",
    "info_nce_loss",
    "multi_similarity_loss",
    "npairs_loss",
    "nt_xent_loss",
    "siglip_loss",
    "supervised_contrastive_loss",
]

_LABELS = {"labels": "class indices have none"}


def _kernels(*names: str, **constants: Any) -> tuple[tuple[str, dict[str, Any]], ...]:
    return tuple((name, constants) for name in names)


_UNITS = _kernels("unit_rows", "slopes_of_rows")
_MARGINALS = _kernels("positive_logits", "marginals", "merge_marginals", "finish_marginals", "softmax_coefficients")
_ENTROPY = _kernels("cross_entropy_rows", OTHERS=False, MARGIN=0)


# One view among all others.


class _InfoNCE(SimilarityProblem):
    name = "info_nce_loss"
    operands = (
        ("query", "rows"),
        ("positive_key", "rows"),
        ("negative_keys", "more"),
    )
    kernels = (*_UNITS, *_ENTROPY)

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
    kernels = (*_UNITS, *_MARGINALS)

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
    kernels = (*_UNITS, *_MARGINALS)

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


def _squares(rows: Any) -> Any:
    """The squared norms, in float64."""
    return np.einsum("nd,nd->n", rows, rows, dtype=np.float64, casting="unsafe")


class _NPairs(SimilarityProblem):
    name = "npairs_loss"
    operands = (
        ("anchor", "rows"),
        ("positive", "rows"),
        ("labels", "labels"),
    )
    kernels = (*_kernels("slopes_of_rows"), *_ENTROPY)

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
            squares = factor * _squares(rows)
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
    kernels = (*_UNITS, *_MARGINALS)

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
    kernels = (*_UNITS, *_kernels("sigmoid_rows"))

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
        rows = sweeps.kernel("sigmoid_rows", str(image.dtype))
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


# Every pair of a batch, weighted by its similarity.


class _MultiSimilarity(SimilarityProblem):
    name = "multi_similarity_loss"
    operands = (
        ("embeddings", "rows"),
        ("labels", "labels"),
    )
    kernels = (*_UNITS, *_kernels("soft_hinge_rows"))

    def __init__(self, alpha: Any, beta: Any, base: Any, epsilon: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.alpha = POSITIVE.check(self.name, "alpha", alpha)
        self.beta = POSITIVE.check(self.name, "beta", beta)
        self.base = REAL.check(self.name, "base", base)
        self.epsilon = None if epsilon is None else REAL.check(self.name, "epsilon", epsilon)

    def compute(self, job: Job) -> tuple[float, float]:
        rows, labels = job.operands[:2]
        mining, epsilon = int(self.epsilon is not None), self.epsilon or 0.0
        numbers = (self.alpha, self.base, 1.0 / self.alpha, self.beta, self.base, 1.0 / self.beta, mining, epsilon)
        return _pairs(rows, labels, "soft_hinge_rows", job, lambda *own: (1, *own, 1, *numbers))


def _pairs(rows: Any, labels: Any, name: str, job: Job, arguments: Any) -> tuple[float, float]:
    """A kernel over the cosines of all embeddings with each other, those of one label next to each other.

    ``arguments(weights, losses, gradient)`` are those of the kernel after the bounds of the positives.
    """
    order, firsts, lasts = groups(labels)
    units = sweeps.Units([rows], True, job.threads, order)
    own = per_row(job, rows, order)
    run = sweeps.kernel(name, str(rows.dtype))
    more = arguments(*own)

    def score(low: int, high: int, tile: Any) -> tuple[float, float, int]:
        return run(low, high, tile, tile.shape[1], firsts, lasts, *more)

    wanted = job.grads[0] is not None
    found = sweeps.Sweep(units.rows, units.rows, 1.0, score, job.threads, wanted, wanted)
    write_losses(job, own[1], order)
    if wanted:
        found.by_left += found.by_right
        units.write_slopes(found.by_left, 1.0, job.grads[:1])
    return found.total, found.count


@loss(
    _MultiSimilarity,
    Row(
        "MultiSimilarityLoss",
        {"embeddings": REAL, "labels": Indices()},
        {"alpha": POSITIVE, "beta": POSITIVE, "base": REAL},
        denominator="rows",
        also=("MS loss",),
        whole=True,
    ),
    differentiable=("embeddings",),
    refused=_LABELS,
    names=("embeddings", "labels", "", "", ""),
    engine=_batch.BatchLoss,
)
def multi_similarity_loss(
    embeddings: Any,
    labels: Any,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    *,
    epsilon: float | None = None,
    reduction: str = "mean",
) -> Arguments:
    r"""Soft maxima of how far the positives of each embedding lie below a similarity, and the negatives above it.

    .. math:: \ell_i = \frac{1}{\alpha} \log\Big(1 + \sum_{p} e^{-\alpha (c_{ip} - \lambda)}\Big) +
        \frac{1}{\beta} \log\Big(1 + \sum_{n} e^{\beta (c_{in} - \lambda)}\Big)

    over the embeddings p of the label of i and those n of other labels; c are cosines.

    Args:
        embeddings: of shape (N, D); they are normalised here.
        labels: one integer a row, of shape (N); any values.
        alpha: sharpness for positives, > 0.
        beta: sharpness for negatives, > 0.
        base: lambda.
        epsilon: where given, only those positives are taken that are less similar than the most similar negative plus
            epsilon, and only those negatives that are more similar than the least similar positive minus epsilon (the
            paper's mining, with 0.1). Which pairs are taken counts as constant.
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows that have both a positive and a
            negative.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. The gradient exists for ``embeddings``.

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    A row without a positive or without a negative contributes nothing and is not counted (the authors' code leaves it
    out too, but divides by N; pytorch-metric-learning keeps the sum there is); one of which mining leaves no pair
    counts with 0. A row of zeros has cosines of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(float(fl.multi_similarity_loss(z, np.array([0, 0, 1]))), 6)  # log(1 + 1 / e) / 2
    0.156631

    Source: Wang et al. (2019), Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning; the
    defaults of its code, with the paper's beta.
    """
    return (embeddings, labels, None, None, None), (alpha, beta, base, epsilon, reduction)


class _Circle(SimilarityProblem):
    name = "circle_loss"
    operands = (
        ("embeddings", "rows"),
        ("labels", "labels"),
    )
    kernels = (*_UNITS, *_kernels("circle_rows"))

    def __init__(self, m: Any, gamma: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.m, self.gamma = REAL.check(self.name, "m", m), POSITIVE.check(self.name, "gamma", gamma)

    def compute(self, job: Job) -> tuple[float, float]:
        rows, labels = job.operands[:2]
        return _pairs(rows, labels, "circle_rows", job, lambda *own: (*own, self.gamma, self.m))


@loss(
    _Circle,
    Row(
        "CircleLoss",
        {"embeddings": REAL, "labels": Indices()},
        {"m": REAL, "gamma": POSITIVE},
        denominator="rows",
        whole=True,
    ),
    differentiable=("embeddings",),
    refused=_LABELS,
    names=("embeddings", "labels", "", "", ""),
    engine=_batch.BatchLoss,
)
def circle_loss(
    embeddings: Any, labels: Any, m: float = 0.4, gamma: float = 80.0, *, reduction: str = "mean"
) -> Arguments:
    r"""Soft hinge of each embedding's positives and negatives, each pair weighted by how far it is from its optimum.

    .. math:: \ell_i = \log\Big(1 + \sum_n e^{\gamma \alpha_n (c_{in} - m)} \sum_p e^{-\gamma \alpha_p
        (c_{ip} - 1 + m)}\Big), \quad \alpha_p = \max(0, 1 + m - c_{ip}),\ \alpha_n = \max(0, c_{in} + m)

    over the embeddings p of the label of i and those n of other labels; c are cosines. The weights alpha count as
    constants of the gradient, as in the paper's equation 10 and the implementations.

    Args:
        embeddings: of shape (N, D); they are normalised here.
        labels: one integer a row, of shape (N); any values.
        m: the relaxation (0.25 for faces, 0.4 for retrieval in the paper).
        gamma: the scale, > 0 (256 for faces, 80 for retrieval).
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows that have both a positive and a
            negative.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. The gradient exists for ``embeddings``.

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    A row without a positive or without a negative contributes nothing and is not counted. A row of zeros has cosines
    of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(float(fl.circle_loss(z, np.array([0, 0, 1]), gamma=1.0)), 6)  # log(1 + exp(-0.16 - 0.16))
    0.545893

    Source: Sun et al. (2020), Circle Loss: A Unified Perspective of Pair Similarity Optimization.
    """
    return (embeddings, labels, None, None, None), (m, gamma, reduction)


# Distances of all pairs.

_METRICS = ("euclidean", "cosine")
_REDUCTIONS = ("mean", "mean_nonzero", "sum")
#: Distances whose squares are below this share of the squared norms are computed directly.
_CLOSE = 2.0**-7


class _Contrastive(SimilarityProblem):
    name = "batch_contrastive_loss"
    operands = (
        ("embeddings", "rows"),
        ("labels", "labels"),
    )

    def __init__(
        self, pos_margin: Any, neg_margin: Any, metric: Any, normalize: Any, power: Any, reduction: Any
    ) -> None:
        _errors.check_reduction(self.name, reduction, _REDUCTIONS)
        _errors.check_choice(self.name, "metric", metric, _METRICS)
        self.reduction = reduction
        self.margins = (
            NON_NEGATIVE.check(self.name, "pos_margin", pos_margin),
            NON_NEGATIVE.check(self.name, "neg_margin", neg_margin),
        )
        self.euclidean = metric == "euclidean"
        self.unit = self.flag("normalize", normalize) or not self.euclidean
        self.constants = {"SQUARED": self.euclidean, "POWER": int(_POWER.check(self.name, "power", power))}
        self.kernels = (*_UNITS, ("contrastive_rows", self.constants))

    def compute(self, job: Job) -> tuple[float, float]:
        rows, labels = job.operands[:2]
        order, firsts, lasts = groups(labels)
        units = sweeps.Units([rows], self.unit, job.threads, order)
        points = units.rows
        if self.euclidean and len(points):
            # Distances are the same from anywhere; near the middle their squares cancel least.
            with np.errstate(all="ignore"):
                points = points - points.mean(axis=0, dtype=np.float64).astype(points.dtype)
        positives = float((lasts - firsts - 1).sum()) / 2
        counts = positives, len(points) * (len(points) - 1) / 2 - positives
        if self.reduction == "mean_nonzero":
            counts = self._sweep(points, firsts, lasts, (1.0, 1.0), job.threads, False)[1]
        weights = tuple(1.0 if self.reduction == "sum" else 1.0 / max(count, 1.0) for count in counts)
        sums, _, slope = self._sweep(points, firsts, lasts, weights, job.threads, job.grads[0] is not None)
        units.write_slopes(slope, 1.0, job.grads[:1])
        return sums[0] * weights[0] + sums[1] * weights[1], 1.0

    def _sweep(
        self, points: Any, firsts: Any, lasts: Any, weights: tuple[float, ...], threads: int, wanted: bool
    ) -> tuple[Any, Any, Any]:
        """Sums of the losses of positive and negative pairs, how many are above 0, and the gradient by the points."""
        run = sweeps.kernel("contrastive_rows", str(points.dtype), **self.constants)
        sums = np.zeros((len(points), 4))
        more: tuple[Any, ...] = ()
        close = None
        if self.euclidean:
            with np.errstate(all="ignore"):
                squares = _squares(points).astype(points.dtype)
            close = np.zeros_like(points) if wanted else None  # touched where there are close pairs only
            more = squares, _CLOSE, points, points.shape[1]

        def score(low: int, high: int, tile: Any) -> tuple[float, float, int]:
            last = (*more, np.empty(tile.shape[1], np.int64), close) if more else ()
            return run(low, high, tile, tile.shape[1], firsts, lasts, *self.margins, *weights, sums, *last)

        found = sweeps.Sweep(points, points, 1.0, score, threads, wanted, False)
        totals = 0.5 * sums.sum(axis=0)  # every pair is met twice
        if found.by_left is not None and close is not None:
            found.by_left += close
        return totals[:2], totals[2:], found.by_left


_POWER = Values((1, 2))


@loss(
    _Contrastive,
    Row(
        "BatchContrastiveLoss",
        {"embeddings": REAL, "labels": Indices()},
        {
            "pos_margin": NON_NEGATIVE,
            "neg_margin": NON_NEGATIVE,
            "metric": Values(_METRICS),
            "normalize": FLAG,
            "power": _POWER,
        },
        kinks="d = margin, and d = 0: slope 0",
        denominator="pairs",
        also=("pairwise contrastive loss of a batch",),
        whole=True,
    ),
    differentiable=("embeddings",),
    refused=_LABELS,
    names=("embeddings", "labels", "", "", ""),
    engine=_batch.BatchLoss,
)
def batch_contrastive_loss(
    embeddings: Any,
    labels: Any,
    pos_margin: float = 0.0,
    neg_margin: float = 1.0,
    *,
    metric: str = "euclidean",
    normalize: bool = False,
    power: int = 2,
    reduction: str = "mean",
) -> Arguments:
    r"""Contrastive loss of all pairs of a batch: distances of one label's pairs, gaps to a margin of the others.

    .. math:: \ell_{ij} = \max(0,\, d_{ij} - m_p)^k \text{ of pairs of one label},\quad
        \max(0,\, m_n - d_{ij})^k \text{ of others}, \qquad i < j

    Args:
        embeddings: of shape (N, D).
        labels: one integer a row, of shape (N); any values.
        pos_margin: :math:`m_p`, >= 0: positive pairs closer than this cost nothing.
        neg_margin: :math:`m_n`, >= 0: negative pairs farther than this cost nothing.
        metric: ``"euclidean"``, or ``"cosine"``: 1 - cosine.
        normalize: whether embeddings are divided by their norms first; for cosines they always are.
        power: k, 2 (the paper, :func:`contrastive_loss`) or 1 (pytorch-metric-learning).
        reduction: ``"mean"``: the mean over the positive pairs plus that over the negative pairs,
            ``"mean_nonzero"``: both over the pairs with a loss above 0 (pytorch-metric-learning), or ``"sum"`` of all.

    Returns:
        The loss, a scalar. The gradient exists for ``embeddings``.

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    Without pairs of one kind its part is 0. At a distance of 0 the gradient is 0, a subgradient. Distances that would
    cancel are computed directly, so close and equal rows are exact. The paper has a factor of 1/2.

    >>> import numpy as np, fastloss as fl
    >>> z = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.5]])
    >>> float(fl.batch_contrastive_loss(z, np.array([0, 0, 1])))  # 25 + (0 + 0.25) / 2
    25.125

    Source: Hadsell, Chopra and LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping.
    """
    return (embeddings, labels, None, None, None), (pos_margin, neg_margin, metric, normalize, power, reduction)
