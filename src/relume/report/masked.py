"""The section on masked images: scores beside baselines, and example images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from relume.core.results import pasted, visible
from relume.report.charts import Forest, forest
from relume.report.columns import Column, column, signed
from relume.report.data import Originals, ReportData
from relume.report.descents import EnergyDescent, energy_descents
from relume.report.images import data_uri, spread
from relume.report.leaderboards import Ranking, Score
from relume.report.masked_groups import Cells, MaskedGroup, MaskedKey, masked_key, percent

SHARED = ("fd_net", "device")
COLUMNS = [
    column(name)
    for name in (
        *("method", "parameters", "psnr_masked", "psnr_pasted", "ssim_pasted", "lpips_alex", "fd"),
        *("probe_top1", "knn_top1", "seconds_per_image", "n", *SHARED),
    )
]


@dataclass(frozen=True, kw_only=True)
class MaskedResult(Score):
    """A row of masked.csv."""

    METRIC: ClassVar[str] = "psnr_masked"


@dataclass(frozen=True, kw_only=True)
class MaskedImage:
    """One method's: the prediction, and the prediction pasted into the visible part."""

    method: str
    baseline: bool
    predicted: str
    pasted: str
    psnr: float | None


@dataclass(frozen=True, kw_only=True)
class Example:
    """One image and the outputs of all methods."""

    id: str
    source: str
    original: str
    visible: str
    outputs: list[MaskedImage]


@dataclass(frozen=True, kw_only=True)
class MaskedLeaderboard(Ranking[MaskedResult]):
    """A group at one mask ratio. Methods are ranked within it only."""

    SHARED: ClassVar[Sequence[str]] = SHARED
    id: str
    title: str
    hidden: str  # the mask ratio in percent
    masking: str  # how masks are made
    size: int
    text: str = ""
    examples: list[Example] = field(default_factory=list)

    @property
    def known_columns(self) -> Sequence[Column]:
        return COLUMNS

    @property
    def best(self) -> MaskedResult:
        return (self.methods or self.rows)[0]

    @property
    def forest(self) -> Forest:
        return forest(self)


@dataclass(frozen=True, kw_only=True)
class Masked:
    leaderboards: list[MaskedLeaderboard]
    energy_descents: list[EnergyDescent]

    @property
    def headline(self) -> str:
        """The page's first sentence where nothing else was measured."""
        board = self.leaderboards[0]
        return f"With {board.hidden} of an image hidden, {board.best.method} predicts it at {_gain(board, board.best)}"


def section(data: ReportData, count: int, level: float) -> Masked | None:
    """None where no group was masked. `count`: images shown of each mask ratio."""
    if not data.masked_groups:
        return None
    table = {masked_key(row): row for row in data.masked}
    boards = [board for one in data.masked_groups for board in _leaderboards(data, one, table, count, level)]
    descents = [descent for one in data.masked_groups for descent in energy_descents(one, data.originals)]
    return Masked(leaderboards=boards, energy_descents=descents)


def _leaderboards(
    data: ReportData, masked: MaskedGroup, table: dict[MaskedKey, Cells], count: int, level: float
) -> list[MaskedLeaderboard]:
    kinds: dict[tuple[str, ...], list[MaskedKey]] = {}
    for key in masked.rows:
        kinds.setdefault(key[1:], []).append(key)
    return [_leaderboard(data, masked, keys, table, count, level) for keys in kinds.values()]


def _leaderboard(
    data: ReportData, masked: MaskedGroup, keys: Sequence[MaskedKey], table: dict[MaskedKey, Cells], count: int, level: float
) -> MaskedLeaderboard:
    _, dataset, size, ratio = keys[0]
    rows = [MaskedResult(cells=table[key], baseline=key[0] in masked.baselines) for key in keys]
    group = f", {masked.group.name}" if len(data.masked_groups) > 1 else ""
    bare = MaskedLeaderboard(
        id=f"{masked.group.name}-{ratio}",
        title=f"{dataset} at {size} px, {percent(ratio)} hidden{group}",
        hidden=percent(ratio),
        masking=masked.masking,
        size=int(size),
        rows=sorted(rows, key=lambda row: -row.score),
    )
    shown = {row.method for row in (*bare.methods, *filter(None, [bare.no_information]))}
    chosen, originals = [key for key in keys if key[0] in shown], data.originals[dataset]
    ids = spread(originals, masked.rows[chosen[0]], count)
    examples = [_example(masked, chosen, originals, id) for id in ids]
    return MaskedLeaderboard(**{**vars(bare), "text": finding(bare, level), "examples": examples})


def _example(masked: MaskedGroup, keys: Sequence[MaskedKey], originals: Originals, id: str) -> Example:
    truth = originals.image(id)
    outputs = []
    for key in keys:
        row = masked.rows[key][id]
        predicted = masked.group.images[row]
        outputs.append(
            MaskedImage(
                method=key[0],
                baseline=key[0] in masked.baselines,
                predicted=data_uri(predicted),
                pasted=data_uri(pasted(truth, predicted, masked.masks[row])),
                psnr=masked.psnr.get(key, {}).get(id),
            )
        )
    seen = data_uri(visible(truth, masked.masks[masked.rows[keys[0]][id]]))
    return Example(id=id, source=originals.sources[id], original=data_uri(truth), visible=seen, outputs=outputs)


def finding(board: MaskedLeaderboard, level: float) -> str:
    """The best model against the best baseline, and the models that are not above that baseline."""
    best, baseline = board.best, board.no_information
    interval = f"{level:.0%} interval {best.interval_text} dB, " if best.interval else ""
    details = f" over hidden pixels ({interval}n = {best.cells['n']})"
    text = f"{best.method} reaches {_gain(board, best, details)}."
    if baseline is None:
        return f"{text} No baseline was computed on these images, so there is no evidence."
    below = [row.method for row in board.methods if row is not best and row.score <= baseline.score]
    also = "Also not" if best.score <= baseline.score else "Not"
    return f"{text} {also} above that baseline: {', '.join(below)}." if below else text


def _gain(board: MaskedLeaderboard, result: MaskedResult, details: str = "") -> str:
    score, baseline = f"{signed(result.score, 2)} dB{details}", board.no_information
    if baseline is None or baseline is result:
        return score
    gain = result.score - baseline.score
    side = "above" if gain >= 0 else "below"
    return f"{score}, {signed(abs(gain), 2)} dB {side} the best baseline, {baseline.method} ({signed(baseline.score, 2)} dB)"
