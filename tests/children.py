"""A function of a test file in a process of its own: a deadlock or an abort is a failure there, not here."""

import os
import signal
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


def run_child(module, ignored, name, *arguments, timeout=60, **environment):
    """Run a function of a test module; it must end in time, with code 0 and nothing on stderr.

    Warnings are errors there too, but those that begin with one of ``ignored``.
    """
    code = f"import {module}; {module}.{name}(*{arguments!r})"
    filters = [part for start in ignored for part in ("-W", f"ignore:{start}")]
    path = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *filters, "-X", "faulthandler", "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # faulthandler then tells where every thread is
        try:
            output, errors = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            output, errors = "", ""
        finally:
            os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"{name}{arguments} hangs:\n{errors}")
    assert process.returncode == 0 and errors == "", f"{name}{arguments}: {process.returncode}\n{errors}"
    return output
