"""Memory of large gradients, kept for the next step of a training loop.

A fresh 262 MB gradient costs 8 ms of page faults at best and 50 to 500 ms at worst (4 KB pages; a virtual machine that
must ask its host), the computation 12. A loop frees each gradient before it needs the next, so the last freed blocks
are kept: at most ``MAX_BLOCKS`` of them, each used only for arrays that need most of it.

Only for memory that stays behind a torch tensor. A NumPy view of an ndarray refers to the owner of the memory and not
to the array it was made from, so an ndarray that dies does not mean that its memory is free.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import numpy as np

#: Below this, the allocator reuses memory by itself.
SMALLEST_BYTES = 1 << 22
MAX_BLOCKS = 2

_free: list[Any] = []
_lock = threading.Lock()


def empty(count: int, dtype: Any) -> Any:
    """A one-dimensional array, whose memory comes back here when it dies."""
    size = count * np.dtype(dtype).itemsize
    block = None
    with _lock:
        for i, candidate in enumerate(_free):
            if size <= candidate.nbytes <= size + size // 4:
                block = _free.pop(i)
                break
    if block is None:
        block = np.empty(size, np.uint8)
    array = block[:size].view(dtype)
    weakref.finalize(array, _keep, block).atexit = False
    return array


def _keep(block: Any) -> None:
    # May run in any thread, at any time: during a collection inside ``empty`` too, where the lock is taken.
    if _lock.acquire(blocking=False):
        try:
            _free.insert(0, block)
            del _free[MAX_BLOCKS:]
        finally:
            _lock.release()


def release_memory() -> None:
    """Give the memory of past gradients back to the system; it is kept for the next training step otherwise.

    At most two blocks are kept, those of the largest tensors that were freed last.

    >>> import fastloss as fl
    >>> fl.release_memory()
    """
    with _lock:
        _free.clear()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
