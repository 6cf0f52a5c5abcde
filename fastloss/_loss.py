"""What makes a public function a loss: ``f(...)``, ``f.value_and_grad(...)`` and ``f.grad(...)`` from one signature.

A loss is a function that only sorts its arguments: which are arrays, which are options. ``@loss`` turns it into the
three entry points. What an option means and how arrays become a plan is said by its ``Problem``.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastloss import _arrays, _threads
from fastloss._catalogue import Row
from fastloss._errors import plain
from fastloss._layout import one_place_each
from fastloss._plan import SHARED_MEMORY, Operands, Output, Runnable

#: A call, sorted: arrays in the order of the kernels' operands, and hashable options.
Arguments = tuple[Operands, tuple[Any, ...]]

#: Plans a loss keeps; more kinds of call than that in one program are a sign of ever-changing shapes.
MAX_PLANS = 1024

#: Operands that a loss may have a gradient by: the first so many.
DIFFERENTIABLE = 3


class Problem(Protocol):
    """What the options of a call mean."""

    reduction: str
    empty: str
    #: Whether the backward pass reads what the forward pass kept of each row.
    has_statistics: bool
    #: Whether kernels read the upstream gradient of an unreduced loss contiguously, and in the arithmetic's dtype.
    plain_upstream: bool

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        """The arrays checked, and in a form that kernels read."""

    def build(
        self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
    ) -> Runnable | None:
        """The plan; None asks for a contiguous input. ``outs`` are the caller's arrays for the gradients."""

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        """The shape of the unreduced loss."""

    def warning(self, operands: Operands) -> str | None:
        """What to warn of at every call."""


class Gradient(NamedTuple):
    """How one gradient gets to the caller."""

    argument: int  # which of the operands
    output: Output
    direct: bool  # the caller's array is written by the kernel itself
    finished: bool  # the kernel's array is what the caller gets


class Prepared:
    """A plan, and what stands between the caller's arrays and its operands."""

    def __init__(
        self,
        spec: Loss,
        backend: Any,
        arrays: Operands,
        options: tuple[Any, ...],
        flags: int,
        wrt: tuple[str, ...] = (),
        outs: tuple[Any, ...] = (),
        grad_output: Any = None,
    ) -> None:
        self.name = spec.name
        self.backend = backend
        self.problem = problem = spec.problem(*options)
        self.tidy = False
        operands = problem.normalise(backend, arrays)
        #: The operands' shapes as the kernel reads them: an axis may have been added.
        self.shapes = tuple(() if array is None else tuple(array.shape) for array in operands[:DIFFERENTIABLE])
        self.dtype = backend.dtype_name(operands[0])
        if grad_output is not None:
            shape = problem.loss_shape(operands) if problem.reduction == "none" else ()
            check_grad_output(self.name, backend, grad_output, problem.reduction, shape)
        upstream = self.upstream(grad_output)
        by_name = dict(zip(wrt, outs, strict=False))
        self.argument_of = spec.argument_of
        given = tuple(by_name.get(name) for name in spec.names[:DIFFERENTIABLE])
        for name, out in by_name.items():
            if out is not None:
                original = arrays[self.argument_of[name]]
                check_out(self.name, backend, out, original, name, self.grad_dtype(original))
        # What has no strides in elements is not for kernels to write.
        given = tuple(None if out is None or len(backend.strides(out)) != out.ndim else out for out in given)
        plan = problem.build(backend, operands, upstream, flags, given)
        if plan is None:  # memory too scattered for the kernels: copy the input (and soft targets)
            self.tidy = True
            operands = self._tidied(operands)
            plan = problem.build(backend, operands, upstream, flags, given)
        assert plan is not None
        self.plan: Runnable = plan
        self.direct = all(a is b for a, b in zip(operands, arrays, strict=True))
        self.message = problem.warning(operands)
        self.plain = self.direct and self.message is None
        self.losses_finished = plan.losses is not None and plan.losses.dtype == self.dtype
        self.backward_plans: dict[Any, Runnable] = {}
        self.gradients = tuple(self._gradient(name, arrays, given) for name in wrt)
        #: Whether the options mean the same for ever; a tensor among them may be written to, and looks the same.
        self.lasting = True
        #: What stands for the last operands where they are absent: autograd's functions take only those before.
        self.missing = (None,) * next(k for k in range(len(arrays)) if arrays[-1 - k] is not None)
        #: No gradient for any of the arguments of such a function: the loss, this, and the operands.
        self.nobody = (None,) * (2 + len(arrays) - len(self.missing))
        #: The function of autograd that runs this plan; None where nobody asked for a gradient. And for its backward
        #: pass: shape and dtype of the arguments, and the names of those that want a gradient by who needs one.
        self.autograd: Any = None
        #: Where the forward pass computes gradients of 16 bits: what computes them in the backward pass, and whether
        #: that would have been better.
        self.late: Any = None
        self.scaled = False
        #: The dtype of the loss where that is not the dtype of the computation.
        self.narrow: Any = None
        self.originals: tuple[Any, ...] = ()
        self.saved: tuple[Any, ...] = ()
        self.remembered = 0  # times that it was put among the last plans of the loss
        self.wrt, self.settled = wrt, options
        self.wanted: dict[Any, tuple[str, ...]] = {}
        # The common case: a scalar and the input's gradient, which the kernel writes where the caller wants it.
        self.one_gradient = (
            len(wrt) == 1
            and self.gradients[0].argument == 0
            and plan.losses is None
            and grad_output is None
            and (self.gradients[0].direct or (outs[0] is None and self.gradients[0].finished))
        )

    def _gradient(self, name: str, arrays: Operands, given: tuple[Any, ...]) -> Gradient:
        index = self.argument_of[name]
        output = self.plan.grads[index]
        if output is None:
            raise ValueError(f"{self.name}: wrt names {name}, which is not given")
        out, original = given[index], arrays[index]
        return Gradient(
            index,
            output,
            out is not None and output.fits(self.backend, out),
            tuple(original.shape) == output.shape and self.grad_dtype(original) == output.dtype,
        )

    def grad_dtype(self, original: Any) -> str:
        """That of the argument, or of the computation where the argument is of integers."""
        dtype = self.backend.dtype_name(original)
        return dtype if dtype in _arrays.COMPUTE else self.dtype

    def _tidied(self, operands: Operands) -> Operands:
        own = getattr(self.problem, "tidied", None)  # where copies alone would not do
        if own is not None:
            return own(self.backend, operands)  # type: ignore[no-any-return]
        x, t, third, *rest = operands
        copies = (None if array is None else self.backend.contiguous(array) for array in (x, t, third))
        return (*copies, *rest)  # type: ignore[return-value]

    def operands(self, arrays: Operands) -> Operands:
        """The arrays of a call as the kernel takes them."""
        if self.message is not None:
            warnings.warn(self.message, UserWarning, stacklevel=4)
        if self.direct:
            return arrays
        operands = self.problem.normalise(self.backend, arrays)
        return self._tidied(operands) if self.tidy else operands

    def upstream(self, grad_output: Any) -> Any:
        """The upstream gradient as the kernel reads it."""
        if grad_output is None:
            return None
        backend = self.backend
        if self.problem.plain_upstream:
            return backend.contiguous(backend.cast(grad_output, _arrays.COMPUTE[self.dtype]))
        return backend.plain_strides(backend.cast(grad_output, self.dtype))

    def value(self, arrays: Operands) -> Any:
        plan, backend = self.plan, self.backend
        operands = arrays if self.plain else self.operands(arrays)
        if plan.losses is None:
            return backend.scalar(plan.run(operands)[0], self.dtype)
        losses = plan.losses.make(backend)
        plan.run(operands, 0, backend.address(losses))
        return losses if self.losses_finished else backend.cast(losses, self.dtype)

    def value_and_grads(self, arrays: Operands, outs: tuple[Any, ...], grad_output: Any) -> tuple[Any, tuple[Any, ...]]:
        plan, backend = self.plan, self.backend
        operands = arrays if self.plain else self.operands(arrays)
        if not self.direct:  # nor does it see what was copied for it
            for out in outs:
                self._keep_off(out, arrays)
        if self.one_gradient:
            gradient, out = self.gradients[0], outs[0]
            if out is None:
                out = gradient.output.make(backend)
            else:
                backend.check_writable(self.name, out)
            value, _ = plan.run(operands, 0, 0, backend.address(out))
            return backend.scalar(value, self.dtype), (out,)
        losses = None if plan.losses is None else plan.losses.make(backend)
        upstream = self.upstream(grad_output)
        written: list[Any] = [None] * DIFFERENTIABLE
        for gradient, out in zip(self.gradients, outs, strict=True):
            if out is not None:
                backend.check_writable(self.name, out)
                if not gradient.direct:  # the launch would compare the array that it writes
                    self._keep_off(out, (*operands, grad_output, *(other for other in outs if other is not out)))
            written[gradient.argument] = out if gradient.direct else gradient.output.make(backend)
        address = backend.address
        value, _ = plan.run(
            operands,
            *(0 if array is None else address(array) for array in (upstream, losses, *written)),
        )
        grads = []
        for gradient, out in zip(self.gradients, outs, strict=True):
            grad = written[gradient.argument]
            if not gradient.direct:
                grad = self.finished(gradient, grad, arrays[gradient.argument])
                if out is not None:
                    out[...] = grad
                    grad = out
            grads.append(grad)
        if losses is None:
            return backend.scalar(value, self.dtype), tuple(grads)
        return backend.cast(losses, self.dtype), tuple(grads)

    def _keep_off(self, out: Any, arrays: tuple[Any, ...]) -> None:
        if out is not None and any(array is not None and self.backend.overlap(out, array) for array in arrays):
            raise ValueError(f"{self.name}: {SHARED_MEMORY}")

    def finished(self, gradient: Gradient, grad: Any, original: Any) -> Any:
        """From the shape and dtype of the computation to those of the argument."""
        if gradient.finished:
            return grad
        return self.fitted(gradient.argument, grad, tuple(original.shape), self.grad_dtype(original))

    def fitted(self, argument: int, grad: Any, shape: tuple[int, ...], dtype: str) -> Any:
        """The gradient by an argument of that shape and dtype."""
        if tuple(grad.shape) != shape:
            grad = self.backend.sum_to(grad, self.shapes[argument]).reshape(shape)
        return self.backend.cast(grad, dtype)


#: All of them, internal ones too, by a key that a graph of torch.compile can hold.
LOSSES: dict[str, Loss] = {}


class Loss:
    """The engine of one loss."""

    #: Whether autograd's forward pass computes the gradients of a reduced loss too, whatever the size.
    eager = False

    def __init__(
        self,
        bind: Callable[..., Arguments],
        problem: Callable[..., Problem],
        row: Row,
        differentiable: tuple[str, ...],
        default: tuple[str, ...],
        refused: dict[str, str],
        names: tuple[str, ...],
        required: tuple[str, ...],
        options: tuple[str, ...],
    ) -> None:
        self.name = bind.__name__
        self.key = f"{bind.__module__}.{bind.__qualname__}"
        LOSSES[self.key] = self
        self.bind = bind
        self.problem = problem
        self.row = row
        self.differentiable = differentiable
        self.default = default
        self.refused = refused
        self.names = names
        self.required = required
        self.options = options
        self.argument_of = {name: index for index, name in enumerate(names[:DIFFERENTIABLE])}
        self.plans: dict[Any, Prepared] = {}
        self.recent: Any = None  # where a backend has a shorter way to the last of them

    def remember(self, key: Any, prepared: Prepared) -> None:
        if not prepared.lasting:
            return
        if len(self.plans) >= MAX_PLANS:
            self.plans.clear()
        self.plans[key] = prepared

    def prepare(
        self,
        backend: Any,
        arrays: Operands,
        options: tuple[Any, ...],
        kind: str = "value",
        wrt: tuple[str, ...] = (),
        outs: tuple[Any, ...] = (),
        grad_output: Any = None,
    ) -> Prepared:
        """A new plan, importing and compiling what it needs: under the lock that forks respect."""
        settled = self.settled(options)
        with _threads.LOCK:
            found = Prepared(self, backend, arrays, settled, self.flags(kind, wrt), wrt, outs, grad_output)
        found.lasting = all(map(_is_constant, options))
        return found

    def settled(self, options: tuple[Any, ...]) -> tuple[Any, ...]:
        """The options of a call as plain values."""
        return tuple(plain(self.name, name, one) for name, one in zip(self.options, options, strict=True))

    def flags(self, kind: str, wrt: tuple[str, ...] = ()) -> int:
        """What a kernel is to do: "value" (with gradients by ``wrt``), "forward" or "backward" of autograd."""
        from fastloss.kernels import launch_cpu as launch

        flags = {"value": launch.VALUE, "forward": launch.VALUE | launch.STATS, "backward": launch.STATS}[kind]
        for name in wrt:
            flags |= (launch.GRAD, launch.GRAD_TARGET, launch.GRAD_THIRD)[self.argument_of[name]]
        return flags

    def value(self, arrays: Operands, options: tuple[Any, ...]) -> Any:
        if arrays[0].__class__ is not np.ndarray:
            return self._other_value(arrays, options)
        try:
            key = (options, *_signature(arrays))
            found = self.plans.get(key)
        except (AttributeError, TypeError):  # another kind of array among them, or an option that is no plain value
            return self._other_value(arrays, options)
        if found is None:
            checked = self.converted(_arrays.NUMPY, arrays)
            found = self.prepare(_arrays.NUMPY, checked, options)
            if unchanged(checked, arrays):
                self.remember(key, found)
            arrays = checked
        return found.value(arrays)

    def _other_value(self, arrays: Operands, options: tuple[Any, ...]) -> Any:
        backend = _arrays.backend_of(arrays[0])
        if backend is not _arrays.NUMPY:
            return backend.value(self, arrays, options)
        _arrays.common_backend(self.name, dict(zip(self.names, arrays, strict=True)))
        arrays = self.converted(backend, arrays)
        return self.prepare(backend, arrays, options).value(arrays)

    def value_and_grad(
        self, arrays: Operands, options: tuple[Any, ...], wrt: Any, out: Any, grad_output: Any
    ) -> tuple[Any, Any]:
        names, single, outs = self.check_wrt(wrt, out)
        if arrays[0].__class__ is np.ndarray:
            try:
                key = (options, names, *_signature(arrays), *_signature((*outs, grad_output)))
                found = self.plans.get(key)
            except (AttributeError, TypeError):
                found = key = None
        else:
            found = key = None
        if found is None:
            backend = _arrays.backend_of(arrays[0])
            if backend is not _arrays.NUMPY:
                result: tuple[Any, Any] = backend.value_and_grad(
                    self, arrays, options, names, single, outs, grad_output
                )
                return result
            given = dict(zip(self.names, arrays, strict=True))
            _arrays.common_backend(self.name, {**given, "grad_output": grad_output})
            checked = self.converted(backend, arrays)
            upstream = None if grad_output is None else backend.convert(grad_output, self.name, "grad_output")
            found = self.prepare(backend, checked, options, "value", names, outs, upstream)
            if key is not None and unchanged((*checked, upstream), (*arrays, grad_output)):
                self.remember(key, found)
            arrays, grad_output = checked, upstream
        value, grads = found.value_and_grads(arrays, outs, grad_output)
        return value, grads[0] if single else grads

    def converted(self, backend: Any, arrays: Operands) -> Operands:
        """All of them arrays of the backend."""
        for name, array in zip(self.names, arrays, strict=True):
            if array is None and name in self.required:
                raise TypeError(f"{self.name}: {name} is None, expected an array")
        third = arrays[2]
        if type(third) in (int, float):  # a number in place of an array: of the input's dtype, whatever that is
            arrays = (*arrays[:2], backend.number(third, arrays[0]), *arrays[3:])
        return tuple(  # type: ignore[return-value]
            None if array is None else backend.convert(array, self.name, name)
            for name, array in zip(self.names, arrays, strict=True)
        )

    def check_wrt(self, wrt: Any, out: Any) -> tuple[tuple[str, ...], bool, tuple[Any, ...]]:
        """The names to differentiate by, whether the caller wants one array, and the arrays to write."""
        if wrt is None:
            if not self.default:
                raise self.refusal(self.names[0])
            names = self.default
            single = len(names) == 1
        else:
            single = isinstance(wrt, str)
            if not isinstance(wrt, str | tuple | list):
                raise TypeError(f"{self.name}: wrt is of type {type(wrt).__name__}, expected a name or several")
            names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
            for name in names:
                if name not in self.differentiable and name in self.names and name:
                    raise self.refusal(name)
                if name not in self.differentiable:
                    raise ValueError(f"{self.name}: wrt is {wrt!r}, expected names among {self.differentiable}")
            if len(set(names)) != len(names) or not names:
                raise ValueError(f"{self.name}: wrt is {wrt!r}, expected one or more distinct names")
        if out is None:
            return names, single, (None,) * len(names)
        if not single and not isinstance(out, tuple | list):
            raise TypeError(
                f"{self.name}: out is of type {type(out).__name__}, expected {len(names)} arrays, for {names}"
            )
        outs = (out,) if single else tuple(out)
        if len(outs) != len(names):
            raise ValueError(f"{self.name}: out has {len(outs)} arrays, expected {len(names)}, for {names}")
        return names, single, outs

    def refusal(self, name: str) -> NotImplementedError:
        why = self.refused.get(name, "multiply the unreduced loss yourself where it is learnt")
        return NotImplementedError(f"{self.name}: no gradient with respect to {name}: {why}")


def check_grad_output(loss: str, backend: Any, grad_output: Any, reduction: str, shape: tuple[int, ...]) -> None:
    """That what the gradient is to be multiplied by has the ``shape`` of the loss."""
    if reduction != "none" and tuple(grad_output.shape) != ():
        raise ValueError(f"{loss}: grad_output is given, which needs reduction='none'")
    if tuple(grad_output.shape) != shape:
        raise ValueError(
            f"{loss}: grad_output has shape {tuple(grad_output.shape)}, expected {shape}, that of the loss"
        )
    if not backend.is_floating(grad_output):
        raise TypeError(f"{loss}: grad_output has dtype {backend.dtype_name(grad_output)}, expected a floating one")


def check_out(loss: str, backend: Any, out: Any, original: Any, name: str, dtype: str) -> None:
    """That the gradient by ``original``, the argument ``name``, can be written to ``out``."""
    if not backend.owns(out):
        raise TypeError(f"{loss}: out is of type {type(out).__name__}, expected {backend.own}")
    if tuple(out.shape) != tuple(original.shape):
        raise ValueError(f"{loss}: out has shape {tuple(out.shape)}, expected {tuple(original.shape)}, that of {name}")
    strides = backend.strides(out)
    if len(strides) == out.ndim and not one_place_each(tuple(out.shape), strides):
        raise ValueError(f"{loss}: out has one place for several elements, expected one for each")
    if backend.dtype_name(out) != dtype:
        raise TypeError(f"{loss}: out has dtype {backend.dtype_name(out)}, expected {dtype}")


def _is_constant(option: Any) -> bool:
    if isinstance(option, tuple):
        return all(map(_is_constant, option))
    return option is None or isinstance(option, bool | int | float | complex | str | np.generic)


def unchanged(checked: tuple[Any, ...], arrays: tuple[Any, ...]) -> bool:
    """Whether a plan made of ``checked`` can be run with ``arrays`` like these: only if they are the same objects.

    Others, NumPy scalars and byte-swapped arrays among them, may look like arrays and are not what kernels read.
    """
    return all(a is b for a, b in zip(checked, arrays, strict=True))


def _signature(arrays: tuple[Any, ...]) -> list[Any]:
    # What the plan of a call depends on, besides options: the hot path of small calls.
    signature: list[Any] = []
    for array in arrays:
        if array is None:
            signature.append(None)
        else:
            signature += (array.__class__, array.shape, array.strides, array.dtype)
    return signature


def loss(
    problem: Callable[..., Problem],
    row: Row,
    *,
    differentiable: tuple[str, ...] = ("input",),
    default: tuple[str, ...] | None = None,
    refused: dict[str, str] | None = None,
    names: tuple[str, ...] = ("input", "target", "", "weight", "sample_weight"),
    engine: type[Loss] = Loss,
) -> Callable[[Callable[..., Arguments]], Any]:
    """Make a loss of a function that sorts its arguments.

    ``problem`` gives the options their meaning; ``differentiable`` names the arguments that have a gradient,
    ``default`` those that ``value_and_grad`` gives unasked (the first), ``refused`` says of others why they have none;
    ``names`` are those of the operands, in the order in which the function returns them; all its other arguments are
    options, which it returns in the order of its signature.
    """

    def decorate(bind: Callable[..., Arguments]) -> Any:
        parameters = inspect.signature(bind).parameters.values()
        spec = engine(
            bind,
            problem,
            row,
            differentiable,
            default or differentiable[:1],
            refused or {},
            names,
            required=tuple(p.name for p in parameters if p.default is p.empty and p.name in names),
            options=tuple(p.name for p in parameters if p.name not in names),
        )
        run, run_with_grad = spec.value, spec.value_and_grad

        @functools.wraps(bind)
        def value(*args: Any, **kwargs: Any) -> Any:
            try:
                arrays, options = bind(*args, **kwargs)
            except TypeError as error:
                raise explained(bind.__name__, error, kwargs) from None
            return run(arrays, options)

        def value_and_grad(
            *args: Any, wrt: Any = None, out: Any = None, grad_output: Any = None, **kwargs: Any
        ) -> tuple[Any, Any]:
            try:
                arrays, options = bind(*args, **kwargs)
            except TypeError as error:
                raise explained(bind.__name__, error, kwargs) from None
            return run_with_grad(arrays, options, wrt, out, grad_output)

        def grad(*args: Any, **kwargs: Any) -> Any:
            return value_and_grad(*args, **kwargs)[1]

        signature = inspect.signature(bind)
        signature = signature.replace(return_annotation="Any")
        extra = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Any")
            for name in ("wrt", "out", "grad_output")
        ]
        longer = signature.replace(parameters=[*signature.parameters.values(), *extra])
        value.__signature__ = signature  # type: ignore[attr-defined]
        for function, text in (
            (value_and_grad, "The pair of the value and its gradient, from one pass over the data"),
            (grad, "The gradient"),
        ):
            function.__qualname__ = f"{bind.__name__}.{function.__name__}"
            function.__module__ = bind.__module__
            function.__doc__ = f"{text}: see :func:`{bind.__name__}`.\n\n{_GRADIENT_ARGUMENTS}"
            function.__signature__ = longer  # type: ignore[attr-defined, union-attr]
        value.value_and_grad = value_and_grad  # type: ignore[attr-defined]
        value.grad = grad  # type: ignore[attr-defined]
        value.spec = spec  # type: ignore[attr-defined]
        return value

    return decorate


def explained(name: str, error: TypeError, kwargs: dict[str, Any]) -> TypeError:
    """A TypeError about the arguments that helps those who come from older PyTorch code."""
    old = [argument for argument in ("size_average", "reduce") if argument in kwargs]
    if old:
        return TypeError(f"{name}: {old[0]} is not supported; use reduction='none', 'mean' or 'sum'")
    if "positional arguments but" in str(error):  # too many, not too few
        return TypeError(f"{error}; the others are keyword-only, as is what follows size_average in PyTorch's order")
    return error


_GRADIENT_ARGUMENTS = """\
Beside the arguments of the loss:

- ``wrt``: the name, or a tuple of the names, of the arguments to differentiate by. A name gives one array, a tuple
  gives a tuple in its order.
- ``out``: an array (a tuple for several) of the shape and dtype of the gradient, written and returned instead of a
  new one. It must not share memory with an input.
- ``grad_output``: with ``reduction="none"``, what the gradient is multiplied by, of the shape of the loss; ones if
  absent.

Of torch tensors both results are detached, also where a tensor requires grad: call the loss itself for autograd.

>>> import numpy as np, fastloss as fl
>>> logits, labels = np.zeros((2, 4), np.float32), np.array([1, 3])
>>> buffer = np.empty_like(logits)
>>> loss, grad = fl.cross_entropy.value_and_grad(logits, labels, out=buffer)
>>> grad is buffer
True
"""
