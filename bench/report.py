"""From JSON to tables and a plot: python bench/report.py [--readme] [--json FILE] [--catalogue FILE] [--into FOLDER]

Writes bench/results/table.md (also printed), details.md and benchmark.png; with --readme the block between
<!-- benchmark --> and <!-- /benchmark --> of README.md too. What bench/catalogue.py and the benchmarks of single
families found is part of the tables and of the block, once there are their files in bench/results/. Another machine's
go --into a folder of bench/results/, to which the block has a link.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import goals
import wholes
from cases import CASES

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"

PEERS = {"eager": "PyTorch eager", "compile": "torch.compile", "xla": "XLA", "sklearn": "scikit-learn"}
STEPS = {
    "value": "value",
    "value_and_grad": "value and gradient",
    "autograd": "autograd",
    "nonleaf": "autograd, non-leaf, upstream 0.25",
}
#: Rows timed beside more than this of other processes are counted in the report.
BUSY = 0.05
MARKS = {True: "✓", False: "✗"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json")
    parser.add_argument("--catalogue", type=Path, default=RESULTS / "catalogue.json")
    parser.add_argument("--into", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--readme", action="store_true", help="rewrite the block in README.md")
    arguments = parser.parse_args()
    results = json.loads(arguments.json.read_text())
    order = [case.name for case in CASES]
    entries = sorted((b["extra_info"] for b in results["benchmarks"]), key=lambda entry: order.index(entry["case"]))
    short = "\n".join([*conditions(results, entries), "", *summary(entries)])
    long = details(results, entries)
    catalogue = ""
    if arguments.catalogue.exists():
        found = json.loads(arguments.catalogue.read_text())
        catalogue = "\n".join(catalogue_summary(found, arguments.into))
        long += ["", *catalogue_details(found)]
    folder = arguments.into
    folder.mkdir(exist_ok=True)
    others = wholes.tables(folder)
    (folder / "table.md").write_text("\n\n".join(filter(None, (short, catalogue, others))) + "\n")
    (folder / "details.md").write_text("\n".join(long) + "\n")
    plot(entries, folder / "benchmark.png")
    print(short, catalogue, others, sep="\n\n")
    if arguments.readme:
        text = README.read_text()
        if BEGIN not in text or END not in text:
            print(f"README.md has no {BEGIN} ... {END}", file=sys.stderr)
            return 1
        before, after = text.split(BEGIN, 1)[0], text.split(END, 1)[1]
        picture = "![Times of the peers over those of fastloss, and shares of the limit](bench/results/benchmark.png)"
        block = "\n\n".join(filter(None, (short, picture, catalogue, others, elsewhere())))
        README.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}")
    return 0


def elsewhere() -> str:
    """Links to the tables of other machines, each with the first sentence that it begins with."""
    tables = sorted(RESULTS.glob("*/table.md"))
    lines = [
        f"- [{table.parent.name}](bench/results/{table.parent.name}/table.md): {_first(table)}" for table in tables
    ]
    return "\n".join(["On other machines:", "", *lines]) if lines else ""


def _first(table: Path) -> str:
    return table.read_text().partition(";")[0] + "."


def conditions(results: dict[str, Any], entries: list[dict[str, Any]]) -> list[str]:
    """The machine and what the columns mean."""
    machine = results["machine_info"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    speeds = sorted(entry["copy_bandwidth"] for entry in entries if entry["copy_bandwidth"])
    speed = f", copying {speeds[len(speeds) // 2] / 1e9:.0f} GB/s (read and written)" if speeds else ""
    disturbed = sum((entry["others"] or 0) > BUSY for entry in entries)
    noise = (
        f" **Other processes took more than {BUSY:.0%} of the processors during {disturbed} of {len(entries)} rows.**"
        if disturbed
        else ""
    )
    quick = " **A quick run: rough numbers.**" if any(entry["quick"] for entry in entries) else ""
    return [
        f"Measured on {machine['date']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['last_cache_bytes'] >> 20} MB last cache{speed}, {machine['system']}; "
        f"Python {machine['python']}, {versions}.{quick}{noise}",
        "",
        "Medians of interleaved runs on cold data (hot below 1 MB); columns of peers are their time over ours: more "
        "than 1 is for fastloss. *Limit* is the time in which this machine copies the least bytes that the step must "
        "move, *share* that time over ours. *value* is held against the peer's forward alone, *value and gradient* "
        "(into a given buffer) and *autograd* (through PyTorch, a new gradient in each step) against forward and "
        "backward.",
    ]


def summary(entries: list[dict[str, Any]]) -> list[str]:
    peers = [peer for peer in PEERS if any(peer in entry["ratios"] for entry in entries)]
    lines = [
        "| case | step | fastloss | share | " + " | ".join(PEERS[peer] for peer in peers) + " |",
        "|---|---|--:|--:|" + "--:|" * len(peers),
    ]
    previous = None
    for entry in entries:
        if entry["mode"] == "nonleaf":  # in the details
            continue
        name = entry["case"] if entry["case"] != previous else ""
        previous = entry["case"]
        cells = [name, STEPS[entry["mode"]], duration(entry["times"]["fastloss"]["median"]), share(entry["share"])]
        lines.append("| " + " | ".join(cells + [ratio(entry["ratios"].get(peer)) for peer in peers]) + " |")
    return lines


def details(results: dict[str, Any], entries: list[dict[str, Any]]) -> list[str]:
    verdicts = goals.of_cases(entries) + goals.of_processes(results)
    lines = [
        "# Benchmark, in detail",
        "",
        *conditions(results, entries),
        "",
        f"## Goals: {sum(verdict.passed for verdict in verdicts)} of {len(verdicts)} reached",
        "",
        "| what | goal | found | |",
        "|---|--:|--:|---|",
        *(f"| {v.what} | {v.goal} | {v.found} | {MARKS[v.passed]} |" for v in verdicts),
        "",
        "## Times",
        "",
        "The middle half of the samples in brackets. `fastloss_new` returns a new gradient instead of writing a given "
        "one; `float32` is our own float32 on the same numbers; `copy_*` copies the input, with all cores. *First "
        "call* includes compilation where the library's own cache had nothing (it is the second call of eager).",
        "",
        "| case | step | who | median | quartiles | samples | over fastloss | first call |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for entry in entries:
        own = entry["times"]["fastloss"]["median"]
        for who, time in entry["times"].items():
            first = duration(time["first_call"]) if "first_call" in time else ""
            quartiles = f"[{duration(time['q25'])}, {duration(time['q75'])}]"
            over = "" if who.startswith(("copy", "fastloss")) else ratio(time["median"] / own)
            lines.append(
                f"| {entry['case']} | {STEPS[entry['mode']]} | {who} | {duration(time['median'])} | {quartiles} | "
                f"{time['rounds']} | {over} | {first} |"
            )
    if start := results.get("start"):
        lines += [
            "",
            f"Start: import numba {duration(start['import_numba'])}, import fastloss "
            f"{duration(start['import_fastloss'])}, first call {duration(start['first_call_cold'])} on a cold cache "
            f"and {duration(start['first_call_warm'])} on a warm one.",
        ]
    for library, times in results.get("blas", {}).items():
        lines += [
            "",
            f"A {library} product of 512 x 512 x 512: {duration(times['alone'])} without us, "
            f"{duration(times['after_fastloss'])} right after a call of ours; our call: "
            f"{duration(times['fastloss_alone'])} without the product, {duration(times['fastloss_after'])} after it.",
        ]
    return lines


# The catalogue.


class Line(NamedTuple):
    """What was found of a loss."""

    loss: str
    family: str
    cells: dict[str, float | None]
    verdicts: dict[str, goals.Verdict]


#: Columns: which of a loss's cases ("large" or "small"), step and peer; or the state of the cache of a first call.
COLUMNS = {
    "time": ("large", "value_and_grad", "fastloss"),
    "share": ("large", "value_and_grad", "limit"),
    "eager": ("large", "value_and_grad", "eager"),
    "compile": ("large", "value_and_grad", "compile"),
    "value: eager": ("large", "value", "eager"),
    "value: compile": ("large", "value", "compile"),
    "64: NumPy": ("small", "value_and_grad", "eager"),
    "64: autograd": ("small", "autograd", "eager"),
    "first call": ("first", "cold", ""),
    "load": ("first", "warm", ""),
}


def catalogue_lines(results: dict[str, Any]) -> list[Line]:
    from catalogue import FIRST_CALL, all_cases

    cases = {case.name: case for case in all_cases()}
    lines: dict[str, Line] = {}
    for entry in results["benchmarks"]:
        case = cases.get(entry["case"])
        if case is None:  # of another version
            continue
        line = lines.setdefault(entry["loss"], Line(entry["loss"], entry["family"], {}, {}))
        found = {"fastloss": entry["times"]["fastloss"]["median"], "limit": entry["share"], **entry["ratios"]}
        verdicts = goals.of_entry(entry, case.goals)
        for column, (size, mode, peer) in COLUMNS.items():
            if (size == "small") == case.hot and mode == entry["mode"] and peer in found:
                line.cells[column] = found[peer]
                if peer in verdicts:
                    line.verdicts[column] = verdicts[peer]
    for loss, seconds in results["first_calls"].items():
        for column, (_, state, _) in COLUMNS.items():
            if loss in lines and state in seconds:
                limit, took = FIRST_CALL[state], seconds[state]
                what = f"{loss}: first call, {state} cache"
                lines[loss].cells[column] = took
                lines[loss].verdicts[column] = goals.Verdict(
                    what, f"<= {duration(limit)}", duration(took), took <= limit
                )
    return sorted(lines.values(), key=lambda line: (line.family, line.loss))


def catalogue_cell(line: Line, column: str) -> str:
    """The number, and a cross where it misses its goal."""
    value = line.cells.get(column)
    if value is None:
        return ""
    if column in ("time", "first call", "load"):
        text = duration(value)
    else:
        text = share(value) if column == "share" else ratio(value)
    return text if column not in line.verdicts or line.verdicts[column].passed else f"{text} {MARKS[False]}"


def catalogue_details(results: dict[str, Any]) -> list[str]:
    lines = catalogue_lines(results)
    verdicts = [verdict for line in lines for verdict in line.verdicts.values()]
    found = [
        "# The catalogue",
        "",
        *conditions(results, results["benchmarks"])[:1],
        "",
        f"## Goals: {sum(verdict.passed for verdict in verdicts)} of {len(verdicts)} reached",
        "",
        "A row a loss, on 10 million elements or on the size that bench/catalogue.py says. *time*, *share*, *eager* "
        "and *compile* are of value and gradient into a given buffer; *64* is 64 elements against eager forward and "
        "backward, of NumPy arrays and through autograd. *First call* compiles one kernel, *load* takes it from the "
        f"disk. {MARKS[False]} marks what misses its goal.",
        "",
        "| loss | family | " + " | ".join(COLUMNS) + " | goals |",
        "|---|---|" + "--:|" * (len(COLUMNS) + 1),
    ]
    for line in lines:
        cells = [line.loss, line.family, *(catalogue_cell(line, column) for column in COLUMNS)]
        passed = sum(verdict.passed for verdict in line.verdicts.values())
        found.append(f"| {' | '.join(cells)} | {passed} of {len(line.verdicts)} |")
    if missed := [verdict for verdict in verdicts if not verdict.passed]:
        found += ["", "## Missed", "", "| what | goal | found |", "|---|--:|--:|"]
        found += [f"| {verdict.what} | {verdict.goal} | {verdict.found} |" for verdict in missed]
    if results["failures"]:
        found += ["", "## Not measured", "", *(f"- {name}: {why}" for name, why in results["failures"].items())]
    return found


def catalogue_summary(results: dict[str, Any], folder: Path) -> list[str]:
    page = (folder / "details.md").resolve().relative_to(README.parent)
    lines = catalogue_lines(results)
    verdicts = [verdict for line in lines for verdict in line.verdicts.values()]
    families: dict[str, list[Line]] = {}
    for line in lines:
        families.setdefault(line.family, []).append(line)
    shown = ("share", "eager", "compile", "64: NumPy", "64: autograd", "first call", "load")
    rows = [
        f"The losses of elements, rows, classes, masks and boxes, measured on {results['machine_info']['date']}: "
        f"{sum(verdict.passed for verdict in verdicts)} of {len(verdicts)} goals reached by {len(lines)} of them; each "
        f"in [details.md]({page}). Value and gradient, the median of a family and its worst loss in "
        "brackets; *64* is 64 elements, *first call* compiles.",
        *(f"**Not measured: {name}.**" for name in results["failures"]),
        *(["**A quick run: rough numbers.**"] if any(entry["quick"] for entry in results["benchmarks"]) else []),
        "",
        "| family | losses | " + " | ".join(shown) + " | goals |",
        "|---|--:|" + "--:|" * (len(shown) + 1),
    ]
    for family, members in families.items():
        cells = [family, str(len(members)), *(_spread((line.cells.get(c) for line in members), c) for c in shown)]
        own = [verdict for line in members for verdict in line.verdicts.values()]
        rows.append(f"| {' | '.join(cells)} | {sum(verdict.passed for verdict in own)} of {len(own)} |")
    return rows


def _spread(values: Iterable[float | None], column: str) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return ""
    seconds = column in ("first call", "load")
    in_words = duration if seconds else share if column == "share" else ratio
    return f"{in_words(statistics.median(numbers))} ({in_words(max(numbers) if seconds else min(numbers))})"


def plot(entries: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {"eager": "#D55E00", "compile": "#0072B2", "xla": "#009E73", "sklearn": "#CC79A7"}
    shares = {"value": ("<", "#000000"), "value_and_grad": ("o", "#E69F00"), "autograd": (">", "#56B4E9")}
    rows = {name: row for row, name in enumerate(dict.fromkeys(entry["case"] for entry in entries))}
    figure, axes = plt.subplots(1, 4, figsize=(14, 1.9 + 0.3 * len(rows)), sharey=True, layout="constrained")
    highest = max(value for entry in entries for value in entry["ratios"].values())
    lowest = min(value for entry in entries for value in entry["ratios"].values())

    for axis, step in zip(axes, shares, strict=False):
        chosen = [entry for entry in entries if entry["mode"] == step]
        for peer, colour in colours.items():
            points = [(e["ratios"][peer], rows[e["case"]]) for e in chosen if peer in e["ratios"]]
            if points:
                axis.plot(*zip(*points, strict=True), "o", color=colour, label=PEERS[peer] if step == "value" else None)
        axis.set(xscale="log", xlim=(lowest / 1.3, highest * 1.3), title=STEPS[step], xlabel="time of the peer / ours")
        axis.xaxis.set_major_formatter("{x:g}")
    for step, (marker, colour) in shares.items():
        points = [(e["share"], rows[e["case"]]) for e in entries if e["mode"] == step and e["share"] is not None]
        if points:
            axes[3].plot(*zip(*points, strict=True), marker, color=colour, label=f"share, {STEPS[step]}")
    axes[3].set(xlim=(0, None), title="share of the limit", xlabel="the limit / our time")

    for axis in axes:
        axis.axvline(1, color="black", linewidth=1, zorder=0)
        axis.grid(alpha=0.3)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].invert_yaxis()
    figure.legend(loc="outside lower center", ncols=7, fontsize=9)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def ratio(value: float | None) -> str:
    """Losses in bold: they are not to be overlooked."""
    if value is None:
        return ""
    text = f"{value:.0f}x" if value >= 9.95 else f"{value:.1f}x" if value >= 0.95 else f"{value:.2f}x"
    return text if value >= 1 else f"**{text}**"


if __name__ == "__main__":
    sys.exit(main())
