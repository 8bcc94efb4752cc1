"""Denoisers in the report: a sample, the mean of samples, and their spread beside the error."""

from collections.abc import Iterator

import numpy as np

from relume.core.results import Group
from relume.methods.diffusion.family import MEAN, SAMPLE
from relume.methods.diffusion.spread import ENDS, Spread, agreement, errors, spreads
from relume.report.blocks import Cell, Part, Pictures, Row, table
from relume.report.columns import Column, text
from relume.report.images import Drawing, spread
from relume.report.labels import place, words

LEAD = (
    "A denoiser that sees features draws different pictures that agree with them. Where the draws differ, the features leave the"
    " picture open. The spread is the standard deviation over draws; a useful spread is large where their mean is wrong."
)
FEW = 3  # images, too few for the interval of a correlation
BRIGHTEST = 99  # percentile of spreads and errors that is shown white


COLUMNS = (
    text("method", "Mean of draws"),
    text("place", "From"),
    Column(name="n", title="n", digits=0),
    Column(name="pixels", title="Over the pixels of a picture", better="higher", digits=2),
    Column(name="pictures", title="Over pictures", better="higher", digits=2),
    Column(name="pooled", title="Over all pixels of all pictures", better="higher", digits=2),
)
NUMBERS = [f"{name}{end}" for name in ("pixels", "pictures", "pooled") for end in ENDS]
FILE = ("group", "method", "network", "tap", "n", *NUMBERS)  # of `spread.csv`
NOTE = "Correlation of spread and error, with 95% intervals; pictures count as independent."


def parts(drawing: Drawing) -> Iterator[Part]:
    pairs = [(group, one) for group in drawing.data.groups for one in spreads(group) if len(one.rows) > FEW]
    rows, blocks = [], []
    for group, found in pairs:
        first = group.index[found.rows[0]]
        originals = drawing.data.originals(first["dataset"])
        error = errors(group.images[found.rows], originals.images[[originals.rows[group.index[row]["id"]] for row in found.rows]])
        told = {"group": group.name, **{key: first[key] for key in ("method", "network", "tap")}, "n": len(found.rows)}
        rows.append(told | agreement(found.maps, error))
        blocks.append(_pictures(group, found, error, drawing))
    cells = [
        {**{key: str(value) for key, value in row.items()}, "place": place(str(row["network"]), str(row["tap"]))} for row in rows
    ]
    numbers = [table("spread", "Does the spread tell the error?", COLUMNS, cells, note=NOTE)] if rows else []
    tables = {"spread": (FILE, rows)} if rows else {}
    yield Part(id="spread", title="What the features leave open", lead=LEAD, blocks=[*blocks, *numbers], tables=tables)


def _pictures(group: Group, found: Spread, error: np.ndarray, drawing: Drawing) -> Pictures:
    name, originals = found.method.removesuffix(f"_{MEAN}"), drawing.data.originals(group.index[found.rows[0]]["dataset"])
    ids = {group.index[row]["id"]: at for at, row in enumerate(found.rows)}
    chosen = spread(originals, ids, drawing.count)
    draws = {row["id"]: at for at, row in enumerate(group.index) if row["method"] == f"{name}_{SAMPLE}"}
    white = float(np.percentile(np.concatenate([found.maps, error]), BRIGHTEST)) or 1.0
    rows: list[Row] = [drawing.originals(originals.name, chosen)]
    for title, pixels in (
        ("One draw", {id: group.images[draws[id]] for id in chosen}),
        ("Mean of draws", {id: group.images[found.rows[ids[id]]] for id in chosen}),
        ("Spread", {id: _grey(found.maps[ids[id]] / white) for id in chosen}),
        ("Error of the mean", {id: _grey(error[ids[id]] / white) for id in chosen}),
    ):
        sheet = f"{group.name}-{name}-{title}"
        tiles = [drawing.sheets.tile(sheet, id, picture, f"{title} of {id} by {name}") for id, picture in pixels.items()]
        rows.append((Cell(text=title), tiles))
    caption = f"Spread and error on one scale; white is {white:.2f} of the pixels' range and more."
    return Pictures(id=f"spread-{found.method}", title=words(name), rows=rows, caption=caption, style="dense")


def _grey(values: np.ndarray) -> np.ndarray:
    """(H, W) from 0 to 1 -> uint8 (H, W, 3)."""
    return (255 * values.clip(0, 1)).round().astype(np.uint8)[..., None].repeat(3, -1)
