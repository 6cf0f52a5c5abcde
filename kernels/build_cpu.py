"""From a template to machine code: bind its names to a dtype, compile it as a C function, keep it on disk.

A kernel is written once, as a plain Python function that names ``load``, ``store``, ``exp``... as globals. ``kernel``
copies the function with those globals bound to one dtype (and whatever constants the caller adds) and compiles it to
a C function that is called by address. So one parallel driver serves all kernels, a kernel's serial and parallel
results come from the same instructions, and nothing but the kernel itself is compiled on first use (a ``prange``
driver for each kernel took 0.5 s to compile).
"""

import functools
import hashlib
import types as python_types

import numpy as np
from numba import types

from fastloss.kernels import cache_cpu, math_cpu, memory_cpu, ordinals_cpu, transpose_cpu
from fastloss.kernels.cache_cpu import stem
from fastloss.kernels.compiler_cpu import Driver, Kernel, compiling, helper
from fastloss.kernels.intrinsics_cpu import EXTREMES

#: Never nnan or ninf: masks of -inf and NaN that must come through are ordinary data here. Nor reassoc, which undoes
#: whatever was written so as not to cancel: sums that may be taken in any order say so with ``accumulate``.
FASTMATH = frozenset({"contract", "nsz"})

#: phase, low, high, arguments, partial: see launch_cpu.
KERNEL_SIGNATURE = types.void(types.intp, types.intp, types.intp, types.intp, types.intp)


class Template:
    """A kernel, or a helper of kernels, whose globals are bound when it is known for which dtype."""

    def __init__(self, function, fastmath=FASTMATH, first=None, slopes_too=True, fills=False):
        self.function = function
        self.fastmath = set(fastmath)
        self.first = first
        self.slopes_too = slopes_too
        self.fills = fills
        self.__doc__ = function.__doc__

    def bind(self, names, name):
        """A copy called ``name`` with ``names``, and every template it mentions bound likewise, among its globals."""
        function = self.function
        scope = {**EXTREMES, **function.__globals__, **names}
        for key in function.__code__.co_names:
            if isinstance(scope.get(key), Template):
                scope[key] = scope[key]._helper(names)
        copy = python_types.FunctionType(function.__code__, scope, name, function.__defaults__)
        copy.__qualname__ = name  # names the file in the disk cache, so it must tell every binding apart
        copy.__module__ = function.__module__
        return copy

    def _helper(self, names):
        # One for all kernels that give it the same names: most helpers know little more than the dtype.
        key = self, frozenset(self._seen(names).items())
        if key not in _HELPERS:
            _HELPERS[key] = helper(self.fastmath)(self.bind(names, _named(self)))
        return _HELPERS[key]

    def _seen(self, names):
        # Which of the names it looks at, itself or through what it mentions.
        function, seen = self.function, {}
        for key in function.__code__.co_names:
            if key in names:
                seen[key] = names[key]
            value = names.get(key, function.__globals__.get(key))
            if isinstance(value, Template):
                seen.update(value._seen(names))
        return seen


_HELPERS = {}


def rounded(function):
    """A template whose products are rounded before they are added to anything."""
    return Template(function, ())


def staged(first, slopes_too=True):
    """A formula of two halves, the first of which is ``first(x, t, z, q)`` and becomes the sixth number of ``q``.

    What bounds a long formula is not its operations but how many of them wait for each other: a processor looks ahead
    some two hundred. In two loops over a tile it waits half as long (``asymmetric_loss`` 9.8 to 7.3 ms). Where
    ``STAGED`` is false, the formula calls its first half itself. Of shorter formulas only the value gains, whereas
    value and gradient of arrays that no cache holds lose a tenth: not ``slopes_too``.
    """
    return lambda function: Template(function, first=first, slopes_too=slopes_too)


def filling(function):
    """A formula that fills the registers by itself: four vectors of it at once took 1.3 times as long (``tweedie``)."""
    return Template(function, fills=True)


def names_of(dtype):
    """What a template may name without importing it, for arrays of ``dtype``."""
    compute = memory_cpu.COMPUTE[dtype]
    return {
        **math_cpu.MATH[compute],
        "real": np.float64 if compute == "float64" else np.float32,
        "load": memory_cpu.LOADS[dtype],
        "store": memory_cpu.STORES[dtype],
        "load_back": memory_cpu.OUTPUT_LOADS[dtype],
        "load_bits": ordinals_cpu.MEMORY[dtype].load,
        "largest_in_groups": ordinals_cpu.MEMORY[dtype].largest,
        "outermost_bits": ordinals_cpu.MEMORY[dtype].outermost,
        "beyond": ordinals_cpu.MEMORY[dtype].beyond,
        "accumulate": memory_cpu.ACCUMULATE[compute],
        "gather": memory_cpu.GATHERS[dtype],
        "load_real": memory_cpu.LOADS[compute],
        "store_real": memory_cpu.STORES[compute],
        "load_tile": memory_cpu.TILE_LOADS[compute],
        "store_tile": memory_cpu.TILE_STORES[compute],
        "load_index": memory_cpu.LOADS["int64"],
        "load_wide_index": memory_cpu.TILE_LOADS["int64"],
        "store_wide_index": memory_cpu.TILE_STORES["int64"],
        "load_sum": memory_cpu.SUM_LOADS[compute],
        "store_sum": memory_cpu.SUM_STORES[compute],
        "load_count": memory_cpu.SUM_LOADS[f"int{8 * memory_cpu.ITEMSIZE[compute]}"],
        "store_count": memory_cpu.SUM_STORES[f"int{8 * memory_cpu.ITEMSIZE[compute]}"],
        "load_tile_bits": memory_cpu.TILE_LOADS[f"int{8 * memory_cpu.ITEMSIZE[compute]}"],
        "load_wide": memory_cpu.TILE_LOADS["float64"],
        "store_wide": memory_cpu.TILE_STORES["float64"],
        "rows_to_lanes": transpose_cpu.ROWS_TO_LANES[dtype],
        "lanes_to_rows": transpose_cpu.LANES_TO_ROWS[dtype],
        "ITEMSIZE": memory_cpu.ITEMSIZE[dtype],
        "REALSIZE": memory_cpu.ITEMSIZE[compute],
    }


def _named(value):
    # Two families may have a formula of one name.
    if isinstance(value, Template):
        return f"{stem(value.function)}_{value.function.__name__}"
    return value


@functools.cache
def kernel(template, dtype=None, **constants):
    """The C function of ``template`` for arrays of ``dtype``; compiled, or loaded from disk, on first use.

    No dtype: a kernel that only moves bytes. The caller holds the lock of fastloss._threads: no fork may come between.
    """
    tag = [f"{key}_{_named(value)}" for key, value in sorted(constants.items())]
    name = "_".join([template.function.__name__, *filter(None, [dtype]), *tag])
    if len(name) > 120:  # it becomes the name of a file
        name = f"{name[:100]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    templates = [template, *(value for value in constants.values() if isinstance(value, Template))]
    return Kernel(
        lambda: template.bind({**(names_of(dtype) if dtype else {}), **constants}, name),
        KERNEL_SIGNATURE,
        template.fastmath,
        cache_cpu.File(stem(template.function), name, {stem(one.function) for one in templates}),
    )


@functools.cache
def callback(function):
    """The C function ``void function(void*)`` of a function of an address, for C libraries to call."""
    file = cache_cpu.File(stem(function), function.__qualname__, {stem(function)})
    return Kernel(lambda: function, types.void(types.intp), set(), file)


def driver(function):
    """A function that Python calls, as against a kernel: compiled, or loaded from disk, on its first call."""
    dispatcher = Driver(function)
    if cache_cpu.cache_directory() is not None:
        dispatcher._cache = cache_cpu.NumbasCache(function)
    return dispatcher


def compile_driver(dispatcher, *arguments):
    """Compile a driver now, under the caller's lock, rather than at its first call."""
    if not dispatcher.overloads:
        with compiling():
            dispatcher.compile(arguments)
