"""How a method's model was trained: its curves, its progress picture, what its card says."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relume.report.charts import Panel, methods, panels
from relume.report.material import Table, Trained
from relume.report.pictures import Photo, photo

FIRST = ("loss", "kid", "psnr", "psnr_masked")  # panels that are looked at first; the other terms stand behind
CURVES = {"train": "training", "val": "validation"}


@dataclass(frozen=True, kw_only=True)
class Lesson:
    name: str
    told: list[str]
    panels: list[Panel]
    others: list[Panel]
    curves: list[str]  # in the order of their colours
    photo: Photo | None
    shown: str  # what stands above its own pictures
    made: str  # what these are


def lesson(name: str, trained: Trained) -> Lesson:
    kind = trained.card.get("kind")
    trace = as_trace(_judged(trained.history) if kind == "gan" else trained.history)
    drawn = panels(trace)
    return Lesson(
        name=name,
        told=list(_told(trained.card)),
        panels=[panel for panel in drawn if panel.term in FIRST],
        others=[panel for panel in drawn if panel.term not in FIRST],
        curves=methods(trace),
        photo=None if trained.picture is None else photo(trained.picture),
        shown="What is visible of validation pictures" if kind == "masked" else "Validation pictures",
        made=f"pictures that {name} made by itself" if kind == "gan" else f"what {name} made of them",
    )


def _judged(history: Table) -> Table:
    """A generator is not validated by its own loss but by KID, which is no curve of the same panel."""
    return [{**row, "term": "val/kid"} if row["term"] == "val/loss" else row for row in history]


def as_trace(history: Table) -> Table:
    """`train/loss` and `val/loss` as two curves of the term `loss`; `val/floor_own_mean`, in dB, as one more of what was scored:
    `psnr`, or `psnr_masked`.
    """
    scored = "psnr_masked" if any(row["term"].endswith("/psnr_masked") for row in history) else "psnr"
    renamed = [{**row, **_names(row["term"], scored)} for row in history]
    order = [*CURVES.values(), *sorted({row["method"] for row in renamed} - {*CURVES.values()})]
    return sorted(renamed, key=lambda row: (row["term"] not in FIRST, order.index(row["method"])))


def _names(term: str, scored: str) -> dict[str, str]:
    where, _, what = term.rpartition("/")
    if what.startswith("floor_"):
        return {"method": f"floor: {what.removeprefix('floor_').replace('_', ' ')}", "term": scored}
    return {"method": CURVES.get(where or "train", where), "term": what}


def _told(card: dict[str, Any]) -> Iterator[str]:
    """What a reader wants to know first, as far as the card says it."""
    data = card.get("data", {})
    if "train" in data:
        yield f"Learned on {data['train']:,} pictures of {data.get('dataset', 'its data')}, watched on {data.get('val', 0):,}"
    if "parameters" in card:
        yield f"{card['parameters']:,} parameters"
    if "best_step" in card:
        yield f"kept as it was at step {card['best_step']:,}"
