"""Numba's compiler for kernels, and for the helpers that they call.

Numba makes of each helper a function that Python could call: wrappers in machine code of its own. Helpers are only ever
inlined into kernels, so here they stop at LLVM's intermediate code. What comes before it is in passes_cpu.py and
target_cpu.py.
"""

import contextlib
import gc

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import compiler
from numba.core.ccallback import CFunc
from numba.core.codegen import CPUCodeLibrary, JITCodeLibrary
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from fastloss.kernels import target_cpu
from fastloss.kernels.passes_cpu import PASSES

#: No reference counts (``_nrt``): there are no objects to count.
OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy", "_nrt": False}


@contextlib.contextmanager
def collector_asleep():
    """Compiling makes objects by the million, and they stay: looking for garbage among them took a seventh of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def compiling():
    """Around whatever compiles kernels or drivers."""
    with collector_asleep(), target_cpu.current():
        yield


class KernelCompiler(compiler.CompilerBase):
    """From Python to machine code, for kernels and drivers."""

    def __init__(self, typing_context, target_context, library, *rest):
        if library is None:
            library = _KernelLibrary(target_context.codegen(), "kernel")
            library.enable_object_caching()
        super().__init__(target_cpu.TypedOnce(typing_context), target_context, library, *rest)

    def define_pipelines(self):
        return [PASSES]


#: LLVM prefers 256 bits on Intel's processors with AVX-512, of which some slow down when they use more. These loops do
#: enough with what they load that more is faster all the same: see docs/notes/kernels.md.
_WIDTH = '"prefer-vector-width"="512"'


class _LoopId(ir.MDValue):
    # Metadata that names a loop: it refers to itself, which is what tells it from others.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def _tell_llvm(ir_module):
    """Say what LLVM cannot know of the functions of a module: how wide, and what turns of which loops go together."""
    for function in ir_module.functions:
        if not function.is_declaration:
            set.add(function.attributes, _WIDTH)  # llvmlite's own ``add`` knows no attributes with a value
        turns = getattr(function, "turns_together", 0)
        if turns:
            before = set()
            for block in function.blocks:
                before.add(block)
                if isinstance(block.terminator, ir.Branch) and before.intersection(block.terminator.operands):
                    count = ir_module.add_metadata(["llvm.loop.interleave.count", ir.IntType(32)(turns)])
                    loop = _LoopId(ir_module, (), str(len(ir_module.metadata)))
                    loop.operands = (loop, count)
                    block.terminator.set_metadata("llvm.loop", loop)


@intrinsic
def four_turns_together(typingctx):
    """Work on four turns of a vector loop at once, in all loops of this function.

    A long formula is a chain of operations that wait for each other, and a processor does not look far beyond what
    waits. LLVM by itself does this for short formulas only, where there is little to wait for.
    """

    def codegen(context, builder, signature, args):
        builder.function.turns_together = 4
        return context.get_dummy_value()

    return types.void(), codegen


class _Told:
    # A library of functions about which LLVM is told what it cannot know.
    def add_ir_module(self, ir_module):
        _tell_llvm(ir_module)
        super().add_ir_module(ir_module)


class _KernelLibrary(_Told, JITCodeLibrary):
    # One round of LLVM's passes, over everything at once: Numba's rounds before it gather reference counts.
    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def finalize(self):
        # Helpers are linked here, each once, and not into every helper that calls them.
        others = []
        for library in _called(self):
            if isinstance(library, _HelperLibrary):
                self._final_module.link_in(library.alone(), preserve=True)
            else:
                others.append(library)
        self._linking_libraries = others
        super().finalize()

    def serialize_using_object_code(self):
        # Numba keeps all intermediate code beside the machine code, for callers to inline. Kernels are called by
        # address, so the names will do: reading the code took half of the time to load one.
        self._ensure_finalized()
        return self.name, "object", (self._get_compiled_object(), _names_only(self._final_module).as_bitcode())


def _names_only(module):
    """A module that defines what another does, with nothing behind it."""
    functions = [one.name for one in module.functions if not one.is_declaration]
    variables = [one.name for one in module.global_variables if not one.is_declaration]
    text = [f'define void @"{name}"() {{ ret void }}' for name in functions]
    return llvm.parse_assembly("\n".join(text + [f'@"{name}" = global i8 0' for name in variables]))


def _called(library):
    """The libraries that one calls, helpers' own included."""
    found, new = {}, list(library._linking_libraries)
    while new:
        one = new.pop()
        if one not in found:
            found[one] = None
            if isinstance(one, _HelperLibrary):
                new += one._linking_libraries
    return list(found)


class _HelperCompiler(KernelCompiler):
    def __init__(self, typing_context, target_context, library, *rest):
        super().__init__(typing_context, target_context, _HelperLibrary(target_context.codegen(), "helper"), *rest)
        flags = self.state.flags
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True


class _HelperLibrary(_Told, CPUCodeLibrary):
    # Intermediate code for other libraries to take in.
    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

    def finalize(self):
        self._raise_if_finalized()
        self._finalized = True

    def alone(self):
        """Its own code, and only the names of what it calls."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self):
        # For libraries of Numba's, which do not look for what helpers call.
        whole = self.alone().clone()
        for library in _called(self):
            own = library.alone() if isinstance(library, _HelperLibrary) else library._get_module_for_linking()
            whole.link_in(own, preserve=True)
        return whole

    def _finalize_specific(self):
        raise NotImplementedError


class Driver(CPUDispatcher):
    """A function that Python calls."""

    targetdescr = target_cpu.TARGET

    def __init__(self, function):
        super().__init__(function, targetoptions={**OPTIONS, "no_cfunc_wrapper": True}, pipeline_class=KernelCompiler)


class Kernel(CFunc):
    """A C function."""

    _targetdescr = target_cpu.TARGET

    def __init__(self, function, signature, fastmath):
        options = {**OPTIONS, "fastmath": fastmath}
        super().__init__(function, signature, {}, options, pipeline_class=KernelCompiler)


class _Helper(CPUDispatcher):
    targetdescr = target_cpu.TARGET

    def __init__(self, function, fastmath):
        options = {**OPTIONS, "forceinline": True, "fastmath": set(fastmath)}
        super().__init__(function, targetoptions=options, pipeline_class=_HelperCompiler)

    def get_call_template(self, args, kws):
        # A literal is a number like any other: no second version for it.
        return super().get_call_template([types.unliteral(one) for one in args], kws)

    def add_overload(self, result):
        # Callers find the code by this key, in place of the address of a wrapper.
        key = object()
        target_cpu.insert(key, result)
        self.overloads[tuple(result.signature.args)] = result._replace(entry_point=key)


def helper(fastmath):
    """Make a function one that kernels call, and Python does not."""
    return lambda function: _Helper(function, fastmath)


target_cpu.register(Driver, lambda **options: helper(()))
