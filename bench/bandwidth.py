"""A copy of the case's first input with all cores: the speed that memory allows."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import numpy as np
from arena import Arena, as_tensor
from variants import Variant

COPIES = ("copy_numpy", "copy_torch")


def copies(arena: Arena) -> list[Variant]:
    """Two ways to copy, of which the faster counts: neither is the better one for all sizes and machines."""
    import fastloss as fl

    sources = [arrays[0].reshape(-1).view(np.uint8) for arrays in arena.arguments]
    sinks = [sink.reshape(-1).view(np.uint8) for sink in arena.sinks]
    parts = fl.get_num_threads()
    bounds = [sources[0].size * part // parts for part in range(parts + 1)]
    pool = concurrent.futures.ThreadPoolExecutor(parts)
    from_tensors = [tensors[0] for tensors in arena.tensors]
    to_tensors = [as_tensor(sink) for sink in arena.sinks]

    def piece(i: int, part: int) -> None:
        low, high = bounds[part], bounds[part + 1]
        np.copyto(sinks[i][low:high], sources[i][low:high])

    def by_numpy(i: int) -> None:
        futures = [pool.submit(piece, i, part) for part in range(1, parts)]
        piece(i, 0)
        for future in futures:
            future.result()

    def by_torch(i: int) -> None:
        to_tensors[i].copy_(from_tensors[i])

    return [Variant(name, call, _unread) for name, call in zip(COPIES, (by_numpy, by_torch), strict=True)]


def _unread(result: Any, i: int) -> tuple[float, Any]:
    raise AssertionError("a copy has no loss")
