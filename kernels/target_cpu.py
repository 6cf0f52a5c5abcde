"""A target of Numba's for kernels: its own for the processor, with the little of what Numba knows that kernels need.

Before its first compilation Numba's own target loads all that it knows of NumPy, SciPy's BLAS, strings, lists and
random numbers, and its runtime for objects: 0.4 of the 2.7 s that the first call of ``cross_entropy`` took. Then it
looks at all of that again for every call that it types. Kernels know numbers, tuples and addresses.
"""

import functools

from numba.core import fastmathpass, target_extension, typing
from numba.core.cpu import CPUContext
from numba.core.registry import CPUTarget, cpu_target
from numba.core.typing import mathdecl

_NAME = "fastloss"


class _TypingContext(typing.Context):
    def load_additional_registries(self):
        self.install_registry(mathdecl.registry)


class TypedOnce:
    """The typing context of one function, which resolves a call once: Numba asks again until nothing changes.

    Not of all functions: Numba notes with a callee how to lower it, and its own target would write over that.
    """

    def __init__(self, context):
        self._context = context
        self._resolved = {}

    def __getattr__(self, name):
        return getattr(self._context, name)

    def resolve_function_type(self, function, arguments, keywords):
        call = function, tuple(arguments), tuple(keywords.items())
        if call not in self._resolved:
            self._resolved[call] = self._context.resolve_function_type(function, arguments, keywords)
        return self._resolved[call]


class _TargetContext(CPUContext):
    def load_additional_registries(self):
        from numba.core import optional  # noqa: F401
        from numba.cpython import builtins, iterators, mathimpl, numbers, rangeobj, tupleobj  # noqa: F401

        self.install_registry(mathimpl.registry)

    def post_lowering(self, module, library):
        # As Numba's own, but for its runtime, which is linked there.
        if self.fastmath:
            fastmathpass.rewrite_module(module, self.fastmath)


class _Target(CPUTarget):
    @functools.cached_property
    def _toplevel_typing_context(self):
        return _TypingContext()

    @functools.cached_property
    def _toplevel_target_context(self):
        return _TargetContext(self.typing_context, self._target_name)


class _Kernels(target_extension.CPU):
    """What Numba calls a target: whatever is for the processor is for kernels, too."""


TARGET = _Target(_NAME)


def register(dispatcher, jit):
    """Tell Numba who compiles for this target: functions of its own, and functions that stand for others."""
    target_extension.target_registry[_NAME] = _Kernels
    target_extension.dispatcher_registry[_Kernels] = dispatcher
    target_extension.jit_registry[_Kernels] = jit


def current():
    """While this lasts Numba takes the target for the current one, also where nothing is being typed yet."""
    return target_extension.target_override(_NAME)


def insert(key, result):
    """Let functions call a compiled one by its key: those of this target, and those of Numba's own."""
    for target in (TARGET, cpu_target):
        target.target_context.insert_user_function(key, result.fndesc, [result.library])
