"""Losses of pairs and triplets of vectors: what is near should be near."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np

from fastloss import _arrays
from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, REAL, SIGN, UNIT, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments, check_grad_output, check_out, explained
from fastloss._rows import rowwise

__all__ = [
    "contrastive_loss",
    "cosine_embedding_loss",
    "cosine_similarity_loss",
    "triplet_loss_from_distances",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

_PAIR = ("input1", "input2", "target", "", "sample_weight")
_TRIPLET = ("anchor", "positive", "negative", "", "sample_weight")
_VECTORS = {"anchor": REAL, "positive": REAL, "negative": REAL}


@rowwise(
    "cosine_embedding",
    Row(
        "CosineEmbeddingLoss",
        {"input1": REAL, "input2": REAL, "target": SIGN},
        {"margin": REAL},
        kinks="cos(x, y) = margin where the target is -1: the slope of cos is passed on",
        also=("cosine distance", "cosine embedding"),
        per_row=("target",),
    ),
    names=_PAIR,
    dense=_PAIR[:2],
    own="target",
    wide=True,
    sums=3,
    default=_PAIR[:2],
)
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""One minus the cosine of similar vectors, the cosine above a margin of dissimilar ones.

    .. math::
        \ell = \begin{cases} 1 - \cos(x, y) & t = 1 \\ \max(\cos(x, y) - m, 0) & t = -1 \end{cases}
        \qquad \cos(x, y) = \frac{x \cdot y}{\sqrt{(x \cdot x + 10^{-12}) (y \cdot y + 10^{-12})}}

    Args:
        input1: vectors x along the last axis: (N, D), (D) or any (..., D).
        input2: vectors y; shapes broadcast with each other.
        target: t of 1 or -1 for each pair: (N), () or what broadcasts to (...); pairs with another t cost 0.
        margin: m, usually in [-1, 1]; 0 to 0.5 is common.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of pairs.
        sample_weight: of each pair; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. Gradients exist for ``input1`` and ``input2`` (both by
        default).

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    A zero vector has the cosine 0 with everything. At the kink the slope of the cosine is passed on, as in PyTorch. An
    infinite component makes the loss NaN. Squares are added up in float64.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.cosine_embedding_loss(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([1])))
    1.0

    Source: meaning of ``torch.nn.functional.cosine_embedding_loss``.
    """
    return ((input1, input2, target, None, sample_weight), (margin, reduction, empty))


@rowwise(
    "cosine_similarity",
    Row(
        "CosineSimilarityLoss",
        {"input": REAL, "target": REAL},
        {"eps": NON_NEGATIVE},
        also=("cosine distance", "cosine proximity"),
    ),
    wide=True,
    sums=3,
    differentiable=("input", "target"),
)
def cosine_similarity_loss(
    input: Any,
    target: Any,
    axis: int = -1,
    eps: float = 1e-8,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""One minus the cosine of the angle between two vectors.

    .. math:: \ell = 1 - \frac{x \cdot y}{\max(|x|, \epsilon) \max(|y|, \epsilon)}

    Keras adds up minus the cosine, without the 1; optax has the same loss as ``cosine_distance``.

    Args:
        input: vectors x along ``axis``, of any shape.
        target: vectors y; shapes broadcast with each other.
        axis: that of the vectors.
        eps: the least norm that is divided by.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of pairs.
        sample_weight: of each pair; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or for ``"none"`` an array of the inputs' shape without ``axis``. Gradients exist for
        ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an axis or option out of range. TypeError: a dtype that is not
        floating.

    A zero vector costs 1. The gradient is that of ``torch.nn.functional.cosine_similarity``, where the clamp at
    ``eps`` does not stop the slope of the norm.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.cosine_similarity_loss(np.array([1.0, 1.0]), np.array([1.0, 0.0]))), 6)
    0.292893

    Source: meaning of 1 - ``torch.nn.functional.cosine_similarity``.
    """
    return ((input, target, None, None, sample_weight), (axis, eps, reduction, empty))


@rowwise(
    "contrastive",
    Row(
        "ContrastiveLoss",
        {"input1": REAL, "input2": REAL, "target": UNIT},
        {"margin": NON_NEGATIVE},
        kinks="x = y: the slope of the distance is taken as 0",
        also=("siamese loss", "pairwise contrastive"),
        per_row=("target",),
    ),
    names=_PAIR,
    dense=_PAIR[:2],
    own="target",
    wide=True,
    default=_PAIR[:2],
)
def contrastive_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 1.0,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Squared distance of similar pairs, squared gap to a margin of dissimilar ones.

    .. math:: \ell = t\, d^2 + (1 - t) \max(m - d, 0)^2, \qquad d = |x - y|_2

    Conventions differ. The paper has a factor of 1/2 before both terms and labels *similar* pairs 0, as
    sentence-transformers has the half with label 1 for similar; TensorFlow Addons and Kornia-style code agree with
    what stands here. Swap labels with ``1 - target``; put the half in ``sample_weight`` and take ``"sum"``, or halve
    the result.

    Args:
        input1: vectors x along the last axis: (N, D), (D) or any (..., D).
        input2: vectors y; shapes broadcast with each other.
        target: t of 1 (similar) or 0 (dissimilar) for each pair: (N), () or what broadcasts to (...); values between
            mix both terms; bools and integers are allowed.
        margin: m >= 0, in the unit of the distance.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of pairs.
        sample_weight: of each pair; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. Gradients exist for ``input1`` and ``input2`` (both by
        default).

    Raises:
        ValueError: shapes that do not broadcast, a margin below 0. TypeError: a dtype that is not floating.

    Where both vectors are equal the gradient is 0, a subgradient. Squares are added up in float64.

    >>> import numpy as np, fastloss as fl
    >>> x, y = np.array([[3.0, 4.0], [0.6, 0.0]]), np.zeros((2, 2))
    >>> float(fl.contrastive_loss(x, y, np.array([1, 0])))
    12.58

    Source: Hadsell, Chopra, LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping.
    """
    return ((input1, input2, target, None, sample_weight), (margin, reduction, empty))


def _norm(p: float, swap: bool) -> dict[str, Any]:
    norm = {2.0: 2, 1.0: 1, float("inf"): 0}.get(float(p), -1)
    return {"NORM": norm, "N_TOPS": 0 if norm > 0 else 3, "N_SUMS": 3 if swap else 2}


@rowwise(
    "triplet_margin",
    Row(
        "TripletMarginLoss",
        _VECTORS,
        {"margin": POSITIVE, "eps": REAL, "p": POSITIVE, "swap": FLAG},
        kinks="d(a, p) + margin = d(a, n): the slope is passed on; distances of 0 have the slope 0",
        also=("triplet loss", "ranking of distances"),
    ),
    names=_TRIPLET,
    dense=_TRIPLET[:3],
    wide=True,
    default=_TRIPLET[:3],
    specialise=lambda options: _norm(options["p"], options["swap"]),
    same_dims=True,
)
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""How much farther than a margin short of the negative's the positive's distance to the anchor is.

    .. math::
        \ell = \max(d(a, p) - d(a, n) + m, 0), \qquad d(x, y) = \|x - y + \epsilon\|_p

    Args:
        anchor: vectors a along the last axis, of any shape.
        positive: of the anchor's class; shapes broadcast with each other, of as many axes each.
        negative: of another class.
        margin: m > 0.
        p: of the norm, above 0; infinity is the largest component. 2 and 1 are the fastest.
        eps: added to each difference, which keeps the distance off 0.
        swap: take the distance of positive and negative where that is less than that of anchor and negative.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of triplets.
        sample_weight: of each triplet; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. Gradients exist for all three vectors (the default).

    Raises:
        ValueError: shapes that do not broadcast or differ in the number of axes, an option out of range. TypeError: a
        dtype that is not floating.

    At the kink of the hinge the slopes of the distances are passed on; a distance of 0 has the slope 0; where both
    distances of a swap are equal each gets half: all as in PyTorch. Powers are added up in float64.

    >>> import numpy as np, fastloss as fl
    >>> a, p, n = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])
    >>> round(float(fl.triplet_margin_loss(a, p, n)), 5)
    4.0

    Source: Balntas et al. (2016), Learning Local Feature Descriptors with Triplets; meaning of
    ``torch.nn.functional.triplet_margin_loss``.
    """
    return ((anchor, positive, negative, None, sample_weight), (margin, p, eps, swap, reduction, empty))


@elementwise(
    "triplet_from_distances",
    Row(
        "TripletLossFromDistances",
        {"positive": REAL, "negative": REAL},
        {"margin": POSITIVE},
        kinks="x + margin = y: the slope is passed on",
        denominator="weights",
        also=("triplet loss of distances",),
    ),
    names=("positive", "negative", "", "weight", "sample_weight"),
    differentiable=("positive", "negative"),
    default=("positive", "negative"),
    shapes="broadcast",
)
def triplet_loss_from_distances(
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    *,
    reduction: str = "mean",
    weight: Any = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""The triplet loss of distances that are known: the hinge alone.

    .. math:: \ell_i = w_i \max(d^+_i - d^-_i + m, 0)

    Args:
        positive: distances of anchors to their positives, of any shape.
        negative: distances to the negatives; shapes broadcast with each other.
        margin: m > 0.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            weights where there are weights.
        weight: w, broadcastable to the loss.
        sample_weight: multiplies ``weight``; the mean divides by the sum of the products.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``positive`` and ``negative`` (both by
        default).

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    At the kink the slope is passed on, as by PyTorch's ``clamp_min``. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.triplet_loss_from_distances(np.array([1.0, 2.0]), np.array([3.0, 2.5])))
    0.25

    Source: Schroff, Kalenichenko, Philbin (2015), FaceNet.
    """
    return ((positive, negative, None, weight, sample_weight), (margin, reduction, empty))


def _with_distances(own: Any) -> Any:
    """``own`` is the loss of the Euclidean distance; a function of the call's is asked for distances instead."""
    name, signature = own.__name__, inspect.signature(own)

    def sorted_out(args: Any, kwargs: Any) -> dict[str, Any]:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise explained(name, TypeError(f"{name}() {error}"), kwargs) from None
        bound.apply_defaults()
        return bound.arguments

    def loss_of(given: dict[str, Any]) -> Any:
        # The checks of the options, all but the function.
        own.spec.problem(*(given[option] for option in own.spec.options))
        distance = given["distance_function"]
        if not callable(distance):
            said = type(distance).__name__
            raise TypeError(f"{name}: distance_function is of type {said}, expected a function of two arrays")
        near = distance(given["anchor"], given["positive"])
        far = distance(given["anchor"], given["negative"])
        if given["swap"]:
            swapped = distance(given["positive"], given["negative"])
            if _arrays.is_torch(far):
                import torch

                far = torch.minimum(far, swapped)
            else:
                far = np.minimum(far, swapped)
        options = {option: given[option] for option in ("margin", "reduction", "sample_weight", "empty")}
        return triplet_loss_from_distances(near, far, **options)

    @functools.wraps(own)
    def value(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("distance_function") is None:
            return own(*args, **kwargs)
        return loss_of(sorted_out(args, kwargs))

    @functools.wraps(own.value_and_grad)
    def value_and_grad(*args: Any, wrt: Any = None, out: Any = None, grad_output: Any = None, **kwargs: Any) -> Any:
        if kwargs.get("distance_function") is None:
            return own.value_and_grad(*args, wrt=wrt, out=out, grad_output=grad_output, **kwargs)
        given = sorted_out(args, kwargs)
        names, single, outs = own.spec.check_wrt(wrt, out)
        if not _arrays.is_torch(given["anchor"]):
            raise NotImplementedError(
                f"{name}: no gradient through distance_function of NumPy arrays; give torch tensors, or take the "
                "gradients of triplet_loss_from_distances and apply the chain rule"
            )
        import torch

        from fastloss._torch import TORCH

        with torch.enable_grad():
            given |= {key: given[key].detach().requires_grad_(key in names) for key in _TRIPLET[:3]}
            loss = loss_of(given)
            if grad_output is None:
                grad_output = torch.ones_like(loss)
            check_grad_output(name, TORCH, grad_output, given["reduction"], tuple(loss.shape))
            for key, buffer in zip(names, outs, strict=True):
                if buffer is not None:
                    check_out(name, TORCH, buffer, given[key], key, TORCH.dtype_name(given[key]))
            grads = torch.autograd.grad(loss, [given[key] for key in names], grad_output)
        results = []
        for grad, buffer in zip(grads, outs, strict=True):
            results.append(grad if buffer is None else buffer.copy_(grad))
        return loss.detach(), results[0] if single else tuple(results)

    @functools.wraps(own.grad)
    def grad(*args: Any, **kwargs: Any) -> Any:
        return value_and_grad(*args, **kwargs)[1]

    value.value_and_grad = value_and_grad  # type: ignore[attr-defined]
    value.grad = grad  # type: ignore[attr-defined]
    return value


@_with_distances
@rowwise(
    "triplet_margin",
    Row(
        "TripletMarginWithDistanceLoss",
        _VECTORS,
        {"margin": POSITIVE, "swap": FLAG},
        kinks="d(a, p) + margin = d(a, n): the slope is passed on; distances of 0 have the slope 0",
        also=("triplet loss with a distance",),
    ),
    names=_TRIPLET,
    dense=_TRIPLET[:3],
    wide=True,
    default=_TRIPLET[:3],
    specialise=lambda options: _norm(2.0, options["swap"]),
    numbers=lambda margin, swap: (margin, 1e-6, 2.0),
    same_dims=True,
)
def triplet_margin_with_distance_loss(
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
) -> Arguments:
    r"""The triplet loss with a distance of the caller's choice.

    .. math:: \ell = \max(d(a, p) - d(a, n) + m, 0)

    Args:
        anchor: vectors a along the last axis, of any shape; what ``distance_function`` takes, where there is one.
        positive: of the anchor's class.
        negative: of another class.
        distance_function: of two arrays, gives an array of distances; autograd differentiates it where it computes
            with torch tensors. None: the Euclidean distance of :func:`triplet_margin_loss`, in one pass.
        margin: m > 0.
        swap: take the distance of positive and negative where that is less than that of anchor and negative.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of distances.
        sample_weight: of each triplet, broadcastable to the distances; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the distances' shape for ``"none"``. Gradients exist for all three (the
        default).

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: a dtype that is not floating.
        NotImplementedError: a gradient through a function of NumPy arrays, which nothing differentiates.

    At kinks as :func:`triplet_margin_loss`.

    >>> import numpy as np, fastloss as fl
    >>> a, p, n = np.zeros((1, 2)), np.full((1, 2), 2.0), np.full((1, 2), 1.5)
    >>> float(fl.triplet_margin_with_distance_loss(a, p, n, distance_function=lambda x, y: abs(x - y).sum(-1)))
    2.0

    Source: meaning of ``torch.nn.functional.triplet_margin_with_distance_loss``.
    """
    return (
        (anchor, positive, negative, None, sample_weight),
        (distance_function, margin, swap, reduction, empty),
    )
