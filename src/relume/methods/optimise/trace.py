"""What the shards of a method log, as rows of `trace.csv` and `timing.csv`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

import torch

from relume.methods.optimise.optimise import Report


def entry(report: Report) -> dict[str, Any]:
    """Step, seconds, and of each term [sum, count] over the finite values."""
    values = {name: value.cpu().double() for name, value in report.terms.items()}
    finite = {name: value[torch.isfinite(value)] for name, value in values.items()}
    terms = {name: [float(value.sum()), len(value)] for name, value in finite.items()}
    return {"step": report.step, "seconds": report.seconds, "terms": terms}


def means(entry: Mapping[str, Any]) -> dict[str, float]:
    return {name: total / count if count else float("nan") for name, (total, count) in entry["terms"].items()}


class Trace:
    """The sum of all logs, so that memory does not grow with the number of shards."""

    def __init__(self) -> None:
        self._terms: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0])
        self._seconds: dict[int, float] = defaultdict(float)  # between this step and the one before

    def add(self, log: Iterable[Mapping[str, Any]]) -> None:
        before = 0.0
        for note in log:
            self._seconds[note["step"]] += note["seconds"] - before
            before = note["seconds"]
            for term, (total, count) in note["terms"].items():
                self._terms[note["step"], term][0] += total
                self._terms[note["step"], term][1] += count

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Means over all images and restarts."""
        return [
            {"method": name, "step": step, "term": term, "value": total / count}
            for (step, term), (total, count) in sorted(self._terms.items())
            if count
        ]

    def timing(self, name: str, fit: float) -> list[dict[str, Any]]:
        """Shards run one after the other, so their seconds add up. A shard that stopped early keeps its last value."""
        steps, spent = zip(*sorted(self._seconds.items()), strict=True)
        seconds = accumulate(spent, initial=fit)
        next(seconds)
        return [{"method": name, "step": step, "seconds": value} for step, value in zip(steps, seconds, strict=True)]
