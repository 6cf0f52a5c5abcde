"""What a bug report needs."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Any

from fastloss import _threads


def info() -> dict[str, Any]:
    """Versions, processor, threads, cache and GPUs, as a dictionary; ``python -m fastloss info`` prints it.

    >>> import fastloss as fl
    >>> sorted(fl.info())[:3]
    ['cache_directory', 'cpu', 'cpus_available']
    """
    import llvmlite.binding as llvm

    import fastloss
    from fastloss.kernels import cache_cpu

    features = llvm.get_host_cpu_features()
    return {
        "fastloss": fastloss.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        **{name: _version(name) for name in ("numba", "llvmlite", "numpy", "torch", "numba-cuda")},
        "cpu": llvm.get_host_cpu_name(),
        "vector_bits": _vector_bits(features),
        "cpus_available": _threads.available_cpus(),
        "threads": _threads_or_why(),
        "threading": _threads.description(),
        "cache_directory": str(cache_cpu.cache_directory()),
        "gpus": _gpus(),
    }


def _threads_or_why() -> int | str:
    try:
        return _threads.get_num_threads()
    except ValueError as error:  # the rest is wanted all the more
        return str(error)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _vector_bits(features: Any) -> int:
    for feature, bits in (("avx512f", 512), ("avx2", 256), ("avx", 256)):
        if features.get(feature):
            return bits
    return 128


def _gpus() -> list[str]:
    # Asking may start a driver: done here, never at import.
    try:
        from numba import cuda

        return [str(device.name) for device in cuda.gpus] if cuda.is_available() else []
    except Exception:  # a broken driver is no reason not to print the rest
        return []
