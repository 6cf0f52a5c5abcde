"""pytest-benchmark runs the cases and stores them; what it stores of the machine is ours to say."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import machine
import pytest
from arena import arena
from baselines import peers
from cases import MODES, Case
from harness import FULL, QUICK, measure
from variants import ours


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="few rounds, and torch.compile for a few cases only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"case", "mode"} <= set(metafunc.fixturenames):
        # Case by case, so that the memory of one is let go before that of the next is taken.
        pairs = [(case, mode) for case in metafunc.module.CASES for mode in MODES]
        metafunc.parametrize(("case", "mode"), pairs, ids=[f"{case.name}-{mode}" for case, mode in pairs])


@pytest.fixture
def run(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Case, str], None]:
    """Time a case among its peers, and once more alone by pytest-benchmark's clock."""
    quick = request.config.getoption("--quick") or bool(os.environ.get("FASTLOSS_BENCH_QUICK"))

    def measured(case: Case, mode: str) -> None:
        compiled = not quick or case.elements < 1 << 20
        if quick and (mode == "nonleaf" or (mode == "autograd" and case.dtype != "float32")):
            pytest.skip("left out by --quick")
        ground = arena(case)
        contenders = ours(ground, mode) + peers(ground, mode, compiled)
        benchmark.extra_info.update(measure(ground, mode, contenders, QUICK if quick else FULL), quick=quick)
        call, turns = ours(ground, mode)[0].call, iter(range(1 << 60))
        benchmark.group = case.name
        benchmark.pedantic(lambda: call(next(turns) % ground.count), rounds=5, iterations=200 if case.hot else 1)

    return measured


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info.clear()  # the host's name among others
    machine_info.update(machine.describe())


def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, Any]) -> None:
    for key in set(commit_info) - {"id", "dirty"}:
        del commit_info[key]
