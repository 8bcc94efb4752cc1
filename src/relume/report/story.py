"""The first screens: pictures from shallow to deep, then an answer each for a researcher, for privacy, and for a teacher."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from relume.report import defences, depths
from relume.report.blocks import Cell, Chart, Part, Pictures, Row, Table, Text, Tile, kept, score
from relume.report.charts import Levels, taps
from relume.report.columns import Column, column, number, text
from relume.report.data import ReportData
from relume.report.depths import BOUND, Depth, Margin, Network
from relume.report.images import Sheets, original, pick, reconstruction
from relume.report.leaderboards import Leaderboard, Result, family

HERO, WALK, WORST = 6, 3, 5  # pictures across
METRICS, REID = ("psnr", "lpips_vgg", "feature_error"), "reid_top1"
MATCH, LEAKS = "reid_match", ("reid_match", "top1_agreement", "top5_agreement")  # further columns that tell what leaks


@dataclass(frozen=True, kw_only=True)
class Story:
    """One leaderboard as the first screens show it."""

    data: ReportData
    board: Leaderboard
    networks: list[Network]
    sheets: Sheets
    level: str

    @property
    def first(self) -> Network:
        return self.networks[0]

    def tile(self, result: Result, id: str) -> Tile | None:
        originals = self.data.originals(self.board.dataset)
        return reconstruction(self.sheets, originals, self.data.entries[result.key], result.name, id)

    def original(self, id: str) -> Tile:
        return original(self.sheets, self.data.originals(self.board.dataset), id)

    def ids(self, count: int) -> list[str]:
        keys = [row.key for row in self.board.rows]
        return pick(self.data, self.board.dataset, keys, count)

    def hero(self) -> Pictures:
        """Originals above what each depth gives back."""
        ids, network = self.ids(HERO), self.first
        rows: list[Row] = [
            (Cell(text="Original", under=f"{self.board.dataset}, {self.board.size} px"), [self.original(id) for id in ids])
        ]
        rows += [(_depth_cell(one), [self.tile(one.best, id) for id in ids]) for one in network.single]
        caption = (
            f"Each row shows the same pictures, reconstructed from a deeper layer of {network.label} by the best method (PSNR,"
        )
        caption += " mean over all test pictures). The pictures were chosen without knowledge of the scores."
        return Pictures(
            id="hero", title=f"{network.label}, from shallow to deep", rows=rows, caption=caption, wipe=True, style="hero"
        )

    def answers(self) -> list[Part]:
        return [self.researcher(), self.privacy(), self.teacher()]

    def researcher(self) -> Part:
        sentences = [sentence for network in self.networks for sentence in depths.researcher(network)]
        blocks = kept(Text(sentences=sentences), self.best(), self.by_depth(self.first, "psnr"))
        lead = "Which method is best at each depth, by how much, and how sure that is."
        return Part(id="researcher", title="For a researcher", lead=lead, blocks=blocks)

    def best(self) -> Table:
        """The best method at each depth of every network."""
        columns = [text("place", "Inverted"), text("method", "Best method"), column("psnr")]
        columns += [text("gain", "Over the baseline, dB"), text("ahead", "Over the runner-up, dB"), column("lpips_vgg")]
        baseline = self.board.no_information
        known = f"Baseline: {baseline.label}, which knows nothing of the picture." if baseline else "No baseline."
        counts = ", ".join(sorted({n for n, _ in self.board.counts}))
        note = f"PSNR with its {self.level} interval over sources, n = {counts}. {known}"
        note += " Significant: the interval of the paired difference excludes zero. Not paired: a difference of means."
        rows = [self._row(one) for network in self.networks for one in network.depths]
        return Table(id="best", title="The best method at each depth", columns=columns, rows=rows, note=note)

    def _row(self, one: Depth) -> list[Cell]:
        cells, lpips, ahead, other = one.best.cells, column("lpips_vgg"), one.runner_up, one.best_lpips
        by = f"{other.label}: {lpips.show(other.cells['lpips_vgg'])}" if other is not one.best else ""
        runner_up = _margin(ahead, ahead.other.label) if ahead else Cell(text="only method")
        distance = replace(score(lpips, cells), under=by)
        return [Cell(text=one.best.place), one.best.cell, score(column("psnr"), cells), _margin(one.gain), runner_up, distance]

    def by_depth(self, network: Network, name: str) -> Chart | None:
        """A metric over a network's taps, a colour per family; None where it was not measured."""
        metric, points = column(name), list(self._points(network, name))
        if not points:
            return None
        used = {point["name"] for point in points}
        names = [one for one in self.board.families if one in used]  # in one order, so that a family has its colour
        order = [one.tap for one in network.depths if any(point["tap"] == one.tap for point in points)]
        options = self._leak_options(network) if name == REID else {"levels": self.levels(name)}
        spec = taps(points, "value", order=order, names=names, title=metric.heading, **options)
        caption = f"{metric.title} over the depth of {network.label}, {metric.better} is better; a line joins one kind of method"
        caption += f", bars are {self.level} intervals." if any(row["lo"] is not None for row in points) else "."
        if name == REID:
            caption += f" Dashed steps: the most that leaks from here or deeper, which is computed from this. {BOUND}"
        if metric.circular({"network": network.key}):
            caption += " Circular: the metric network is the inverted network, so this is no evidence."
        return Chart(title=f"{metric.title} at each depth of {network.label}", spec=spec, caption=caption, height=260)

    def _points(self, network: Network, name: str) -> Iterator[dict[str, object]]:
        for one in network.single if name == REID else network.depths:
            seen: set[str] = set()
            for result in [leak.result for leak in one.leaks] if name == REID else one.results:
                value, who = number(result.cells[name]), family(result, self.data.families)
                if value is not None:
                    lo, hi = (number(result.cells.get(f"{name}_{end}", "")) for end in ("lo", "hi"))
                    joined = "+" not in one.tap and who not in seen
                    about = {"tap": one.tap, "name": who, "method": result.method, "joined": joined}
                    yield {**about, "value": value, "lo": lo, "hi": hi}
                    seen.add(who)

    def _leak_options(self, network: Network) -> dict[str, Any]:
        bound = [{"tap": one.tap, "bound": most.share} for one in network.single if (most := network.bound(one.tap))]
        chance = next(one.leak.chance for one in network.single if one.leak)
        return {"bound": bound, "levels": [(f"chance {chance:.1%}", chance)], "format": ".0%", "domain": [0, 1]}

    def levels(self, name: str) -> Levels:
        baseline = self.board.no_information
        value = None if baseline is None else number(baseline.cells[name])
        found = [] if baseline is None or value is None else [(baseline.label, value)]
        return [*found, ("mean feature", 1.0)] if name == "feature_error" else found

    def privacy(self) -> Part:
        last = self.first.single[-1]
        told = f"A stored {last.tap} embedding of {self.first.label} gives pictures away: {depths.leaked(last.leak)}"
        if last.leak is None:
            told = f"Re-identification from {self.first.label} {last.tap} was not measured."
        elif match := column(MATCH).show(last.leak.result.cells.get(MATCH, "")):
            told += f" At a false-accept rate of 1%, {match} match their original."
        spent = defences.fold(self.data.defences, self.level)
        blocks = kept(Text(sentences=[f"{told} {BOUND}"]), self.leaks(), self.by_depth(self.first, REID), spent, self.worst(last))
        lead = "What a stored embedding of these networks gives away."
        return Part(id="privacy", title="For privacy", lead=lead, blocks=blocks)

    def leaks(self) -> Table:
        """The strongest attack at each depth."""
        further = [column(name) for name in LEAKS if any(row.cells.get(name) for row in self.board.rows)]
        columns = [text("place", "Stored"), text("attack", "Strongest attack here"), column(REID)]
        columns += [Column(name="chance", title="Chance"), *further, text("bound", "At least")]
        rows = []
        found = [(one.leak, network.bound(one.tap)) for network in self.networks for one in network.single]
        for leak, most in found:
            if leak is not None and most is not None:
                share = Cell(text=f"{leak.share:.0%}", under=column(REID).interval(leak.result.cells))
                chance = Cell(text=f"{leak.chance:.1%}", under=f"1 of {leak.candidates:.0f}")
                cells = leak.result.cells
                others = [score(known, cells) for known in further]
                least = Cell(text=f"{most.share:.0%}", under="" if most is leak else f"from {most.result.cells['tap']}")
                rows.append([Cell(text=leak.result.place), leak.result.cell, share, chance, *others, least])
        note = "Re-identified: the nearest of the candidates, in a network that was not inverted, is the original, with its"
        note += f" {self.level} interval. {self._matched()}Same class, in top 5: a classifier's first answer for the original"
        note += " is its first, or among its first five. At least: the most that any attack reaches from here or deeper."
        note += f" {BOUND}"
        return Table(id="leaks", title="What leaks at each depth", columns=columns, rows=rows, note=note)

    def _matched(self) -> str:
        pairs = max((number(row.cells.get("reid_pairs", "")) or 0 for row in self.board.rows), default=0)
        few = "; 0.1% would need 1,000" if pairs < 1000 else ""
        text = f"Matched: more alike than 99% of {pairs:,.0f} pairs of unrelated candidates (a false-accept rate of 1%{few}). "
        return text if pairs else ""

    def worst(self, depth: Depth) -> Pictures | None:
        """The pictures that the strongest attack at this depth gives away most: the best ranked, then the highest PSNR."""
        if depth.leak is None:
            return None
        result, entry = depth.leak.result, self.data.entries[depth.leak.result.key]
        ids = sorted(entry.rows, key=lambda id: (entry.ranks.get(id, float("inf")), -entry.psnr.get(id, 0)))[:WORST]
        rows: list[Row] = [(Cell(text="Original"), [self.original(id) for id in ids])]
        rows.append((Cell(text="Given back", under=result.name), [self.tile(result, id) for id in ids]))
        caption = f"What {result.label} gives away most from {result.place}: best rank of the original first, then PSNR."
        return Pictures(id="worst", title="The worst examples", rows=rows, caption=caption, style="dense")

    def teacher(self) -> Part:
        ids, pixels = self.ids(WALK), 3 * int(self.board.size) ** 2
        rows: list[Row] = [(Cell(text="Original"), [self.original(id) for id in ids])]
        for one in self.first.single:
            sentences = " ".join(depths.walk(one, self.board, pixels))
            rows.append((Cell(text=one.tap, under=sentences), [self.tile(one.best, id) for id in ids]))
        lead = f"A walk through {self.first.label}: what each layer stores, and what of a picture comes back from it."
        caption = "What comes back from each layer, by the best method there."
        blocks = [Pictures(id="walk", title="Layer by layer", rows=rows, caption=caption, wipe=True, style="walk")]
        return Part(id="teacher", title="For a teacher", lead=lead, blocks=blocks)

    def overview(self) -> Iterator[tuple[str, str, list[Tile]]]:
        """The overview: the hero's rows."""
        for cell, tiles in self.hero().rows:
            yield cell.text, cell.under.replace("; ", "\n"), [tile for tile in tiles if tile is not None]


def _depth_cell(one: Depth) -> Cell:
    found = depths.leak(one.best)
    share = f"; {found.share:.0%} re-identified" if found else ""
    return Cell(text=one.tap, under=f"{one.best.label}; {one.best.score:.1f} dB{share}")


def _margin(one: Margin | None, other: str = "") -> Cell:
    if one is None:
        return Cell(text="")
    under = "; ".join(filter(None, (one.interval, other)))
    return Cell(text=column("psnr").show(one.diff), under=under, marks=(one.decision,))
