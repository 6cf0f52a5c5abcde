"""The losses of fastloss/classification.py among their peers."""

from __future__ import annotations

from collections.abc import Callable

from cases import Case, of_family

CASES = of_family("classification")


def test_classification(case: Case, mode: str, run: Callable[[Case, str], None]) -> None:
    run(case, mode)
