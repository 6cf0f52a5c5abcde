"""Numba's compiler for kernels, and for the helpers that they call.

Numba makes of each helper a function that Python could call: wrappers in machine code of its own. Helpers are only ever
inlined into kernels, so here they stop at LLVM's intermediate code. What comes before it is in passes_cpu.py and
target_cpu.py.
"""

import contextlib
import functools
import threading

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, compiler
from numba.core.ccallback import CFunc
from numba.core.codegen import CodeLibrary, CPUCodeLibrary, JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from fastloss.kernels import target_cpu
from fastloss.kernels.beside_cpu import Work, collector_asleep, let_go
from fastloss.kernels.passes_cpu import PASSES

#: No reference counts (``_nrt``): there are no objects to count.
OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy", "_nrt": False}


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


class _Written:
    # A library of functions that are text until LLVM gets to work on them: it may be at work on others until then.
    def __init__(self, codegen, name):
        CodeLibrary.__init__(self, codegen, name)  # Numba's constructors ask LLVM for an empty module
        self._linking_libraries = []
        self._shared_module = None
        self._texts = []

    def add_ir_module(self, ir_module):
        self._raise_if_finalized()
        _tell_llvm(ir_module)
        self._texts.append(cgutils.normalize_ir_text(str(ir_module)))

    @functools.cached_property
    def own(self):
        """Its own code, and only the names of what it calls."""
        module, *others = map(llvm.parse_assembly, self._texts)
        module.name = cgutils.normalize_ir_text(self.name)
        for other in others:
            module.link_in(other)
        return module

    def _linked_into(self, module):
        # Helpers are linked here, each once, and not into every helper that calls them.
        for library in _called(self):
            own = library.own if isinstance(library, _HelperLibrary) else library._get_module_for_linking()
            module.link_in(own, preserve=True)
        return module


#: The kernel that LLVM is at work on, if any.
_pending: list["Kernel"] = []


@global_compiler_lock
def finish():
    """Wait for LLVM, and have what it makes at its address and on disk."""
    while _pending:
        with contextlib.suppress(Exception):  # which are told to whoever asks for that kernel
            _pending[-1].finish()
        _pending.pop()


class _KernelLibrary(_Written, JITCodeLibrary):
    # One round of LLVM's passes, over everything at once: Numba's rounds before it gather reference counts. They run
    # while Python is at work on what is compiled next: LLVM takes nearly half of the time, and needs no Python.
    def begin(self, kernel=None):
        """Let LLVM begin, once it has nothing else to do, on this kernel if it is one."""
        finish()
        linked = threading.Event()

        def work():
            # All of it in the thread, which no interruption reaches: one in the midst of linking leaves a module that
            # LLVM and Python both free.
            try:
                self._codegen._check_llvm_bugs()
                module = self._final_module = self._linked_into(self.own)
                module.verify()
                passes, builder = self._codegen._module_pass_manager()
            finally:
                linked.set()
            passes.run(module, builder)
            return self._codegen._tm.emit_object(module)

        if kernel is not None:
            _pending.append(kernel)  # first: an interruption may come at any time
        self._machine_code = Work(work)
        # Linking is many short calls, each of which would wait for Python's lock: so Python rests meanwhile.
        while not linked.wait(timeout=1.0):
            let_go()

    def machine_code(self):
        """What LLVM makes."""
        return self._machine_code.result()

    def finalize(self):
        # Of a driver, which Numba loads: as what it would have made itself.
        self._raise_if_finalized()
        self.begin()
        self._compiled_object = code = self.machine_code()
        self._finalize_final_module()
        self._compiled_object = code  # which loading has taken away

    def serialize_using_object_code(self):
        # Numba keeps all intermediate code beside the machine code, for callers to inline. Drivers are called by
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


class _HelperLibrary(_Written, CPUCodeLibrary):
    # Intermediate code for other libraries to take in.
    def add_ir_module(self, ir_module):
        for function in ir_module.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"  # nobody needs it once it is inlined
        super().add_ir_module(ir_module)

    def finalize(self):
        self._raise_if_finalized()
        self._finalized = True

    def _get_module_for_linking(self):
        # For libraries of Numba's, which do not look for what helpers call.
        return self._linked_into(self.own.clone())

    def _finalize_specific(self):
        raise NotImplementedError


class Driver(CPUDispatcher):
    """A function that Python calls."""

    targetdescr = target_cpu.TARGET

    def __init__(self, function):
        super().__init__(function, targetoptions={**OPTIONS, "no_cfunc_wrapper": True}, pipeline_class=KernelCompiler)


class _CFunction(CFunc):
    # Numba's way to the intermediate code of a C function.
    _targetdescr = target_cpu.TARGET


class Kernel:
    """A C function, read from ``file`` or made of the Python function that ``source()`` gives.

    What is made is only begun here; who asks for the address waits for LLVM.
    """

    def __init__(self, source, signature, fastmath, file=None):
        self._file, self._address = file, None
        kept = None if file is None else file.read()
        if kept is not None:
            self._address = _load(*kept)
            return
        options = {**OPTIONS, "fastmath": fastmath}
        with compiling():
            function = _CFunction(source(), (signature.args, signature.return_type), {}, options, KernelCompiler)
            with global_compiler_lock:
                result = function._compile_uncached()
                self.library, self._symbol = result.library, result.fndesc.llvm_cfunc_wrapper_name
                self.library.begin(self)

    @global_compiler_lock
    def finish(self):
        """Wait for LLVM."""
        if self._address is None:
            code = self.library.machine_code()
            self._address = _load(self._symbol, code)
            if self._file is not None:
                self._file.write(self._symbol, code)

    @property
    def address(self):
        if self._address is None:
            self.finish()
        return self._address


def _load(symbol, code):
    """The address of a function in machine code."""
    engine = target_cpu.TARGET.target_context.codegen()._engine._ee
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(symbol)


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
