"""Everything, into one file: python bench/run.py [--quick] [--out FILE] [what pytest takes, such as -k soft]."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from machine import rounded

HERE = Path(__file__).parent
LATEST = HERE / "results" / "latest.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under two minutes: rough numbers, fewer peers")
    parser.add_argument("--catalogue", action="store_true", help="bench/catalogue.py afterwards: 20 minutes more")
    parser.add_argument("--out", type=Path, default=LATEST, help="the JSON to write (bench/results/latest.json)")
    arguments, rest = parser.parse_known_args()
    quick = ["--quick"] if arguments.quick else []
    # First, and each in a process of its own: they look at what a process does at its beginning.
    others, status = {}, 0
    for name in ("start", "memory", "blas"):
        print(f"{name} ...", flush=True)
        done = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *quick], capture_output=True, text=True)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            status = done.returncode
        else:
            others[name] = json.loads(done.stdout)
    with tempfile.TemporaryDirectory() as directory:
        stored = Path(directory) / "pytest.json"
        status = int(pytest.main([str(HERE), "-q", f"--benchmark-json={stored}", *quick, *rest])) or status
        text = stored.read_text() if stored.exists() else ""
    if not text:
        return status or 1
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps({**slim(json.loads(text)), **rounded(others)}, indent=1) + "\n")
    print(f"wrote {arguments.out}; now: python bench/report.py")
    if arguments.catalogue:  # in a process of its own, with memory of its own
        status = subprocess.run([sys.executable, str(HERE / "catalogue.py"), *quick]).returncode or status
    else:
        print("every loss of the catalogue: python bench/catalogue.py")
    return status


def slim(results: dict[str, Any]) -> dict[str, Any]:
    """pytest-benchmark's JSON without what says nothing twice: options, parameters as text."""
    for entry in results["benchmarks"]:
        for key in ("options", "params", "param", "fullname"):
            entry.pop(key, None)
        entry["extra_info"] = rounded(entry["extra_info"])
        entry["stats"] = rounded(entry["stats"])
    return results


if __name__ == "__main__":
    sys.exit(main())
