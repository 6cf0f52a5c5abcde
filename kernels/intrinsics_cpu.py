"""LLVM's own functions, for kernels to call."""

import operator

from llvmlite import ir
from numba.cpython.builtins import do_minmax
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


def _extreme(order):
    def typer(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return do_minmax(context, builder, signature.args, args, order)

        return typingctx.unify_types(a, b)(a, b), codegen

    typer.__name__ = typer.__qualname__ = f"extreme_{order.__name__}"
    return intrinsic(typer)


#: ``min`` and ``max`` of two in kernels: Numba's instructions, without the function that it compiles around them for
#: each kind of arguments.
EXTREMES = {"min": _extreme(operator.lt), "max": _extreme(operator.gt)}
