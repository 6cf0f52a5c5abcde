"""What a good user of plain PyTorch writes for each loss: ``torch.nn.functional`` where it has the loss, else these.

Arrays come by position, in the order of our signature; parameters are those of ours that a composition names, with our
defaults. All give the mean (what our default is, or what the benchmark asks of us). They are numerically sound, but
they are not optimised for the machine: that is the eager user's price, and the compiler's work.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from arena import Problem

LOG_2 = math.log(2.0)
#: PyTorch has these, but cannot compile them: the composition is for the compiler.
EAGER = ("gaussian_nll_loss",)
#: What torch.compile gets wrong, so that it is no peer: it counts what follows the first -1 of a row of labels
#: (https://github.com/pytorch/pytorch/issues/141017, in 2.13).
MISCOMPILED = ("multilabel_margin_loss",)


# Regression.


def rmse_loss(x: Any, y: Any, *, eps: float) -> Any:
    return torch.sqrt(F.mse_loss(x, y) + eps)


def log_cosh_loss(x: Any, y: Any) -> Any:
    d = x - y
    return (d + F.softplus(-2.0 * d) - LOG_2).mean()


def quantile_loss(x: Any, y: Any, *, quantile: float) -> Any:
    d = y - x
    return torch.maximum(quantile * d, (quantile - 1.0) * d).mean()


def gaussian_nll_loss(x: Any, y: Any, var: Any, *, eps: float) -> Any:
    # PyTorch's own asks whether any variance is negative, which the compiler cannot put into one graph.
    var = var + (var.detach().clamp_min(eps) - var.detach())
    return (0.5 * (torch.log(var) + (x - y).square() / var)).mean()


def gamma_nll_loss(x: Any, y: Any) -> Any:
    return (x + y * torch.exp(-x)).mean()


def tweedie_loss(x: Any, y: Any, *, power: float) -> Any:
    a, b = 2.0 - power, 1.0 - power
    return (torch.exp(a * x) / a - y * torch.exp(b * x) / b).mean()


def mape_loss(x: Any, y: Any, *, eps: float) -> Any:
    return ((x - y).abs() / y.abs().clamp_min(eps)).mean()


def msle_loss(x: Any, y: Any) -> Any:
    return F.mse_loss(torch.log1p(x), torch.log1p(y))


def charbonnier_loss(x: Any, y: Any, *, eps: float) -> Any:
    return torch.sqrt((x - y).square() + eps * eps).mean()


def cauchy_loss(x: Any, y: Any, *, scale: float) -> Any:
    return torch.log1p(0.5 * ((x - y) / scale).square()).mean()


def welsch_loss(x: Any, y: Any, *, scale: float) -> Any:
    return -torch.expm1(-0.5 * ((x - y) / scale).square()).mean()


def geman_mcclure_loss(x: Any, y: Any, *, scale: float) -> Any:
    square = ((x - y) / scale).square()
    return (2.0 * square / (square + 4.0)).mean()


# Binary, and of a margin.


def hinge_loss(x: Any, y: Any, *, margin: float) -> Any:
    return F.relu(margin - y * x).mean()


def squared_hinge_loss(x: Any, y: Any, *, margin: float) -> Any:
    return F.relu(margin - y * x).square().mean()


def logistic_loss(x: Any, y: Any) -> Any:
    return F.softplus(-y * x).mean()


def exponential_loss(x: Any, y: Any) -> Any:
    return torch.exp(-y * x).mean()


def perceptron_loss(x: Any, y: Any) -> Any:
    return F.relu(-y * x).mean()


def zero_one_loss(x: Any, y: Any) -> Any:
    return (x.argmax(1) != y).float().mean()


def crammer_singer_loss(x: Any, y: Any, *, margin: float) -> Any:
    labels = y.unsqueeze(1)
    right = x.gather(1, labels).squeeze(1)
    wrong = x.scatter(1, labels, -math.inf).max(1).values
    return F.relu(margin + wrong - right).mean()


# Classification.


def categorical_cross_entropy(p: Any, y: Any) -> Any:
    p = p / p.sum(1, keepdim=True)
    return -(y * p.clamp(1e-7, 1.0 - 1e-7).log()).sum(1).mean()


def sparse_categorical_cross_entropy(p: Any, y: Any) -> Any:
    right = p.gather(1, y.unsqueeze(1)).squeeze(1) / p.sum(1)
    return -right.clamp(1e-7, 1.0 - 1e-7).log().mean()


def _log_right(x: Any, y: Any) -> Any:
    return F.log_softmax(x, 1).gather(1, y.unsqueeze(1)).squeeze(1)


def focal_loss(x: Any, y: Any, *, gamma: float) -> Any:
    log_p = _log_right(x, y)
    return -((1.0 - log_p.exp()) ** gamma * log_p).mean()


def sigmoid_focal_loss(x: Any, y: Any, *, alpha: float, gamma: float) -> Any:
    p = torch.sigmoid(x)
    miss = p * (1.0 - y) + (1.0 - p) * y
    balance = alpha * y + (1.0 - alpha) * (1.0 - y)
    return (balance * miss**gamma * F.binary_cross_entropy_with_logits(x, y, reduction="none")).mean()


def poly_cross_entropy(x: Any, y: Any, *, epsilon: float) -> Any:
    log_p = _log_right(x, y)
    return (epsilon * (1.0 - log_p.exp()) - log_p).mean()


def generalized_cross_entropy(x: Any, y: Any, *, q: float) -> Any:
    return (-torch.expm1(q * _log_right(x, y)) / q).mean()


def asymmetric_loss(x: Any, y: Any, *, gamma_neg: float, gamma_pos: float, clip: float) -> Any:
    p = torch.sigmoid(x)
    shifted = (p - clip).clamp_min(0.0)
    rise = (1.0 - p) ** gamma_pos * F.logsigmoid(x)
    fall = shifted**gamma_neg * torch.log1p(-shifted)
    return -(y * rise + (1.0 - y) * fall).mean()


def entropy_loss(x: Any) -> Any:
    log_p = F.log_softmax(x, 1)
    return -(log_p.exp() * log_p).sum(1).mean()


def self_information(p: Any) -> Any:
    return -p.log().mean()


# Divergences.


def kl_div(x: Any, y: Any) -> Any:
    return F.kl_div(x, y, reduction="sum") / x.numel()  # the mean, without PyTorch's warning of it


def kl_div_with_logits(student: Any, teacher: Any, *, temperature: float) -> Any:
    student, teacher = F.log_softmax(student / temperature, 1), F.log_softmax(teacher / temperature, 1)
    return temperature * temperature * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def js_div(x: Any, y: Any) -> Any:
    p = x.exp()
    log_middle = (0.5 * (p + y)).log()
    return (0.5 * (p * (x - log_middle) + torch.xlogy(y, y) - y * log_middle)).mean()


def tv_div(x: Any, y: Any) -> Any:
    return (0.5 * (x.exp() - y).abs()).mean()


# Overlap: class scores along axis 1, class indices.


def _counts(x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Of each class: what is right, the mass of the input, and of the target."""
    p = F.softmax(x, 1)
    one_hot = F.one_hot(y, x.shape[1]).movedim(-1, 1).to(x.dtype)
    axes = (0, *range(2, x.ndim))
    return (p * one_hot).sum(axes), p.sum(axes), one_hot.sum(axes)


def dice_loss(x: Any, y: Any, *, smooth: float) -> Any:
    both, input, target = _counts(x, y)
    return (1.0 - (2.0 * both + smooth) / (input + target + smooth)).mean()


def jaccard_loss(x: Any, y: Any, *, smooth: float) -> Any:
    both, input, target = _counts(x, y)
    return (1.0 - (both + smooth) / (input + target - both + smooth)).mean()


def _tversky(x: Any, y: Any, alpha: float, beta: float, smooth: float) -> Any:
    both, input, target = _counts(x, y)
    return 1.0 - (both + smooth) / (both + alpha * (input - both) + beta * (target - both) + smooth)


def tversky_loss(x: Any, y: Any, *, alpha: float, beta: float, smooth: float) -> Any:
    return _tversky(x, y, alpha, beta, smooth).mean()


def focal_tversky_loss(x: Any, y: Any, *, alpha: float, beta: float, gamma: float, smooth: float) -> Any:
    return (_tversky(x, y, alpha, beta, smooth) ** gamma).mean()


# Boxes: corners x1, y1, x2, y2 along the last axis.


def _boxes(a: Any, b: Any, eps: float) -> tuple[Any, ...]:
    ax, ay, aw, ah = a.unbind(-1)
    bx, by, bw, bh = b.unbind(-1)
    width = (torch.minimum(aw, bw) - torch.maximum(ax, bx)).clamp_min(0.0)
    height = (torch.minimum(ah, bh) - torch.maximum(ay, by)).clamp_min(0.0)
    both = width * height
    union = (aw - ax) * (ah - ay) + (bw - bx) * (bh - by) - both
    hull_width = torch.maximum(aw, bw) - torch.minimum(ax, bx)
    hull_height = torch.maximum(ah, bh) - torch.minimum(ay, by)
    return both / (union + eps), union, hull_width, hull_height


def box_iou_loss(a: Any, b: Any, *, eps: float) -> Any:
    return (1.0 - _boxes(a, b, eps)[0]).mean()


def generalized_box_iou_loss(a: Any, b: Any, *, eps: float) -> Any:
    iou, union, width, height = _boxes(a, b, eps)
    hull = width * height
    return (1.0 - iou + (hull - union) / (hull + eps)).mean()


def _distance(a: Any, b: Any, eps: float) -> tuple[Any, Any]:
    iou, _, width, height = _boxes(a, b, eps)
    ax, ay, aw, ah = a.unbind(-1)
    bx, by, bw, bh = b.unbind(-1)
    apart = (0.5 * (ax + aw - bx - bw)).square() + (0.5 * (ay + ah - by - bh)).square()
    return 1.0 - iou + apart / (width.square() + height.square() + eps), iou


def distance_box_iou_loss(a: Any, b: Any, *, eps: float) -> Any:
    return _distance(a, b, eps)[0].mean()


def complete_box_iou_loss(a: Any, b: Any, *, eps: float) -> Any:
    loss, iou = _distance(a, b, eps)
    ax, ay, aw, ah = a.unbind(-1)
    bx, by, bw, bh = b.unbind(-1)
    v = (4.0 / math.pi**2) * (torch.atan((bw - bx) / (bh - by)) - torch.atan((aw - ax) / (ah - ay))).square()
    with torch.no_grad():
        alpha = v / (1.0 - iou + v + eps)
    return (loss + alpha * v).mean()


# Adversarial: non-saturating.


def gan_discriminator_loss(real: Any, fake: Any) -> Any:
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def gan_generator_loss(fake: Any) -> Any:
    return F.softplus(-fake).mean()


# Similarity.


def cosine_similarity_loss(a: Any, b: Any) -> Any:
    return (1.0 - F.cosine_similarity(a, b)).mean()


def triplet_loss_from_distances(positive: Any, negative: Any, *, margin: float) -> Any:
    return F.relu(margin + positive - negative).mean()


def contrastive_loss(a: Any, b: Any, y: Any, *, margin: float) -> Any:
    square = (a - b).square().sum(1)
    gap = F.relu(margin - torch.sqrt(square))
    return (y * square + (1.0 - y) * gap.square()).mean()


# Penalties.


def l1_penalty(x: Any, *, strength: float) -> Any:
    return strength * x.abs().sum()


def l2_penalty(x: Any, *, strength: float) -> Any:
    return strength * x.square().sum()


def elastic_net_penalty(x: Any, *, strength: float, l1_ratio: float) -> Any:
    return strength * (l1_ratio * x.abs().sum() + 0.5 * (1.0 - l1_ratio) * x.square().sum())


COMPOSITIONS: dict[str, Callable[..., Any]] = {
    name: function
    for name, function in globals().items()
    if inspect.isfunction(function) and function.__module__ == __name__ and not name.startswith("_")
}


def reference(case: Problem, compiled: bool = False) -> Callable[..., Any]:
    """The loss of a case in PyTorch, as a function of tensors by position."""
    import fastloss as fl

    name = case.loss
    if name not in COMPOSITIONS or (name in EAGER and not compiled):
        if not hasattr(F, name):
            raise KeyError(f"{name}: no composition in bench/compositions.py, nor a function of that name in PyTorch")
        return getattr(F, name)
    composition, ours = COMPOSITIONS[name], inspect.signature(getattr(fl, name)).parameters
    wanted = [p.name for p in inspect.signature(composition).parameters.values() if p.kind is p.KEYWORD_ONLY]
    options = {parameter: case.options.get(parameter, ours[parameter].default) for parameter in wanted}
    return functools.partial(composition, **options) if options else composition
