"""How a method's model was trained: its curves, its progress image, facts from its model.json."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relume.report.charts import Panel, methods, panels
from relume.report.data import Table, Trained
from relume.report.images import EmbeddedImage, embedded_image

FIRST = ("loss", "kid", "psnr", "psnr_masked")  # panels shown first; the other terms are folded
CURVES = {"train": "training", "val": "validation"}


@dataclass(frozen=True, kw_only=True)
class Training:
    name: str
    facts: list[str]
    panels: list[Panel]
    others: list[Panel]
    curves: list[str]  # in the order of their colours
    image: EmbeddedImage | None
    upper: str  # what the upper row of the image shows
    lower: str


def training(name: str, trained: Trained) -> Training:
    kind = trained.card.get("kind")
    trace = as_trace(_with_kid(trained.history) if kind == "gan" else trained.history)
    drawn = panels(trace)
    return Training(
        name=name,
        facts=list(_facts(trained.card)),
        panels=[panel for panel in drawn if panel.title in FIRST],
        others=[panel for panel in drawn if panel.title not in FIRST],
        curves=methods(trace),
        image=None if trained.image is None else embedded_image(trained.image),
        upper="visible parts of validation images" if kind == "masked" else "validation images",
        lower=f"samples of {name}" if kind == "gan" else f"outputs of {name}",
    )


def _with_kid(history: Table) -> Table:
    """A generator is validated by KID, which needs a panel of its own."""
    return [{**row, "term": "val/kid"} if row["term"] == "val/loss" else row for row in history]


def as_trace(history: Table) -> Table:
    """`train/loss` and `val/loss` become two curves of the term `loss`; `val/floor_own_mean`, in dB, becomes a curve of the
    validation metric: `psnr` or `psnr_masked`.
    """
    metric = "psnr_masked" if any(row["term"].endswith("/psnr_masked") for row in history) else "psnr"
    renamed = [{**row, **_names(row["term"], metric)} for row in history]
    order = [*CURVES.values(), *sorted({row["method"] for row in renamed} - {*CURVES.values()})]
    return sorted(renamed, key=lambda row: (row["term"] not in FIRST, order.index(row["method"])))


def _names(term: str, metric: str) -> dict[str, str]:
    split, _, what = term.rpartition("/")
    if what.startswith("floor_"):
        return {"method": f"baseline: {what.removeprefix('floor_').replace('_', ' ')}", "term": metric}
    return {"method": CURVES.get(split or "train", split), "term": what}


def _facts(card: dict[str, Any]) -> Iterator[str]:
    data = card.get("data", {})
    if "train" in data:
        yield f"Trained on {data['train']:,} images of {data.get('dataset', 'its data')}, validated on {data.get('val', 0):,}"
    if "parameters" in card:
        yield f"{card['parameters']:,} parameters"
    if "best_step" in card:
        yield f"best checkpoint at step {card['best_step']:,}"
