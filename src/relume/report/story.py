"""The first screens: pictures by depth, the best method at each depth, what stored features leak, what each layer keeps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from relume.report import defences, depths, families
from relume.report.blocks import Cell, Chart, Part, Pictures, Row, Table, Text, Tile, kept, score
from relume.report.charts import BESIDE, Levels, taps
from relume.report.columns import Column, column, number, text
from relume.report.depths import BOUND, Depth, Margin, Network
from relume.report.images import Drawing, pick
from relume.report.leaderboards import Leaderboard, Result, family

HERO, WALK, WORST = 6, 3, 8  # pictures across
METRICS, REID = ("psnr", "lpips_vgg", "feature_error"), "reid_top1"
MATCH, LEAKS = "reid_match", ("reid_match", "top1_agreement", "top5_agreement")  # further columns that tell what leaks


@dataclass(frozen=True, kw_only=True)
class Story:
    """One leaderboard as the first screens show it."""

    drawing: Drawing
    board: Leaderboard
    networks: list[Network]

    @property
    def first(self) -> Network:
        return self.networks[0]

    def tile(self, result: Result, id: str) -> Tile | None:
        return self.drawing.reconstruction(self.drawing.data.entries[result.key], result.name, id)

    def tiles(self, result: Result, ids: list[str]) -> list[Tile | None]:
        return [self.tile(result, id) for id in ids]

    def originals(self, ids: list[str], under: str = "") -> Row:
        return self.drawing.originals(self.board.dataset, ids, under)

    def ids(self, count: int) -> list[str]:
        return pick(self.drawing.data, self.board.dataset, [row.key for row in self.board.rows], count)

    def hero(self) -> Pictures:
        """Originals above the reconstructions from each depth."""
        ids, name = self.ids(HERO), self.first.label
        rows = [self.originals(ids, f"{self.board.dataset}, {self.board.size} px")]
        rows += [(_depth_cell(one), self.tiles(one.best, ids)) for one in self.first.single]
        used = dict.fromkeys(families.about(one.best.cells["family"]) for one in self.first.single)
        caption = f"The same pictures, reconstructed from each layer of {name} by the method with the best mean PSNR there."
        caption += " Other layers were not inverted. The pictures were chosen without knowledge of the scores."
        caption = " ".join([caption, *filter(None, used)])
        return Pictures(id="hero", title=f"{name}, from shallow to deep", rows=rows, caption=caption, wipe=True, style="hero")

    def answers(self) -> list[Part]:
        spent = defences.part(self.drawing.data.table("defences"), self.drawing.level)
        return [self.researcher(), self.privacy(), *([spent] if spent else []), self.teacher()]

    def researcher(self) -> Part:
        sentences = [sentence for network in self.networks for sentence in depths.researcher(network)]
        blocks = kept(Text(sentences=sentences), self.best(), self.by_depth(self.first, "psnr"))
        lead = "For researchers: which method is best, by how much, and how sure that is."
        return Part(id="researcher", title="The best method at each depth", lead=lead, blocks=blocks)

    def best(self) -> Table:
        """The best method at each depth of every network."""
        columns = [text("place", "Features"), text("method", "Best method"), column("psnr")]
        columns += [text("gain", "Over baseline, dB"), text("ahead", "Over runner-up, dB"), column("lpips_vgg")]
        baseline = self.board.no_information
        known = f"Baseline: the best no-information baseline ({baseline.label})." if baseline else "No baseline."
        counts = ", ".join(f"{n} pictures from {sources} photographs" for n, sources in sorted(self.board.counts))
        note = f"PSNR with its {self.drawing.level} interval; photographs are resampled ({counts}). {known}"
        note += " Significant: compared picture by picture, the mean difference has an interval without zero."
        rows = [self._row(one) for network in self.networks for one in network.depths]
        if any("not paired" in cell.marks for row in rows for cell in row):
            note += " Not paired: only the two means were compared, so there is no interval."
        return Table(id="best", title="Best method by mean PSNR", columns=columns, rows=rows, note=note)

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
        used = dict.fromkeys((str(point["kind"]), str(point["name"])) for point in points)
        # in one order, so that a family has its colour; its best method first
        names = {one: kind for of in self.board.families for kind, one in used if kind == of}
        order = [one.tap for one in network.depths if any(point["tap"] == one.tap for point in points)]
        options = self._leak_options(network) if name == REID else {"levels": self.levels(name)}
        spec = taps(points, "value", order=order, names=names, title=metric.heading, **options)
        caption = f"{metric.title} at the inverted layers of {network.label}. {BESIDE if len(names) > 1 else ''}"
        caption += "A line joins the best of one kind of method"
        caption += "; other shapes: its further methods" if len(names) > len(set(names.values())) else ""
        caption += f"; bars: {self.drawing.level} intervals." if any(row["lo"] is not None for row in points) else "."
        if name == REID:
            caption += f" Dashed: the most that leaks from here or deeper, since deeper features are computed from these. {BOUND}"
        if metric.circular({"network": network.key}):
            caption += " Circular: the metric network is the inverted network, so this is no evidence."
        return Chart(title=f"{metric.title} at each depth of {network.label}", spec=spec, caption=caption, height=260)

    def _points(self, network: Network, name: str) -> Iterator[dict[str, object]]:
        """The best method of a family has the family's name."""
        for one in network.single if name == REID else network.depths:
            seen: set[str] = set()
            for result in [leak.result for leak in one.leaks] if name == REID else one.results:
                value, kind = number(result.cells[name]), family(result, self.drawing.data.families)
                if value is not None:
                    lo, hi = (number(result.cells.get(f"{name}_{end}", "")) for end in ("lo", "hi"))
                    about: dict[str, object] = {"tap": one.tap, "name": result.label if kind in seen else kind, "kind": kind}
                    about |= {"method": result.method, "joined": "+" not in one.tap and kind not in seen}
                    yield {**about, "value": value, "lo": lo, "hi": hi}
                    seen.add(kind)

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
        told = f"From stored {last.tap} features of {self.first.label}, {depths.leaked(last.leak)}"
        if last.leak is None:
            told = f"Re-identification from {self.first.label} {last.tap} was not measured."
        elif match := column(MATCH).show(last.leak.result.cells.get(MATCH, "")):
            told += " That is a search. A stricter test is a threshold of similarity that 1% of unrelated pairs pass (a"
            told += f" false-accept rate of 1%): {match} of the reconstructions pass it with their original."
        blocks = kept(Text(sentences=[f"{told} {BOUND}"]), self.leaks(), self.by_depth(self.first, REID), self.worst(last))
        lead = "For privacy engineers: how many pictures are re-identified from stored features."
        return Part(id="privacy", title="What stored features leak", lead=lead, blocks=blocks)

    def leaks(self) -> Table:
        """The strongest attack at each depth."""
        further = [column(name) for name in LEAKS if any(row.cells.get(name) for row in self.board.rows)]
        columns = [text("place", "Stored features"), text("attack", "Strongest attack"), column(REID)]
        columns += [Column(name="chance", title="Chance"), *further]
        rows = []
        found = [(one.leak, network.bound(one.tap)) for network in self.networks for one in network.single]
        for leak, most in found:
            if leak is not None and most is not None:
                deeper = "" if most.share == leak.share else f"at least {most.share:.0%}, from {most.result.cells['tap']}"
                under = "; ".join(filter(None, (column(REID).interval(leak.result.cells), deeper)))
                share = Cell(text=f"{leak.share:.0%}", under=under)
                chance = Cell(text=f"{leak.chance:.1%}", under=f"1 of {leak.candidates:.0f}")
                others = [score(known, leak.result.cells) for known in further]
                rows.append([Cell(text=leak.result.place), leak.result.cell, share, chance, *others])
        note = f"Re-identified, with {self.drawing.level} interval: another network, not a person, finds the original the most"
        note += f" similar of the candidates. An interval that includes chance shows no leak. {self._matched()}Same class, in top"
        note += " 5: a classifier's first answer for the original is its first for the reconstruction, or among its first five."
        return Table(id="leaks", title="Re-identification by the strongest attack", columns=columns, rows=rows, note=note)

    def _matched(self) -> str:
        pairs = max((number(row.cells.get("reid_pairs", "")) or 0 for row in self.board.rows), default=0)
        return f"Matched: more alike than 99% of {pairs:,.0f} unrelated pairs (false-accept rate 1%). " if pairs else ""

    def worst(self, depth: Depth) -> Pictures | None:
        """The pictures that the strongest attack at this depth gives away most: the best ranked, then the highest PSNR."""
        if depth.leak is None:
            return None
        result, entry = depth.leak.result, self.drawing.data.entries[depth.leak.result.key]
        ids = sorted(entry.rows, key=lambda id: (entry.ranks.get(id, float("inf")), -entry.psnr.get(id, 0)))[:WORST]
        rows = [self.originals(ids), (Cell(text="Reconstruction", under=result.label), self.tiles(result, ids))]
        caption = f"From {result.place}: the pictures whose original ranks best among the candidates, then those of highest PSNR."
        return Pictures(id="worst", title="The pictures that leak most", rows=rows, caption=caption, style="dense")

    def teacher(self) -> Part:
        ids, pixels = self.ids(WALK), 3 * int(self.board.size) ** 2
        rows = [self.originals(ids)]
        for one in self.first.single:
            sentences = " ".join(depths.walk(one, self.board, pixels))
            rows.append((Cell(text=one.tap, under=sentences), self.tiles(one.best, ids)))
        lead = f"For teachers: a walk through {self.first.label}, and what of a picture each layer still determines."
        caption = "Reconstructions by the best method at each layer, with PSNR. A mosaic of 4 × 4: mean colours of 4 × 4 squares."
        blocks = [Pictures(id="walk", title="Layer by layer", rows=rows, caption=caption, wipe=True, style="walk")]
        return Part(id="teacher", title="What each layer keeps", lead=lead, blocks=blocks)

    def overview(self) -> Iterator[tuple[str, str, list[Tile]]]:
        """The overview: the hero's rows."""
        for cell, tiles in self.hero().rows:
            yield cell.text, cell.under.replace("; ", "\n").replace(" (", "\n("), [tile for tile in tiles if tile is not None]


def _depth_cell(one: Depth) -> Cell:
    found = depths.leak(one.best)
    share = f"; {found.share:.0%} re-identified" if found else ""
    return Cell(text=one.tap, under=f"{one.best.label}; {one.best.score:.1f} dB{share}")


def _margin(one: Margin | None, other: str = "") -> Cell:
    if one is None:
        return Cell(text="")
    under = "; ".join(filter(None, (one.interval, other)))
    return Cell(text=column("psnr").show(one.diff), under=under, marks=(one.decision,))
