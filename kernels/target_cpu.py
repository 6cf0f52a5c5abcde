"""A target of Numba's for kernels: its own for the processor, with the little of what Numba knows that kernels need.

Before its first compilation Numba's own target loads all that it knows of NumPy, SciPy's BLAS, strings, lists and
random numbers, and its runtime for objects: 0.4 of the 2.7 s that the first call of ``cross_entropy`` took. Then it
looks at all of that again for every call that it types. Kernels know numbers, tuples and addresses.
"""

import functools

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, fastmathpass, target_extension, types, typing
from numba.core.callconv import RETCODE_OK, CPUCallConv, Status
from numba.core.codegen import JITCPUCodegen
from numba.core.cpu import CPUContext
from numba.core.externals import c_math_functions
from numba.core.registry import CPUTarget, cpu_target
from numba.core.typing import mathdecl
from numba.core.utils import MACHINE_BITS, OPERATORS_TO_BUILTINS

_NAME = "fastloss"


class _TypingContext(typing.Context):
    def init(self):
        super().init()
        #: The types of operators' results, by operator and types: the same for all functions.
        self.operations = {}

    def load_additional_registries(self):
        self.install_registry(mathdecl.registry)


class TypedOnce:
    """The typing context of one function, which resolves a call once: Numba asks again until nothing changes.

    Operators of all functions; others not, for Numba notes with a callee how to lower it, and its own target would
    write over that.
    """

    def __init__(self, context):
        self._context = context
        self._resolved = {}

    def __getattr__(self, name):
        return getattr(self._context, name)

    def resolve_function_type(self, function, arguments, keywords):
        call = function, tuple(arguments), tuple(keywords.items())
        known = self._context.operations if _is_operator(function) else self._resolved
        if call not in known:
            known[call] = self._context.resolve_function_type(function, arguments, keywords)
        return known[call]


def _is_operator(function):
    return isinstance(function, types.Function) and function.typing_key in OPERATORS_TO_BUILTINS


class _CallConvention(CPUCallConv):
    """Functions return what they return: with no exceptions to tell of, nothing has to go through memory."""

    _fine = Status(RETCODE_OK, cgutils.true_bit, *[cgutils.false_bit] * 5, excinfoptr=None)

    def get_function_type(self, restype, argtypes):
        result = self.context.data_model_manager[restype].get_return_type()
        return ir.FunctionType(result, self._get_arg_packer(argtypes).argument_types)

    def decorate_function(self, fn, args, fe_argtypes, noalias=False):
        self._get_arg_packer(fe_argtypes).assign_names(fn.args, [f"arg.{name}" for name in args])

    def get_arguments(self, func):
        return func.args

    def return_value(self, builder, retval):
        builder.ret(retval)

    def call_function(self, builder, callee, resty, argtys, args, attrs=()):
        arguments = self._get_arg_packer(argtys).as_arguments(builder, args)
        result = builder.call(callee, arguments, attrs=attrs)
        return self._fine, self.context.get_returned_value(builder, resty, result)

    def return_user_exc(self, builder, exc, exc_args=None, loc=None, func_name=None):
        # Of a place past the end of a tuple, where no loop goes.
        builder.ret(ir.Constant(builder.function.function_type.return_type, None))

    def raise_error(self, builder, pyapi, status):
        pass


def _calling(description, libraries):
    """What makes the code of a call of a compiled function, for kernels and for functions of Numba's own."""

    def call(context, builder, signature, arguments):
        convention = TARGET.target_context.call_conv
        types = convention.get_function_type(description.restype, description.argtypes)
        function = cgutils.get_or_insert_function(builder.module, types, description.mangled_name)
        return convention.call_function(builder, function, description.restype, description.argtypes, arguments)[1]

    call.signature = description.argtypes
    call.libs = tuple(libraries)
    return call


class _Codegen(JITCPUCodegen):
    _triple = functools.cached_property(lambda self: llvm.get_process_triple())

    def _create_empty_module(self, name):
        # As Numba's own, but that LLVM, which may be at work, is asked for nothing.
        module = ir.Module(cgutils.normalize_ir_text(name))
        module.triple = self._triple
        if self._data_layout:
            module.data_layout = self._data_layout
        return module


class _TargetContext(CPUContext):
    def init(self):
        self.is32bit = MACHINE_BITS == 32
        self._internal_codegen = _Codegen(_NAME)
        c_math_functions.install(self)
        self._operations = {}

    @functools.cached_property
    def call_conv(self):
        return _CallConvention(self)

    def call_internal(self, builder, fndesc, sig, args):
        return self.call_internal_no_propagate(builder, fndesc, sig, args)[1]

    def insert_user_function(self, func, fndesc, libs=()):
        call = _calling(fndesc, libs)
        self._defns[func].append(call, call.signature)

    def create_cfunc_wrapper(self, library, fndesc, env, call_helper):
        # As Numba's own, but for what it does about an exception.
        module = self.create_module("cfunc_wrapper")
        kernel = ir.Function(
            module, self.call_conv.get_function_type(fndesc.restype, fndesc.argtypes), fndesc.llvm_func_name
        )
        result, *arguments = (self.get_value_type(one) for one in (fndesc.restype, *fndesc.argtypes))
        wrapper = ir.Function(module, ir.FunctionType(result, arguments), fndesc.llvm_cfunc_wrapper_name)
        builder = ir.IRBuilder(wrapper.append_basic_block("entry"))
        called = self.call_conv.call_function(
            builder, kernel, fndesc.restype, fndesc.argtypes, wrapper.args, attrs=("noinline",)
        )
        builder.ret(called[1])
        library.add_ir_module(module)

    def operation(self, operator, signature):
        """What makes the code of an operator, found once: for all copies of this context, one for each function."""
        key = operator, signature.args
        if key not in self._operations:
            function = self.typing_context.resolve_value_type(operator)
            function.get_call_type(self.typing_context, signature.args, {})
            self._operations[key] = self.get_function(function, signature)
        return self._operations[key]

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
        _TargetContext.insert_user_function(target.target_context, key, result.fndesc, [result.library])
