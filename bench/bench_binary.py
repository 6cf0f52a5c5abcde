"""The losses of fastloss/binary.py among their peers."""

from __future__ import annotations

from collections.abc import Callable

from cases import Case, of_family

CASES = of_family("binary")


def test_binary(case: Case, mode: str, run: Callable[[Case, str], None]) -> None:
    run(case, mode)
