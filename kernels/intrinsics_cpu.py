"""LLVM's own functions, for kernels to call."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def llvm_function(name, arity, width):
    """The LLVM intrinsic ``llvm.<name>``; arguments of other types are converted first."""

    def codegen(context, builder, signature, args):
        function = builder.module.declare_intrinsic(
            f"llvm.{name}", [width.ir], ir.FunctionType(width.ir, [width.ir] * arity)
        )
        return builder.call(function, args)

    signature = width.type(*[width.type] * arity)
    if arity == 1:

        def typer(typingctx, x):
            return signature, codegen
    elif arity == 2:

        def typer(typingctx, x, y):
            return signature, codegen
    else:

        def typer(typingctx, x, y, z):
            return signature, codegen

    typer.__name__ = typer.__qualname__ = f"{name}_{width.type}"
    return intrinsic(typer)


def _of_integers(name):
    def typer(typingctx, a, b):
        if not all(isinstance(one, types.Integer) for one in (a, b)):
            return None

        def codegen(context, builder, signature, args):
            bits = ir.IntType(64)
            function = builder.module.declare_intrinsic(f"llvm.{name}", [bits], ir.FunctionType(bits, [bits] * 2))
            return builder.call(function, args)

        return types.int64(types.int64, types.int64), codegen

    typer.__name__ = typer.__qualname__ = f"{name}_of_integers"
    return intrinsic(typer)


#: What ``min`` and ``max`` are in kernels: of two integers. Numba compiles a function for each kind of arguments.
EXTREMES = {"min": _of_integers("smin"), "max": _of_integers("smax")}
