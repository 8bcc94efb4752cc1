"""Quality along the way of all groups in one table, with what it cost to get there."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relume.core.files import read_csv
from relume.evaluation.config import PATHS
from relume.evaluation.evidence import Table, exactly, read_table

COLUMNS = (*PATHS[: PATHS.index("n")], "seconds", *PATHS[PATHS.index("n") :])  # of metrics/paths.csv


def path_table(groups: Sequence[str], folder: Path, reconstructions: Path) -> Table:
    """Rows of COLUMNS; `folder` holds what `evaluate` says of each group."""
    exactly(groups, folder, ".csv", "evaluate")
    return [
        row for group in groups for row in _timed(read_table(folder / f"{group}.csv", PATHS, "evaluate"), reconstructions / group)
    ]


def _timed(rows: Table, group: Path) -> Table:
    """With seconds per picture, all its restarts together: linear between the steps that were timed."""
    pictures = Counter(row["method"] for row in read_csv(group / "index.csv") if row["selected"] == "true")
    timing = read_csv(group / "timing.csv")
    return [{**row, "seconds": _spent(timing, row["method"], int(row["step"]), pictures[row["method"]])} for row in rows]


def _spent(timing: Table, method: str, step: int, pictures: int) -> str:
    """Empty where the method was not timed."""
    steps = [int(row["step"]) for row in timing if row["method"] == method]
    seconds = [float(row["seconds"]) for row in timing if row["method"] == method]
    return f"{float(np.interp(step, steps, seconds)) / pictures:.7g}" if steps else ""
