"""What the tests of threads call: data of a few losses, calls of many shapes, and the workers that they started."""

import threading

import numpy as np

import fastloss as fl


def data(loss, shape, dtype, target="index"):
    rng = np.random.default_rng(sum(shape))
    if dtype == "bfloat16":
        import ml_dtypes

        kind = ml_dtypes.bfloat16
    else:
        kind = dtype
    if loss == "binary_cross_entropy":
        x = rng.uniform(0.02, 0.98, shape)
    elif loss == "nll_loss":
        x = np.log(rng.uniform(0.01, 1, shape))
    else:
        x = rng.standard_normal(shape, np.float32) * 3
    if loss in ("cross_entropy", "nll_loss"):
        if target == "index":
            return x.astype(kind), rng.integers(0, shape[1], shape[:1] + shape[2:])
        t = rng.uniform(size=shape)
        return x.astype(kind), (t / t.sum(1, keepdims=True)).astype(kind)
    return x.astype(kind), rng.uniform(size=shape).astype(kind)


def bits(*results):
    flat = []
    for result in results:
        flat += result if isinstance(result, tuple) else (result,)
    return [(np.asarray(r).dtype.name, np.shape(r), np.asarray(r).tobytes()) for r in flat]


def torch_bits(*results):
    import torch

    plain = [r.detach() for r in results]
    return [(str(r.dtype), r.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()) for r in plain]


def workload():
    """Name, and a function that gives the bits of a value and a gradient; all large enough to be shared out."""
    work = []
    for case, (loss, shape, target) in {
        "rows": ("cross_entropy", (300, 1000), "index"),
        "lanes": ("cross_entropy", (20000, 10), "index"),
        "image": ("cross_entropy", (4, 21, 40, 40), "index"),
        "soft": ("cross_entropy", (300, 500), "probability"),
        "nll": ("nll_loss", (4000, 70), "index"),
        "bce": ("binary_cross_entropy", (300, 1000), ""),
        "bce-logits": ("binary_cross_entropy_with_logits", (300, 1000), ""),
        "mse": ("mse_loss", (700, 1000), ""),
    }.items():
        x, t = data(loss, shape, "float32", target)
        function = getattr(fl, loss)
        work.append((case, lambda f=function, x=x, t=t: bits(f.value_and_grad(x, t), f(x, t))))
    return work


def torch_workload():
    import torch

    work = []
    for case, (loss, shape, target) in {
        "rows": ("cross_entropy", (300, 1000), "index"),
        "lanes": ("cross_entropy", (20000, 10), "index"),
        "bce-logits": ("binary_cross_entropy_with_logits", (300, 1000), ""),
    }.items():
        x, t = (
            torch.from_numpy(a.astype(np.float32) if a.dtype.kind == "f" else a)
            for a in data(loss, shape, "float32", target)
        )

        def call(loss=loss, x=x, t=t):
            leaf = x.clone().requires_grad_()
            value = getattr(fl, loss)(leaf, t)
            value.backward()
            return torch_bits(value, leaf.grad)

        work.append((f"torch-{case}", call))
    return work


def workers():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastloss-")]
