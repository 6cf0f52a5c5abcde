"""The table of all losses, from their rows: ``python docs/catalogue.py --readme`` puts it where the README keeps it."""

import inspect
import sys
from pathlib import Path

import fastloss as fl

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- catalogue -->", "<!-- /catalogue -->"
#: What a call may also say, on all losses or on several: not a parameter of one loss.
COMMON = {"reduction", "sample_weight", "empty", "weight", "pos_weight", "axis"}


def family(function):
    return function.__module__.rpartition(".")[2].partition("_")[0]


def line(name, function):
    row, parameters = function.spec.row, inspect.signature(function).parameters
    summary = (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")
    own = [p for p in parameters.values() if p.name not in COMMON and p.name not in row.domain]
    options = ", ".join(f"`{p.name}={p.default!r}`".replace("'", '"') for p in own)
    domain = "; ".join(f"{argument} {kind}" for argument, kind in row.domain.items())
    also = f" ({', '.join(row.also)})" if row.also else ""
    return f"| `{name}` | {summary}{also} | {domain} | {options} | {row.denominator} |"


def table():
    families = {}
    for name, function in fl.losses().items():
        families.setdefault(family(function), []).append(line(name, function))
    lines = ["| loss | what it is (also known as) | takes | parameters | mean divides by |", "|---|---|---|---|---|"]
    for title, rows in sorted(families.items()):
        lines += [f"| **{title}** | | | | |", *rows]
    return "\n".join(lines)


def updated(text):
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    if "--readme" in sys.argv:
        README.write_text(updated(README.read_text()))
    else:
        print(table())
