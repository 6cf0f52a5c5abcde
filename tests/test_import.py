"""``import fastloss`` is light: no framework, no CUDA, no compilation; and a NumPy call imports none either."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "cupy", "jax", "numba.cuda", "numba_cuda", "ml_dtypes", "matplotlib", "hypothesis")


def modules_after(code):
    """The modules that a fresh process has imported after ``code``."""
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


NUMPY_CALL = """
import numpy as np, fastloss as fl
fl.cross_entropy.value_and_grad(np.zeros((4, 3), np.float32), np.array([0, 1, 2, 0]))
fl.mse_loss(np.zeros(3), np.ones(3))
"""


@pytest.mark.parametrize("code", ("import fastloss", NUMPY_CALL, "import fastloss; fastloss.get_num_threads()"))
def test_no_framework_is_imported(code):
    modules = modules_after(code)
    assert "fastloss" in modules
    assert not modules & set(HEAVY)
    assert "fastloss._torch" not in modules


def test_the_import_loads_no_kernel():
    """Nothing is compiled, nor read from the cache, before the first loss."""
    modules = modules_after("import fastloss")
    assert not [name for name in modules if name.startswith("fastloss.kernels.")]


def test_the_import_starts_no_thread_and_no_process():
    script = "import threading, fastloss; assert threading.active_count() == 1, threading.enumerate(); print('done')"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert result.stdout == "done\n", result.stderr


def test_the_import_changes_no_setting_of_numba():
    script = """
import os
before = dict(os.environ)
import numba
settings = {name: getattr(numba.config, name) for name in dir(numba.config) if name.isupper()}
import fastloss as fl, numpy as np
fl.mse_loss(np.zeros(3), np.ones(3))
assert settings == {name: getattr(numba.config, name) for name in dir(numba.config) if name.isupper()}
assert before == dict(os.environ)
print("done")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert result.stdout == "done\n", result.stderr


def test_the_package_leaves_no_module_called_kernels():
    modules = modules_after(NUMPY_CALL)
    assert "kernels" not in modules
    assert "fastloss.kernels" in modules
