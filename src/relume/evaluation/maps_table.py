"""The output files of `maps`: every variant compared with the intact decoding, a score per channel, images."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from relume.core.files import atomic_folder, write_csv
from relume.core.sheet import save_sheet
from relume.evaluation.maps import INTACT, KEPT, REMOVED, Bench, Outcome, Subject, study
from relume.evaluation.metrics import circular
from relume.evaluation.statistics import Draws

NAMED = ("decoder", "network", "tap")
LABELS = (*NAMED, "dataset", "size", "split", "fill", "ranking", "action", "group", "channels", "n", "sources")
CHANNELS = (*NAMED, "channel", "mean", "activation", "contribution")
TABLE, SCORES = "maps.csv", "channels.csv"
Record = dict[str, object]


def write(
    out: Path, subjects: Sequence[Subject], bench: Bench, draws: Draws, report: Callable[[int], object] = lambda done: None
) -> None:
    """TABLE, SCORES and `<decoder>.jpg` of every decoder. `report`: called with the number of further images done."""
    table: list[Record] = []
    scores: list[Record] = []
    with atomic_folder(out) as folder:
        for subject in subjects:
            found = study(subject, bench, report)
            table += rows(subject, found, bench, draws)
            scores += channels(subject, found)
            save_sheet(folder / f"{subject.name}.jpg", *tiles(found))
        write_csv(folder / TABLE, columns(bench.config.metrics), table)
        write_csv(folder / SCORES, CHANNELS, scores)


def columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Columns of TABLE: per metric its mean, and its change from the intact decoding, with an interval."""
    return (*LABELS, *(f"{metric}{end}" for metric in metrics for end in ("", "_change", "_change_lo", "_change_hi")))


def rows(subject: Subject, outcome: Outcome, bench: Bench, draws: Draws) -> Iterator[Record]:
    """One per variant. Intervals are over sources, the photographs of the crops."""
    known = bench.dataset.sources()
    sources = [known[id] for id in outcome.ids]
    for at, variant in enumerate(outcome.variants):
        row: Record = {
            **_named(subject),
            "dataset": bench.dataset.name,
            "size": bench.dataset.size,
            "split": bench.config.split,
            "fill": bench.config.fill,
            "ranking": variant.ranking,
            "action": variant.action,
            "group": variant.group or None,
            "channels": int(variant.kept.sum()),
            "n": len(sources),
            "sources": len(set(sources)),
        }
        for metric, values in outcome.scores.items():
            row[metric] = float(values[at].mean())
            if variant.action != INTACT:
                row |= _change(metric, values[at] - values[0], sources, None if circular(metric, subject.network) else draws)
        yield row


def _change(metric: str, change: np.ndarray, sources: Sequence[str], draws: Draws | None) -> Record:
    """The mean over images; without an interval for circular metrics."""
    key = f"{metric}_change"
    if draws is None or not np.isfinite(change).all():
        return {key: float(change.mean())}
    found = draws.interval(change, sources)
    return {key: found.mean, f"{key}_lo": found.lo, f"{key}_hi": found.hi}


def channels(subject: Subject, outcome: Outcome) -> Iterator[Record]:
    """One row of CHANNELS per channel."""
    for channel, mean in enumerate(outcome.channels.mean.tolist()):
        scores = {name: float(values[channel]) for name, values in outcome.channels.scores.items()}
        yield {**_named(subject), "channel": channel, "mean": mean, **scores}


def _named(subject: Subject) -> Record:
    return {"decoder": subject.name, "network": subject.network, "tap": subject.tap}


def tiles(outcome: Outcome) -> tuple[list[str], list[tuple[str, np.ndarray]]]:
    """Headings of a sheet's columns, and a block per ranking: title, uint8 (shown, columns, H, W, 3)."""
    blocks: list[tuple[str, np.ndarray]] = []
    headings: list[str] = []
    for ranking in outcome.channels.scores:
        places = [at for at, one in enumerate(outcome.variants) if one.ranking == ranking and one.action in (REMOVED, KEPT)]
        shown = [outcome.variants[at] for at in places]
        names = [f"without group {one.group}" if one.action == REMOVED else f"group {one.group} only" for one in shown]
        headings = ["original", "all maps", *names]
        stacked = np.stack([outcome.originals, outcome.pictures[0], *outcome.pictures[places]], axis=1)
        blocks.append((f"ranked by {ranking}; group 1 is the strongest", stacked))
    return headings, blocks
