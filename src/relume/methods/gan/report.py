"""Generators in the report: samples beside real images, latent interpolations, distances with baselines."""

from collections.abc import Iterator, Sequence
from math import inf

from relume.core.samples import Samples, read_samples
from relume.report.blocks import Block, Cell, Part, Pictures, Table, Text, Tile, table
from relume.report.columns import column
from relume.report.data import Table as Rows
from relume.report.images import Drawing, spread
from relume.report.labels import BASELINE, network, words
from relume.report.leaderboards import Result

GAN, REAL, WITHHELD = "gan", "real", "withheld"  # kinds of rows in sets.csv, besides baselines
SETS = {"originals@test": "held-out pictures", f"{BASELINE}_train": "training pictures"}
SHOWN, ACROSS, STEPS = 32, 8, 12  # samples, and half as many real images; in a row; images of an interpolation
LEAD = (
    "A generator makes pictures from random latents. Its quality is the distance between the embeddings of its samples and those"
    " of real pictures that it was not trained on. Baselines: the training pictures themselves are the distance of pure"
    " memorisation; the same pictures with shuffled patches have the right colours and textures, but no larger structure."
)
NOTE = (
    "Under KID its interval, from halves of the sources; undecided: the intervals overlap. The Frechet distance grows as n falls:"
    " compare it at equal n only. Held-out pictures: one half of their sources against the other. Withheld: other crops of the"
    " training photographs."
)


def parts(drawing: Drawing) -> Iterator[Part]:
    data = drawing.data
    found = [read_samples(data.folders.samples / row["name"]) for row in data.sets if row["kind"] == GAN]
    blocks: list[Block] = []
    for dataset in dict.fromkeys(one.about.dataset for one in found):
        rows = [row for row in data.sets if row["dataset"] == dataset]
        for one in (one for one in found if one.about.dataset == dataset):
            texts = [finding(one.about.name, distances(rows, kinds), to) for kinds, to in _KINDS if distances(rows, kinds)]
            blocks += [Text(sentences=texts), *_pictures(one, drawing)]
        blocks += [_table(dataset, ranked, to) for kinds, to in _KINDS if (ranked := distances(rows, kinds))]
    yield Part(id="generators", title="Generators", lead=LEAD, blocks=blocks)


_KINDS = (((GAN, BASELINE, REAL), "held-out pictures"), ((WITHHELD,), "withheld training pictures"))


def _table(dataset: str, ranked: Sequence[Result], to: str) -> Table:
    by_cells = {id(row.cells): row for row in ranked}
    nets = "; ".join(dict.fromkeys(network(row.cells["net"]) for row in ranked))
    return table(
        f"distances-{dataset}-{to.split()[0]}",
        f"Distance to {to} of {dataset}",
        [column(name) for name in ("name", "kid", "fd", "n")],
        [row.cells for row in ranked],
        note=f"Embeddings: {nets}. {NOTE}",
        sorted="kid",
        name=lambda cells: by_cells[id(cells)].cell,
    )


def distances(rows: Rows, kinds: Sequence[str]) -> list[Result]:
    """Smallest first."""
    found = []
    for row in (row for row in rows if row["kind"] in kinds):
        name = row["name"].removesuffix(f"@{WITHHELD}")
        floor = row["kind"] in (BASELINE, REAL) or name.startswith(BASELINE)
        plain = name.removesuffix(f"_{row['dataset']}")
        label = SETS.get(plain) or words(plain)
        found.append(Result(cells=row | {"method": name}, label=label, metric="kid", baseline=floor))
    return sorted(found, key=lambda row: row.score)


def finding(name: str, ranked: Sequence[Result], to: str) -> str:
    """The distance of its samples to real images, and which baselines it is nearer than."""
    own = next((row for row in ranked if row.method == name), None)
    if own is None:
        return f"{name}: the distance to {to} was not measured."
    interval = f" ({column('kid').interval(own.cells)})" if own.interval else ""
    told = f"{own.label}: KID {column('kid').show(own.cells['kid'])}{interval} to {to}, n = {own.cells['n']}"
    against: dict[str, list[str]] = {}
    for row in (row for row in ranked if row.baseline and row.cells["kind"] != REAL):
        (_, high), (low, _) = sorted([one.interval or (-inf, inf) for one in (own, row)])
        word = "undecided against" if low <= high else "nearer than" if own.score < row.score else "farther than"
        against.setdefault(word, []).append(row.label)
    words = [f"{word} {' and '.join(labels)}" for word, labels in against.items()]
    return f"{told}: {', '.join(words)}." if words else f"{told}. No baseline was measured, so there is no evidence."


def _pictures(samples: Samples, drawing: Drawing) -> Iterator[Pictures]:
    about, sheets, originals = samples.about, drawing.sheets, drawing.data.originals(samples.about.dataset)
    drawn = [
        sheets.tile(f"samples-{about.name}", at, one, f"Sample {at + 1} of {about.name}")
        for at, one in enumerate(samples.images[:SHOWN])
    ]
    unseen = {id for id in originals.rows if originals.splits[id] != "train"} or set(originals.rows)
    real = [drawing.original(about.dataset, id) for id in spread(originals, unseen, SHOWN // 2)]
    rows = [*_rows("Samples", drawn), *_rows("Real, held out", real)]
    truncation = "without truncation" if about.truncation == 1 else f"with truncation {about.truncation:g}"
    caption = f"Samples: the first of {about.n:,} drawn with seed {about.seed}, {truncation}; none was selected."
    title = f"{words(about.name)}: {about.dataset} at {about.size} px"
    yield Pictures(id=f"samples-{about.name}", title=title, rows=rows, caption=caption, style="dense")
    walks = []
    for at, way in enumerate(samples.walk, 1):
        steps = [way[round(step * (len(way) - 1) / (STEPS - 1))] for step in range(STEPS)] if len(way) > STEPS else way
        alts = (f"Step {step} of interpolation {at}" for step in range(1, STEPS + 1))
        tiles = [sheets.tile(f"ways-{about.name}", alt, one, alt) for alt, one in zip(alts, steps, strict=False)]
        walks.append((Cell(text=f"Interpolation {at}"), tiles))
    caption = "From one random latent to another. Sharp pictures in between suggest that the generator has not only memorised."
    yield Pictures(id=f"ways-{about.name}", title="Between two latents", rows=walks, caption=caption, style="dense")


def _rows(name: str, tiles: Sequence[Tile]) -> list[tuple[Cell, Sequence[Tile]]]:
    return [(Cell(text="" if at else name), tiles[at : at + ACROSS]) for at in range(0, len(tiles), ACROSS)]
