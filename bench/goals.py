"""What the project wants to reach, held against what was measured."""

from __future__ import annotations

from typing import Any, NamedTuple

from cases import CASES, Goals


class Verdict(NamedTuple):
    what: str
    goal: str
    found: str
    passed: bool


def of_cases(entries: list[dict[str, Any]]) -> list[Verdict]:
    """A verdict for each goal of each case and mode that ran; a peer that did not run has none."""
    goals = {case.name: case.goals for case in CASES}
    return [verdict for entry in entries for verdict in of_entry(entry, goals.get(entry["case"], {})).values()]


def of_entry(entry: dict[str, Any], goals: dict[str, Goals]) -> dict[str, Verdict]:
    """The verdicts of a case in a mode, by peer."""
    verdicts = {}
    for peer, goal in goals.get(entry["mode"], {}).items():
        found = entry["share"] if peer == "limit" else entry["ratios"].get(peer)
        if found is not None:
            what = f"{entry['case']}: {entry['mode']}, " + ("share of the limit" if peer == "limit" else peer)
            unit = "" if peer == "limit" else "x"
            # No fast run of a peer's, nor a rounding of ours, makes a pass: the plain comparison.
            verdicts[peer] = Verdict(what, f"{goal:.3g}{unit}", f"{found:.3g}{unit}", found >= goal)
    return verdicts


def of_processes(results: dict[str, Any]) -> list[Verdict]:
    """Memory, start and neighbours."""
    verdicts = []
    for step, memory in results.get("memory", {}).items():
        most = max(memory["resident"], memory["numpy"])
        what = f"memory of cross_entropy 2048 x 32000, {step}, in inputs"
        verdicts.append(Verdict(what, f"<= {memory['limit']}", f"{most:.4f}", most <= memory["limit"]))
    if start := results.get("start"):
        words = {
            "import_ratio": ("import fastloss over import numba", ""),
            "first_call_cold": ("first call of cross_entropy.value_and_grad, cold cache", " s"),
            "first_call_warm": ("the same in a fresh process, warm cache", " s"),
        }
        for key, limit in start["limits"].items():
            what, unit = words[key]
            verdicts.append(Verdict(what, f"<= {limit}{unit}", f"{start[key]:.3g}{unit}", start[key] <= limit))
        torch = start["torch_imported"]
        verdicts.append(Verdict("import fastloss imports torch", "no", "yes" if torch else "no", not torch))
    for library, times in results.get("blas", {}).items():
        what = f"{library} 512 x 512 x 512 product right after a call, over without us"
        verdicts.append(Verdict(what, "<= 1.1", f"{times['ratio']:.2f}", times["ratio"] <= 1.1))
    return verdicts
