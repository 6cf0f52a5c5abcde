"""Tables of what has a benchmark of its own: CTC and metric learning, for bench/report.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def tables(results: Path) -> str:
    """What the files in a folder of results say; nothing of those that are not there."""
    found = []
    for name, make in (("ctc", _ctc), ("triplets", _triplets), ("contrastive", _contrastive)):
        path = results / f"{name}.json"
        if path.exists():
            content = json.loads(path.read_text())
            machine = content.get("machine_info") or content["machine"]
            found.append(
                "\n".join([*make(content), "", f"Measured on {machine['date']} with `bench/bench_{name}.py`."])
            )
    return "\n\n".join(found)


def _ratio(value: float, goal: float | None = None) -> str:
    text = f"{value:.1f}x" + (f" ({goal:g}x)" if goal else "")
    return f"**{text}**" if value < max(goal or 1.0, 1.0) else text


#: Of the limit, where CTC moves more than it computes.
CTC_SHARE = 0.6


def _share(share: float) -> str:
    if share < 0.1:  # bound by the program over states, not by memory
        return ""
    text = f"{share:.2f} ({CTC_SHARE:g})"
    return text if share >= CTC_SHARE else f"**{text}**"


def _ctc(content: dict[str, Any]) -> list[str]:
    rows = [
        "CTC from logits, times PyTorch eager's log_softmax, ctc_loss and backward (goals in brackets; bold where "
        "missed); memory beside the gradient, in arrays of all frames and states.",
        "",
        "| case (T, N, C, S) | ours | value and gradient | value | autograd | share of the limit | memory |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for entry in content["cases"]:
        case, ratios = entry["case"], entry["ratios"]
        both, value, autograd = case["goals"]
        size = f"({case['frames']}, {case['samples']}, {case['classes']}, {case['labels']})"
        cells = (
            f"{case['name']} {size}",
            f"{1e3 * entry['times']['value and gradient, out']:.2f} ms",
            _ratio(ratios["value and gradient, out"], both),
            _ratio(ratios["value"], value),
            _ratio(ratios["autograd"], autograd),
            _share(entry["share"]),
            f"{entry['memory']:.2f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _triplets(content: dict[str, Any]) -> list[str]:
    rows = [
        "Triplets mined in the batch, value and gradient; *products* is our time over that of the bare matrix product.",
        "",
        "| mining, embeddings | ours | PyTorch eager | products |",
        "|---|--:|--:|--:|",
    ]
    for entry in content["benchmarks"]:
        eager = "" if entry["ratio"] is None else _ratio(entry["ratio"], entry["goal"])
        ours = 1e3 * entry["times"]["fastloss"]["median"]
        rows.append(f"| {entry['case']} | {ours:.1f} ms | {eager} | {entry['product']:.1f} |")
    peaks = [entry["bytes"] / 1e6 for entry in content["memory"]]
    rows += [
        "",
        f"At 20,000 x 256 every mining takes {min(peaks):.0f} to {max(peaks):.0f} MB beyond inputs and gradients.",
    ]
    return rows


def _contrastive(content: dict[str, Any]) -> list[str]:
    rows = [
        "Losses of similarities and heads, value and gradient; memory beyond inputs and gradients at 20,000 x 256.",
        "",
        "| loss, embeddings | ours | PyTorch eager | products | memory |",
        "|---|--:|--:|--:|--:|",
    ]
    for entry in content["benchmarks"]:
        ours = 1e3 * entry["times"]["fastloss"]["median"]
        eager = _ratio(entry["ratios"]["eager"], entry["goal"])
        memory = f"{entry['memory'] / 1e6:.0f} MB"
        rows.append(f"| {entry['case']} | {ours:.1f} ms | {eager} | {entry['product']:.1f} | {memory} |")
    return rows
