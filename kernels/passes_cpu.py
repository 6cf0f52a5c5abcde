"""Numba's way from bytecode to LLVM's intermediate code, with only the passes that kernels need.

Kernels are plain: numbers, tuples and addresses; no closures, comprehensions, exceptions, array expressions or objects.
Numba's standard pipeline looks for all of those, analyses the function anew after every step, and counts references.
"""

from numba.core import interpreter, ir, lowering, typed_passes, types, untyped_passes
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
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


class _Lower(lowering.Lower):
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
class _Lowering(typed_passes.BaseNativeLowering):
    _name = "fastloss_lowering"

    def __init__(self):
        super().__init__()

    @property
    def lowering_class(self):
        return _Lower


class _PassManager(PassManager):
    _ENFORCING = False  # after each pass, analyses that none of those below asks for: an eighth of the time


def _passes():
    manager = _PassManager("fastloss")
    for one in (
        _Translate,
        untyped_passes.FixupArgs,
        untyped_passes.RewriteSemanticConstants,
        untyped_passes.DeadBranchPrune,  # what a binding's constants rule out is not compiled
        _ConstantItems,
        typed_passes.NopythonTypeInference,
        _Lowering,
        typed_passes.NoPythonBackend,
    ):
        manager.add_pass(one, one.__name__)
    manager.finalize()
    return manager


PASSES = _passes()
