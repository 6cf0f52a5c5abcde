"""Fused loss functions, value and gradient in one pass, for NumPy and PyTorch.

>>> import numpy as np, fastloss as fl
>>> loss, grad = fl.cross_entropy.value_and_grad(np.zeros((2, 4), np.float32), np.array([1, 3]))
>>> round(float(loss), 6)
1.386294
"""

from fastloss._buffers import release_memory
from fastloss._catalogue import find, losses
from fastloss._info import info
from fastloss._threads import get_num_threads, set_num_threads
from fastloss.adversarial import *
from fastloss.binary import *
from fastloss.boxes import *
from fastloss.classification import *
from fastloss.contrastive import *
from fastloss.ctc import *
from fastloss.ctc import ctc_posteriors
from fastloss.ctc_decode import ctc_beam_decode, ctc_feasible, ctc_forced_align, ctc_greedy_decode
from fastloss.distances import *
from fastloss.divergence import *
from fastloss.keras import *
from fastloss.likelihood import *
from fastloss.margin import *
from fastloss.overlap import *
from fastloss.pairs import *
from fastloss.penalties import *
from fastloss.proxies import *
from fastloss.regression import *
from fastloss.regression_rows import *
from fastloss.robust import *
from fastloss.scores import *
from fastloss.similarity import *
from fastloss.softmax import *
from fastloss.triplets import *
from fastloss.triplets import mine_pairs, mine_triplets

__version__ = "0.1.0"

__all__ = [
    "ctc_beam_decode",
    "ctc_feasible",
    "ctc_forced_align",
    "ctc_greedy_decode",
    "ctc_posteriors",
    "find",
    "get_num_threads",
    "info",
    "losses",
    "mine_pairs",
    "mine_triplets",
    "release_memory",
    "set_num_threads",
    *losses(),
]


def __getattr__(name: str) -> object:
    # fastloss.nn needs torch: imported when asked for, not with fastloss.
    if name == "nn":
        import fastloss.nn

        return fastloss.nn
    raise AttributeError(f"module 'fastloss' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "nn"})
