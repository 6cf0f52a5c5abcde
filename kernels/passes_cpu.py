"""Numba's way from bytecode to LLVM's intermediate code, with only the passes that kernels need.

Kernels are plain: numbers, tuples and addresses; no closures, comprehensions, exceptions, array expressions or objects.
Numba's standard pipeline looks for all of those, analyses the function anew after every step, and counts references.
"""

import collections
import operator
from typing import Any, NamedTuple

from llvmlite.ir import Constant
from numba.core import cgutils, compiler, funcdesc, interpreter, ir, lowering, typed_passes, types, untyped_passes
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.compiler_machinery import FunctionPass, LoweringPass, PassManager, register_pass
from numba.core.rewrites.static_getitem import RewriteConstGetitems


class _Interpreter(interpreter.Interpreter):
    def post_process(self, peepholes, func_ir):
        return interpreter.peep_hole_list_to_tuple(func_ir)  # (*a, b); the others look for what is not in kernels


class _Pass(FunctionPass):
    def __init__(self):  # abstract there
        super().__init__()


@register_pass(mutates_CFG=True, analysis_only=False)
class _Translate(_Pass):
    _name = "fastloss_translate"

    def run_pass(self, state):
        state.func_ir = _Interpreter(state.func_id).interpret(state.bc)
        return True


@register_pass(mutates_CFG=False, analysis_only=False)
class _ConstantItems(_Pass):
    # Constant places in tuples, whose items may differ in type.
    _name = "fastloss_constant_items"

    def run_pass(self, state):
        rewrite = RewriteConstGetitems(state)
        blocks = state.func_ir.blocks
        for key, block in blocks.items():
            if rewrite.match(state.func_ir, block, state.typemap, state.calltypes):
                blocks[key] = rewrite.apply()
        return True


@register_pass(mutates_CFG=False, analysis_only=False)
class _PlainConditions(_Pass):
    # Every branch, a pruned one too, asks ``bool(condition)`` of its own: a call to type and to lower.
    _name = "fastloss_plain_conditions"

    def run_pass(self, state):
        for block in state.func_ir.blocks.values():
            calls, conditions, kept = set(), {}, []
            for statement in block.body:
                value = statement.value if isinstance(statement, ir.Assign) else None
                if isinstance(value, ir.Global) and value.value is bool and statement.target.name.startswith("$bool"):
                    calls.add(statement.target.name)
                elif isinstance(value, ir.Expr) and value.op == "call" and value.func.name in calls:
                    (conditions[statement.target.name],) = value.args
                else:
                    kept.append(statement)
            end = kept[-1]
            if isinstance(end, ir.Branch) and end.cond.name in conditions:
                kept[-1] = ir.Branch(conditions[end.cond.name], end.truebr, end.falsebr, end.loc)
            block.body = kept
        return True


#: Expressions by which a loop asks what it loops over.
_OF_LOOPS = ("getiter", "iternext", "pair_first", "pair_second")


def _reads(one):
    """The names of the variables that a statement or an expression reads."""
    if isinstance(one, ir.Var):
        return [one.name]
    if isinstance(one, ir.Assign):
        return _reads(one.value)
    if isinstance(one, ir.Stmt):
        return [variable.name for variable in one.list_vars()]
    parts = one._kws.values() if isinstance(one, ir.Expr) else one if isinstance(one, list | tuple) else ()
    return [name for part in parts for name in _reads(part)]


class _Range(NamedTuple):
    """What ``range`` is while code is made."""

    start: Any
    stop: Any
    step: Any


class _Turns(NamedTuple):
    """What goes over a range: a place that holds the next number."""

    place: Any
    range: _Range


def _power_of_two(signature, divisor):
    """Of which power of two a division of signed integers is one, if any."""
    if (
        isinstance(divisor, Constant)
        and isinstance(signature.return_type, types.Integer)
        and signature.return_type.signed
    ):
        number = divisor.constant
        if number > 0 and number & (number - 1) == 0:
            return number.bit_length() - 1
    return None


class _Lower(lowering.Lower):
    def _find_singly_assigned_variable(self):
        # Those that need no memory: assigned once, and before whatever reads them. Numba asks for all of it in one
        # block; most of the memory that LLVM had to look through was of addresses and lengths.
        home, changing, before = {}, set(), collections.defaultdict(set)
        for label, block in self.blocks.items():
            known = set()
            for statement in block.body:
                for name in _reads(statement):
                    if name not in known:
                        before[name].add(label)
                if isinstance(statement, ir.Assign):
                    name = statement.target.name
                    known.add(name)
                    if name in home:
                        changing.add(name)
                    home[name] = label
        dominators = compute_cfg_from_blocks(self.blocks).dominators()
        self._singly_assigned_vars = {
            name
            for name, label in home.items()
            if name not in changing and all(label < reader and label in dominators[reader] for reader in before[name])
        }
        self._blk_local_varmap = {}

    def pre_block(self, block):  # Numba looks for ``try`` here
        self._cur_ir_block = block

    def alloca_lltype(self, name, lltype, datamodel=None):  # Numba asks LLVM for a size that only debuggers want
        return cgutils.alloca_once(self.builder, lltype, name=name, zfill=False)

    def lower_block(self, block):
        self.pre_block(block)
        for statement in block.body:
            self.loc = statement.loc
            if isinstance(statement, ir.Assign):  # nearly all; Numba spells each out for its log first
                name = statement.target.name
                known = self.typeof(name)
                if not name.startswith("$"):
                    self._keep_to(known, name, statement.value)
                self.storevar(self.lower_assign(known, statement), name)
            else:
                self.lower_inst(statement)
        self.post_block(block)

    def lower_expr(self, resty, expr):
        # A loop over a range is that of C. Numba's counts its turns first, by division, and may raise an exception.
        if expr.op == "call" and getattr(self.typeof(expr.func.name), "typing_key", None) is range:
            return self._range(*map(self._cast_var, expr.args, self.fndesc.calltypes[expr].args))
        held = self._blk_local_varmap.get(expr.value.name) if expr.op in _OF_LOOPS else None
        if isinstance(held, _Range):
            place = cgutils.alloca_once(self.builder, held.start.type)
            self.builder.store(held.start, place)
            return _Turns(place, held)
        if isinstance(held, _Turns):
            return self._next(*held)
        if isinstance(held, tuple):
            return held[expr.op == "pair_second"]
        return super().lower_expr(resty, expr)

    def _range(self, start, stop=None, step=None):
        if stop is None:
            start, stop = start.type(0), start
        return _Range(start, stop, start.type(1) if step is None else step)

    def _next(self, place, turns):
        # The number and whether there is one. A step that is no constant is taken to be positive.
        number = self.builder.load(place)
        self.builder.store(self.builder.add(number, turns.step, flags=["nsw"]), place)
        down = isinstance(turns.step, Constant) and turns.step.constant < 0
        return number, self.builder.icmp_signed(">" if down else "<", number, turns.stop)

    def lower_inst(self, inst):
        if isinstance(inst, ir.Branch) and isinstance(self.typeof(inst.cond.name), types.Integer | types.Boolean):
            condition = self.loadvar(inst.cond.name)
            if condition.type.width > 1:
                condition = self.builder.icmp_signed("!=", condition, condition.type(0))
            self.builder.cbranch(condition, self.blkmap[inst.truebr], self.blkmap[inst.falsebr])
        else:
            super().lower_inst(inst)

    def lower_binop(self, resty, expr, op):
        # Numba asks three times whether there is something of its own for constants, and types the operation again.
        signature = self.fndesc.calltypes[expr]
        operands = [
            self.context.cast(self.builder, self.loadvar(one.name), self.typeof(one.name), expected)
            for one, expected in zip((expr.lhs, expr.rhs), signature.args, strict=True)
        ]
        shift = _power_of_two(signature, operands[1]) if op in (operator.floordiv, operator.mod) else None
        if shift is None:
            result = self.context.operation(op, signature)(self.builder, operands)
        elif op is operator.floordiv:  # of any others Numba's looks for a 0 and rounds down
            result = self.builder.ashr(operands[0], operands[1].type(shift))
        else:
            result = self.builder.and_(operands[0], operands[1].type((1 << shift) - 1))
        return self.context.cast(self.builder, result, signature.return_type, resty)

    def _keep_to(self, known, name, value):
        # Without versions of variables (Numba's SSA, a tenth of the time) a second type would widen the first. Of two
        # constants one has to be np.int64(...).
        if isinstance(value, ir.Var):
            new = self.typeof(value.name)
        elif isinstance(value, ir.Arg) and not isinstance(self.typeof(f"arg.{value.name}"), types.Omitted):
            new = self.typeof(f"arg.{value.name}")
        elif isinstance(value, ir.Expr) and self.fndesc.calltypes.get(value) is not None:
            new = self.fndesc.calltypes[value].return_type
        elif isinstance(value, ir.Const | ir.Global | ir.FreeVar):
            new = self.context.typing_context.resolve_value_type(value.value)
        else:  # an argument's default, or a place in a tuple
            return
        if types.unliteral(known) != types.unliteral(new):
            raise TypeError(
                f"{name} is {new} in one place and {known} on the whole: a variable has one type ({self.loc})"
            )

    def storevar(self, value, name, argidx=None):
        # There is no reference to drop to what a variable held before.
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.getvar(name))


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(LoweringPass):
    # As Numba's own, but that LLVM, which may be at work on another kernel, is asked for nothing.
    _name = "fastloss_lowering"

    def __init__(self):  # abstract there
        super().__init__()

    def run_pass(self, state):
        library, context, flags, code = state.library, state.targetctx, state.flags, state.func_ir
        message = f"Function {state.func_id.func_name} failed at nopython mode lowering"
        with typed_passes.fallback_context(state, message), context.push_code_library(library):
            description = funcdesc.PythonFunctionDescriptor.from_specialized_function(
                code,
                state.typemap,
                state.return_type,
                state.calltypes,
                mangler=context.mangler,
                inline=flags.forceinline,
                noalias=flags.noalias,
                abi_tags=[flags.get_mangle_string()],
            )
            lower = _Lower(context, library, description, code, metadata=state.metadata)
            lower.lower()
            if not flags.no_cpython_wrapper:
                lower.create_cpython_wrapper(flags.release_gil)
            if not flags.no_cfunc_wrapper:
                lower.create_cfunc_wrapper()
            made = None
            if not flags.no_compile:
                made = context.get_executable(library, description, lower.env)
                context.insert_user_function(made, description, [library])  # for others to call
        state["cr"] = compiler._LowerResult(description, lower.call_helper, cfunc=made, env=lower.env)
        return True


class _PassManager(PassManager):
    _ENFORCING = False  # after each pass, analyses that none of those below asks for: an eighth of the time


def _passes():
    manager = _PassManager("fastloss")
    for one in (
        _Translate,
        untyped_passes.FixupArgs,
        untyped_passes.RewriteSemanticConstants,
        untyped_passes.DeadBranchPrune,  # what a binding's constants rule out is not compiled
        _PlainConditions,
        _ConstantItems,
        typed_passes.NopythonTypeInference,
        _Lowering,
        typed_passes.NoPythonBackend,
    ):
        manager.add_pass(one, one.__name__)
    manager.finalize()
    return manager


PASSES = _passes()
