"""Compiled code on disk, for the next process.

Numba's own cache does not notice a changed callee in another file nor changed options, and writes beside the sources.
Ours lies in a directory of all versions that shape the machine code, and the name of a file tells the sources it was
made of: those of the kernel's module and of all that it imports from this package, so that an edit compiles anew what
it touches and nothing else, and two versions of fastloss do not overwrite each other's files.

A kernel is machine code and the name of its function, which LLVM loads in a tenth of a millisecond. What Python calls
(launch_cpu) is kept as Numba keeps it, which takes two.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import sys
import tempfile

import llvmlite
import numba
import numpy as np
from numba.core import caching, config

from fastloss.kernels.target_cpu import TARGET

_IMPORT = re.compile(
    rb"^\s*from fastloss\.kernels(?:\.(\w+) import| import (?:\(([\w\s,]*)\)|([\w ,]+)))", re.MULTILINE
)


@functools.cache
def _source(module):
    """The text of a module of this package, and the modules of it that it imports."""
    text = (pathlib.Path(__file__).parent / f"{module}.py").read_bytes()
    found = _IMPORT.findall(text)
    return text, {name.strip().decode() for groups in found for names in groups for name in names.split(b",")} - {""}


def source_digest(modules):
    """A digest of modules of this package and of whatever they import from it."""
    known, new = set(), {"build_cpu", *modules}
    while new:
        known |= new
        new = set().union(*(_source(name)[1] for name in new)) - known
    digest = hashlib.sha256()
    for name in sorted(known):
        digest.update(name.encode() + b"\0" + _source(name)[0] + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def versions_digest():
    """A digest of everything else that shapes the machine code."""
    parts = (numba.__version__, llvmlite.__version__, np.__version__, sys.version)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@functools.cache
def cache_directory():
    """Where compiled kernels are kept; None where ``FASTLOSS_CACHE=0`` or no directory is the user's alone.

    The files are machine code and pickles: whoever can write them can run code as the user. So the directory must
    belong to the user and be closed to other writers.
    """
    if os.environ.get("FASTLOSS_CACHE", "1") == "0":
        return None
    base = os.environ.get("FASTLOSS_CACHE_DIR")
    if not base:
        if sys.platform == "win32":
            user = os.environ.get("LOCALAPPDATA") or pathlib.Path.home()
        else:
            user = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        base = pathlib.Path(user) / "fastloss"
    try:
        # Absolute, or another current directory would be another cache, which nobody has looked at.
        directory = pathlib.Path(base).expanduser().absolute() / versions_digest()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        private = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
        return directory if private and os.access(directory, os.W_OK) else None
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None


@functools.cache
def _processor():
    """A digest of the processor that code is made for, as a home directory may have several, and of how it is made."""
    how = config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE
    return hashlib.sha256(repr((TARGET.target_context.codegen().magic_tuple(), how)).encode()).hexdigest()[:8]


def stem(function):
    """The module of this package that a function is of."""
    return function.__module__.rpartition(".")[2]


_DIGEST_BYTES = hashlib.sha256().digest_size


class File:
    """Where the machine code of a kernel is kept."""

    def __init__(self, module, name, modules):
        self._directory = cache_directory()
        self._name = f"{module}.{name}.{source_digest(modules)}.{_processor()}"

    def read(self):
        """The name of the function and the machine code; None where it was not kept, or not undamaged."""
        if self._directory is None:
            return None
        try:
            data = (self._directory / self._name).read_bytes()
        except OSError:
            return None
        digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            return None
        symbol, _, code = content.partition(b"\0")
        return symbol.decode(), code

    def write(self, symbol, code):
        """Keep it, if that is possible: a full disk means to compile again."""
        if self._directory is None:
            return
        content = symbol.encode() + b"\0" + code
        with contextlib.suppress(OSError):
            handle, temporary = tempfile.mkstemp(dir=self._directory)
            try:
                with open(handle, "wb") as file:
                    file.write(hashlib.sha256(content).digest() + content)
                os.replace(temporary, self._directory / self._name)  # at once: another process may be reading
            except BaseException:
                os.unlink(temporary)
                raise


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
        name = f"{stem(function)}.{function.__qualname__}.{source_digest({stem(function)})}"
        self._filename_base = self.get_filename_base(name, getattr(sys, "abiflags", ""))


class NumbasCache(caching.FunctionCache):
    """Of what Python calls. It can only help: a full disk or a broken file means compiling again, never an error."""

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
