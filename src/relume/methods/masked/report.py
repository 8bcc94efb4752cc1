"""Masked models in the report: scores with baselines, visible parts, predictions, pasted images, and descents of energy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.results import RATIO, Group, is_masked, pasted, read_descent, read_masked_group, visible
from relume.report.blocks import Block, Cell, Chart, Part, Pictures, Row, Text, Tile
from relume.report.charts import lines
from relume.report.columns import column, short, signed
from relume.report.data import Originals, grouped
from relume.report.images import Drawing, spread
from relume.report.labels import BASELINE, words
from relume.report.leaderboards import SHARED, Ranking, Result

Cells = dict[str, str]
MaskedKey = tuple[str, str, str, str]  # method, dataset, size, mask_ratio: identify a row of masked.csv
TERM, STRIPS = "energy@", 4  # of a trace, the mask ratio follows; trajectories that are shown
NAMES = ("psnr_masked", "psnr_pasted", "ssim_pasted", "lpips_alex", "fd", "probe_top1", "knn_top1", "seconds_per_image", "n")
COLUMNS = [column(name) for name in ("method", "parameters", *NAMES, *SHARED)]
LEAD = (
    "Parts of each picture are hidden, the same for all methods, and predicted from the visible parts. Scores count hidden pixels"
    " only. Baselines fill the hidden parts without any training; a model that is not above them has shown nothing."
)
DESCENT = (
    "Energy Transformer reconstruction: the model has an energy and repeats the same descent step until the tokens converge. At"
    " step 0 the hidden cells contain only their position. Visible cells are shown as they are."
)


@dataclass(frozen=True, kw_only=True)
class MaskedGroup:
    group: Group
    masks: np.ndarray  # bool (N, side, side)
    rows: dict[MaskedKey, dict[str, int]]  # id -> row of the group's images
    psnr: dict[MaskedKey, dict[str, float]]  # id -> dB over hidden pixels
    labels: Mapping[str, str]  # by method
    baselines: set[str]

    @property
    def masking(self) -> str:
        """The mask pattern and cell size; empty if the group's configuration lacks them."""
        config = self.group.method.get("config", {})
        return f", {config['pattern']} masks in cells of {config['cell']} px" if {"pattern", "cell"} <= config.keys() else ""


def parts(drawing: Drawing) -> Iterator[Part]:
    metrics = drawing.data.folders.metrics
    groups = [_read(one, drawing) for one in drawing.data.groups if is_masked(one.folder)]
    cells = {_key(row): row for row in read_csv(metrics / "masked.csv")}
    held = {key for one in groups for key in one.rows}
    if held != cells.keys():
        method, dataset, size, ratio = key = min(held ^ cells.keys())
        fault = "no group holds" if key in cells else "there is no row of"
        where = f"{method} on {dataset} at {size} px, mask ratio {ratio}"
        raise UserError(f"{metrics / 'masked.csv'}: {fault} {where}: run compare again")
    blocks: list[Block] = []
    texts = []
    for one in groups:
        for keys in grouped(one.rows, lambda key: key[1:]).values():  # ranked on one dataset, at one size and mask ratio
            board = _ranking(one, keys, cells, several=len(groups) > 1)
            texts.append(finding(board))
            blocks += [board.forest("Mean PSNR over hidden pixels", drawing.level), _examples(one, keys, board, drawing)]
            blocks.append(board.table(drawing.level))
        blocks += _descents(one, drawing)
    headline = texts[0] if texts else ""
    yield Part(
        id="masked",
        title="Masked reconstruction",
        lead=LEAD,
        headline=headline,
        blocks=[Text(sentences=texts), *blocks] if texts else [],
    )


def _key(row: Cells) -> MaskedKey:
    return row["method"], row["dataset"], row["size"], row[RATIO]


def percent(ratio: str) -> str:
    """0.855 -> 85.5%: different ratios have different texts."""
    return f"{100 * float(ratio):g}%"


def _read(one: Group, drawing: Drawing) -> MaskedGroup:
    group, masks = read_masked_group(one.folder)
    rows: dict[MaskedKey, dict[str, int]] = {}
    psnr: dict[MaskedKey, dict[str, float]] = {}
    for number, row in enumerate(group.index):
        rows.setdefault(_key(row), {})[row["id"]] = number
    for row in read_csv(drawing.data.folders.metrics / "methods" / f"{group.name}.csv"):
        if row.get("psnr_masked"):
            psnr.setdefault(_key(row), {})[row["id"]] = float(row["psnr_masked"])
    families = {row["method"]: row["family"] for row in group.index}
    labels = {name: words(name) for name in families}
    baselines = {name for name, family in families.items() if family == BASELINE}
    return MaskedGroup(group=group, masks=masks, rows=rows, psnr=psnr, labels=labels, baselines=baselines)


def _ranking(masked: MaskedGroup, keys: Sequence[MaskedKey], cells: Mapping[MaskedKey, Cells], several: bool) -> Ranking:
    _, dataset, size, ratio = keys[0]
    rows = [
        Result(cells=cells[key], label=masked.labels[key[0]], metric="psnr_masked", baseline=key[0] in masked.baselines)
        for key in keys
    ]
    title = f"{dataset} at {size} px, {percent(ratio)} hidden" + (f", {masked.group.name}" if several else "")
    ranked = sorted(rows, key=lambda row: -row.score)
    return Ranking(id=f"masked-{masked.group.name}-{ratio}", title=f"{title}{masked.masking}", rows=ranked, known=COLUMNS)


def finding(board: Ranking) -> str:
    """The best model against the best baseline, and the models that are not above that baseline."""
    best, floor = (board.methods or board.rows)[0], board.no_information
    interval = f" ({column(best.metric).interval(best.cells)})" if best.interval else ""
    text = f"{board.title}: {best.label} reaches {signed(best.score, 2)} dB{interval} over hidden pixels"
    if floor is None or floor is best:
        return f"{text}. No baseline was computed on these pictures, so there is no evidence."
    gain = best.score - floor.score
    side = "above" if gain > 0 else "below"
    text += f", {signed(abs(gain), 2)} dB {side} the best baseline, {floor.label} ({signed(floor.score, 2)} dB)."
    below = [row.label for row in board.methods if row is not best and row.score <= floor.score]
    return f"{text} {'Not' if gain > 0 else 'Also not'} above that baseline: {', '.join(below)}." if below else text


def _examples(masked: MaskedGroup, keys: Sequence[MaskedKey], board: Ranking, drawing: Drawing) -> Pictures:
    """Predictions pasted into the visible parts."""
    shown = [*board.methods, *filter(None, [board.no_information])]
    chosen = [next(key for key in keys if key[0] == row.method) for row in shown]
    originals, at = drawing.data.originals(keys[0][1]), masked.rows[chosen[0]]
    ids = spread(originals, at, drawing.count)
    rows: list[Row] = [
        drawing.originals(originals.name, ids),
        (Cell(text="Visible"), [_seen(masked, at[id], originals, id, drawing) for id in ids]),
    ]
    for row, key in zip(shown, chosen, strict=True):
        rows.append((Cell(text=row.label, marks=row.marks), [_output(masked, key, originals, id, drawing) for id in ids]))
    caption = "The prediction pasted into the visible part, with its PSNR over hidden pixels; hidden cells are grey in Visible."
    return Pictures(id=f"{board.id}-pasted", title=board.title, rows=rows, caption=caption, style="dense")


def _seen(masked: MaskedGroup, row: int, originals: Originals, id: str, drawing: Drawing) -> Tile:
    ratio = masked.group.index[row][RATIO]
    pixels = visible(originals.image(id), masked.masks[row])
    return drawing.sheets.tile(f"{masked.group.name}-{ratio}-visible", id, pixels, f"Visible part of {id}; hidden parts are grey")


def _output(masked: MaskedGroup, key: MaskedKey, originals: Originals, id: str, drawing: Drawing) -> Tile:
    row, score = masked.rows[key][id], masked.psnr.get(key, {}).get(id)
    pixels = pasted(originals.image(id), masked.group.images[row], masked.masks[row])
    under = "" if score is None else f"{score:.1f} dB"
    return drawing.sheets.tile(f"{masked.group.name}-{key[3]}-{key[0]}-pasted", id, pixels, f"{id} pasted by {key[0]}", under)


def _descents(masked: MaskedGroup, drawing: Drawing) -> Iterator[Block]:
    """For each iterative method: its energy, a curve per mask ratio, and the image at each step."""
    descent, trace = read_descent(masked.group.folder), read_csv(masked.group.folder / "trace.csv")
    for name in dict.fromkeys(str(row["method"]) for row in descent.rows):
        steps: dict[str, list[int]] = {}
        for number, row in enumerate(descent.rows):
            if row["method"] == name:
                steps.setdefault(str(row["id"]), []).append(number)
        ratio = str(descent.rows[next(iter(steps.values()))[0]][RATIO])
        key = next(key for key in masked.rows if (key[0], key[3]) == (name, ratio))
        originals, rows = drawing.data.originals(key[1]), []
        for id, numbers in list(steps.items())[:STRIPS]:
            at = masked.rows[key][id]
            frames = [pasted(originals.image(id), descent.images[number], masked.masks[at]) for number in numbers]
            about = [
                (str(descent.rows[number]["step"]), short(float(str(descent.rows[number]["energy"])), 5)) for number in numbers
            ]
            sheet = f"{masked.group.name}-{name}-steps"
            tiles = [
                drawing.sheets.tile(sheet, (id, step), frame, f"{id} by {name} at step {step}, energy {energy}", energy)
                for frame, (step, energy) in zip(frames, about, strict=True)
            ]
            seen = _seen(masked, at, originals, id, drawing)
            rows.append((Cell(text=originals.sources[id]), [drawing.original(originals.name, id), seen, *tiles]))
        yield Text(sentences=[DESCENT])
        drawn = [
            {"name": f"{percent(row['term'].removeprefix(TERM))} hidden", **{key: float(row[key]) for key in ("step", "value")}}
            for row in trace
            if row["method"] == name and row["term"].startswith(TERM)
        ]
        spec = lines(
            drawn, "step", "value", order=list(dict.fromkeys(str(row["name"]) for row in drawn)), titles=("steps", "energy")
        )
        yield Chart(
            title=f"{masked.labels[name]}: energy over steps", spec=spec, caption="The model's energy, mean over pictures."
        )
        longest = max(steps.values(), key=len)
        heads = ("Original", "Visible", *(f"step {descent.rows[number]['step']}" for number in longest))
        title = f"{masked.labels[name]}, step by step"
        caption = f"The picture at each step with its energy, {percent(ratio)} hidden."
        yield Pictures(
            id=f"energy-{masked.group.name}-{name}", title=title, rows=rows, caption=caption, heads=heads, style="dense"
        )
