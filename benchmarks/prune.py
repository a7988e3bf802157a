"""Remove results that newer ones replace: each figure stays where it was measured last, on each kind of machine.

    python -m benchmarks.prune            # removes them from benchmarks/results
    python -m benchmarks.prune --check    # names them, removes none, and fails where there are any

A kind of machine is its GPU, or its processor's name and instructions. A result stays as long as one of its rows
has no newer one of the same question, name and kind of machine; its reports go with it. HTML holds pictures,
and git ignores it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS


def machine_kind(result: dict[str, Any]) -> str:
    """Return the kind of machine that a result was measured on; "" where it does not say."""
    machine = result.get("machine", {})
    return machine.get("gpu") or " ".join([machine.get("cpu", ""), *machine.get("cpu_flags", ())]).strip()


def find_replaced(folder: Path) -> Iterator[Path]:
    """Yield the files in `folder` that no longer hold anything of their own, newest first."""
    measured: set[tuple[str, str, str]] = set()
    # A name begins with date and time, four or six digits of it: that is what it is sorted by.
    for path in sorted(folder.glob("*.json"), reverse=True):
        result = json.loads(path.read_text(encoding="utf-8"))
        question = result.get("question") or re.sub(r"^[\d-]+-", "", path.stem)
        rows = {(question, machine_kind(result), row["name"]) for row in result["rows"]}
        if rows <= measured:
            yield from sorted(folder.glob(f"{path.stem}.*"))
        measured |= rows


def main() -> None:
    """Remove or name what is replaced."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="remove nothing; fail where there is something")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder")
    given = parser.parse_args()
    replaced = list(find_replaced(given.results))
    for path in replaced:
        print(path)
        if not given.check:
            path.unlink()
    if given.check and replaced:
        sys.exit(1)


if __name__ == "__main__":
    main()
