"""Draws from denoisers in the report: a draw, the mean of draws, and their spread beside the error that it should tell."""

from collections.abc import Iterator

import numpy as np

from relume.core.results import Group
from relume.methods.diffusion.family import MEAN, SAMPLE
from relume.methods.diffusion.spread import Spread, between, errors, inside, spreads
from relume.report.blocks import Block, Cell, Part, Pictures, Row, Text
from relume.report.columns import signed
from relume.report.families import Drawing
from relume.report.images import original, spread
from relume.report.labels import words

LEAD = (
    "A denoiser that sees features draws different pictures that agree with them. Where the draws differ, the features leave the"
    " picture open. The spread is the standard deviation over draws; a useful spread is large where their mean is wrong."
)
BRIGHTEST = 99  # percentile of spreads and errors that is shown white


def parts(drawing: Drawing) -> Iterator[Part]:
    blocks = [block for group in drawing.data.groups for one in spreads(group) for block in _blocks(group, one, drawing)]
    yield Part(id="spread", title="What the features leave open", lead=LEAD, blocks=blocks)


def _blocks(group: Group, found: Spread, drawing: Drawing) -> Iterator[Block]:
    first, name = group.index[found.rows[0]], found.method.removesuffix(f"_{MEAN}")
    originals = drawing.data.originals(first["dataset"])
    ids = {group.index[row]["id"]: at for at, row in enumerate(found.rows)}
    error = errors(group.images[found.rows], originals.images[[originals.rows[id] for id in ids]])
    told = f"over the pixels of a picture {signed(float(inside(found.maps, error).mean()), 2)}"
    if len(ids) > 1:
        told += f", over pictures {signed(float(np.corrcoef(between(found.maps, error))[0, 1]), 2)}"
    yield Text(sentences=[f"{words(name)}: correlation of spread and error {told} ({len(ids)} pictures)."])
    chosen = spread(originals, ids, drawing.count)
    draws = {row["id"]: at for at, row in enumerate(group.index) if row["method"] == f"{name}_{SAMPLE}"}
    white = float(np.percentile(np.concatenate([found.maps, error]), BRIGHTEST)) or 1.0
    rows: list[Row] = [(Cell(text="Original"), [original(drawing.sheets, originals, id) for id in chosen])]
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
    yield Pictures(id=f"spread-{found.method}", title=words(name), rows=rows, caption=caption, style="dense")


def _grey(values: np.ndarray) -> np.ndarray:
    """(H, W) from 0 to 1 -> uint8 (H, W, 3)."""
    return (255 * values.clip(0, 1)).round().astype(np.uint8)[..., None].repeat(3, -1)
