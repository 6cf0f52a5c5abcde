"""Tensors of NumPy's arrays, of ml_dtypes' bfloat16 too."""

import numpy as np
import torch
from cases import DTYPES


def tensor(array):
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    if array.dtype == DTYPES["bfloat16"]:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())
