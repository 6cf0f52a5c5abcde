"""From a template to machine code: bind its names to a dtype, compile it as a C function, keep it on disk.

A kernel is written once, as a plain Python function that names ``load``, ``store``, ``exp``... as globals. ``kernel``
copies the function with those globals bound to one dtype (and whatever constants the caller adds) and compiles it to
a C function that is called by address. So one parallel driver serves all kernels, a kernel's serial and parallel
results come from the same instructions, and nothing but the kernel itself is compiled on first use (a ``prange``
driver for each kernel took 0.5 s to compile).
"""

import functools
import hashlib
import os
import pathlib
import re
import sys
import types as python_types

import llvmlite
import numba
import numpy as np
from numba import types
from numba.core import caching

from fastloss.kernels import math_cpu, memory_cpu, ordinals_cpu, transpose_cpu
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
        return f"{_stem(value.function)}_{value.function.__name__}"
    return value


def _stem(function):
    return function.__module__.rpartition(".")[2]


@functools.cache
def kernel(template, dtype=None, **constants):
    """The C function of ``template`` for arrays of ``dtype``; compiled, or loaded from disk, on first use.

    No dtype: a kernel that only moves bytes. The caller holds the lock of fastloss._threads: no fork may come between.
    """
    tag = [f"{key}_{_named(value)}" for key, value in sorted(constants.items())]
    name = "_".join([template.function.__name__, *filter(None, [dtype]), *tag])
    if len(name) > 120:  # it becomes the name of a file
        name = f"{name[:100]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    function = template.bind({**(names_of(dtype) if dtype else {}), **constants}, name)
    templates = [template, *(value for value in constants.values() if isinstance(value, Template))]
    return _c_function(function, KERNEL_SIGNATURE, template.fastmath, {_stem(one.function) for one in templates})


@functools.cache
def callback(function):
    """The C function ``void function(void*)`` of a function of an address, for C libraries to call."""
    return _c_function(function, types.void(types.intp), set(), {_stem(function)})


def _c_function(function, signature, fastmath, sources):
    compiled = Kernel(function, (signature.args, signature.return_type), fastmath)
    if cache_directory() is not None:
        function.sources = sources
        compiled._cache = _Cache(function)
    with compiling():
        compiled.compile()
    return compiled


def driver(function):
    """A function that Python calls, as against a kernel: compiled, or loaded from disk, on its first call."""
    dispatcher = Driver(function)
    if cache_directory() is not None:
        function.sources = {_stem(function)}
        dispatcher._cache = _Cache(function)
    return dispatcher


def compile_driver(dispatcher, *arguments):
    """Compile a driver now, under the caller's lock, rather than at its first call."""
    if not dispatcher.overloads:
        with compiling():
            dispatcher.compile(arguments)


# The disk cache. Numba's own does not notice a changed callee in another file nor changed options, and writes beside
# the sources. Ours lies in a directory of all versions that shape the machine code, and the name of a file tells the
# sources it was made of: those of the kernel's module and of all that it imports from this package, so that an edit
# compiles anew what it touches and nothing else, and two versions of fastloss do not overwrite each other's files.

_IMPORT = re.compile(
    rb"^\s*from fastloss\.kernels(?:\.(\w+) import| import (?:\(([\w\s,]*)\)|([\w ,]+)))", re.MULTILINE
)


@functools.cache
def _source(stem):
    """The text of a module of this package, and the modules of it that it imports."""
    text = (pathlib.Path(__file__).parent / f"{stem}.py").read_bytes()
    found = _IMPORT.findall(text)
    return text, {name.strip().decode() for groups in found for names in groups for name in names.split(b",")} - {""}


def source_digest(stems):
    """A digest of modules of this package and of whatever they import from it."""
    known, new = set(), {"build_cpu", *stems}
    while new:
        known |= new
        new = set().union(*(_source(stem)[1] for stem in new)) - known
    digest = hashlib.sha256()
    for stem in sorted(known):
        digest.update(stem.encode() + b"\0" + _source(stem)[0] + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def versions_digest():
    """A digest of everything else that shapes the machine code."""
    parts = (numba.__version__, llvmlite.__version__, np.__version__, sys.version)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@functools.cache
def cache_directory():
    """Where compiled kernels are kept; None where ``FASTLOSS_CACHE=0`` or no directory is the user's alone.

    The files are pickles: whoever can write them can run code as the user. So the directory must belong to the user
    and be closed to other writers.
    """
    if os.environ.get("FASTLOSS_CACHE", "1") == "0":
        return None
    base = os.environ.get("FASTLOSS_CACHE_DIR")
    if base is None:
        if sys.platform == "win32":
            user = os.environ.get("LOCALAPPDATA") or pathlib.Path.home()
        else:
            user = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        base = pathlib.Path(user) / "fastloss"
    directory = pathlib.Path(base) / versions_digest()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        private = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
        return directory if private and os.access(directory, os.W_OK) else None
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None


class _Locator(caching._CacheLocator):
    def get_cache_path(self):
        return str(cache_directory())

    def get_source_stamp(self):
        return ""  # it is in the name

    def get_disambiguator(self):
        return "fastloss"


class _Implementation(caching.CompileResultCacheImpl):
    def __init__(self, function):
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator()
        name = f"{_stem(function)}.{function.__qualname__}.{source_digest(function.sources)}"
        self._filename_base = self.get_filename_base(name, getattr(sys, "abiflags", ""))


class _Cache(caching.FunctionCache):
    """A cache that can only help: a full disk or a broken file means compiling again, never an error."""

    _impl_class = _Implementation

    def load_overload(self, sig, target_context):
        try:  # without what Numba does first: loading all that it knows of NumPy, and SciPy, takes 0.2 s
            return self._load_overload(sig, target_context)
        except Exception:  # whatever a damaged pickle raises
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except Exception:  # a full disk, a directory taken away, an index that does not load
            self.disable()
