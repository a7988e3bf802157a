"""Print the share of lines that the last `pytest --cov` ran: one line for each folder, then the total."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import coverage

import allaprima

SOURCE = Path(allaprima.__file__).parent


def main() -> None:
    """Read `.coverage` in the current folder and print the table."""
    measured = coverage.Coverage()
    measured.load()
    lines, missed = Counter[str](), Counter[str]()
    for file in SOURCE.rglob("*.py"):
        _, statements, _, missing, _ = measured.analysis2(str(file))
        for folder in (file.parent.relative_to(SOURCE).as_posix(), "total"):
            lines[folder] += len(statements)
            missed[folder] += len(missing)
    print(f"{'folder':<32}{'lines':>8}{'missed':>8}{'run':>8}")
    for folder in [*sorted(lines.keys() - {"total"}), "total"]:
        if lines[folder]:
            share = 1 - missed[folder] / lines[folder]
            print(f"{folder:<32}{lines[folder]:>8}{missed[folder]:>8}{share:>8.1%}")


if __name__ == "__main__":
    main()
