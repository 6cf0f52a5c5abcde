"""The losses of fastloss/regression.py among their peers."""

from __future__ import annotations

from collections.abc import Callable

from cases import Case, of_family

CASES = of_family("regression")


def test_regression(case: Case, mode: str, run: Callable[[Case, str], None]) -> None:
    run(case, mode)
