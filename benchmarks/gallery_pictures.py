"""The sheets of the gallery, from the pipeline's outputs: images of every method, their scores and the stages that made them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sheet import TILE, Block
from benchmarks.tables import label
from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.results import RATIO, Group, pasted, read_descent, read_group, read_masked_group, visible
from relume.core.samples import read_samples
from relume.tracking.records import IMAGES, PARAMS, RECONSTRUCTIONS, locked, stage_of
from relume.tracking.sheets import kind_of

PHOTOGRAPHS, STRIP, MADE = 3, 2, 8  # rows of a sheet, of the strip of depths; columns of generator samples
SAMPLES = Path("data/samples")


@dataclass(frozen=True, kw_only=True)
class Method:
    """A line below a sheet. `subject`: the input; `score` and the stage, as text."""

    name: str
    subject: str
    score: str
    stage: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    blocks: list[Block]
    methods: list[Method]
    scored: str  # what the scores mean


class Outputs:
    """A project's files, read once."""

    def __init__(self, root: Path) -> None:
        self.root, self._lock = root, locked(root)
        self._groups = read_params(root / PARAMS)["compare"]["groups"]
        self._board = {kind_of(row): row for row in _rows(root / "metrics/leaderboard.csv")}
        self._masked = {(row["method"], row["dataset"], row[RATIO]): row for row in _rows(root / "metrics/masked.csv")}

    def groups(self, stage: str = "") -> Iterator[tuple[Group, str]]:
        """The groups of `stage` (None: all), each with its DVC item."""
        for name in self._groups:
            made = self.stage(RECONSTRUCTIONS / name / "index.csv")
            if not stage or made.split("@")[0] == stage:
                yield read_group(self.root / RECONSTRUCTIONS / name), made

    def stage(self, out: Path) -> str:
        found = stage_of(out, self._lock)
        if not found:
            raise UserError(f"dvc.lock knows no stage that writes {out}: run `dvc repro` first")
        return found

    def originals(self, dataset: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """id -> picture, id -> its photograph."""
        folder = self.root / IMAGES / dataset
        images, rows = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False), _rows(folder / "index.csv")
        pictures = {row["id"]: pixels for row, pixels in zip(rows, images, strict=True)}
        return pictures, {row["id"]: row["source"] for row in rows}

    def score(self, kind: tuple[str, ...]) -> dict[str, str]:
        """The leaderboard's row of a method; a row of masked.csv under the same names for masked methods."""
        row = self._board.get(kind) or self._masked.get((kind[0], kind[1], kind[4]))
        if row is None:
            raise UserError(f"the tables know nothing of {' '.join(filter(None, kind))}: run `dvc repro` first")
        return {end: row.get(f"psnr{end}") or row.get(f"psnr_masked{end}", "") for end in ("", "_lo", "_hi")}

    def taps(self, dataset: str, network: str) -> Sequence[str]:
        """Taps from shallow to deep."""
        path = self.root / "data/features" / dataset / network / "stats.json"
        return [str(tap) for tap in read_json(path)["order"]] if path.exists() else []


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        raise UserError(f"{path} is not there: run `dvc repro` first")
    return read_csv(path)


def _first_of_each(ids: Sequence[str], sources: Mapping[str, str], count: int) -> list[str]:
    """The first picture of each photograph, of the first `count` of these."""
    first: dict[str, str] = {}
    for id in ids:
        first.setdefault(sources[id], id)
    return list(first.values())[:count]


def _large(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 (N, H, W, 3); small ones as sharp squares."""
    batch = np.stack(pictures)
    times = max(1, TILE // batch.shape[1])
    return batch.repeat(times, 1).repeat(times, 2)


def _method(outputs: Outputs, kind: tuple[str, ...], stage: str) -> Method:
    found = outputs.score(kind)
    score = f"{float(found['']):.2f}"
    if found["_lo"]:
        score += f" [{float(found['_lo']):.2f}, {float(found['_hi']):.2f}]"
    subject = (
        f"{label(kind[2])} `{kind[3]}`" if kind[2] else f"{kind[1]}, {100 * float(kind[4]):g} % hidden" if kind[4] else kind[1]
    )
    return Method(name=kind[0], subject=subject, score=score, stage=stage)


def _chosen(group: Group) -> dict[tuple[str, ...], dict[str, np.ndarray]]:
    """The selected pictures of every method of a group, by id."""
    found: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    for row, pixels in zip(group.index, group.images, strict=True):
        if row["selected"] == "true":
            found.setdefault(kind_of(row), {})[row["id"]] = pixels
    return found


def _note(method: Method) -> str:
    return f"{method.score.split()[0]} dB"


def reconstructed(outputs: Outputs, stage: str) -> Sheet:
    """All methods of a stage on one sheet, a row per photograph."""
    made = [(kind, pictures, name) for group, name in outputs.groups(stage) for kind, pictures in _chosen(group).items()]
    if not made:
        raise UserError(f"no group of compare.groups comes from {stage}")
    truth, sources = outputs.originals(made[0][0][1])
    ids = _first_of_each(list(made[0][1]), sources, PHOTOGRAPHS)
    columns, methods = {"original": ("", _large([truth[id] for id in ids]))}, []
    for kind, pictures, name in made:
        methods.append(_method(outputs, kind, name))
        columns[kind[0]] = (f"{kind[3]} {_note(methods[-1])}".strip(), _large([pictures[id] for id in ids]))
    return Sheet(blocks=[Block(title=made[0][0][1], columns=columns)], methods=methods, scored="PSNR, dB ↑")


def filled(outputs: Outputs, stage: str) -> Sheet:
    """Masked models and their floors at the first share of hidden pixels: predictions in the hidden cells."""
    group, name = next(outputs.groups(stage))
    _, masks = read_masked_group(group.folder)
    share = group.index[0][RATIO]
    rows = [number for number, row in enumerate(group.index) if row[RATIO] == share]
    truth, sources = outputs.originals(group.index[0]["dataset"])
    ids = _first_of_each([group.index[number]["id"] for number in rows], sources, PHOTOGRAPHS)
    columns = {"original": ("", _large([truth[id] for id in ids]))}
    methods: dict[tuple[str, ...], list[int]] = {}
    for number in rows:
        methods.setdefault(kind_of(group.index[number]), []).append(number)
    lines = [_method(outputs, kind, name) for kind in methods]
    for line, numbers in zip(lines, methods.values(), strict=True):
        wanted = {group.index[number]["id"]: number for number in numbers}
        seen = [visible(truth[id], masks[wanted[id]]) for id in ids]
        columns.setdefault("visible", ("", _large(seen)))
        columns[line.name] = (_note(line), _large([pasted(truth[id], group.images[wanted[id]], masks[wanted[id]]) for id in ids]))
    title = f"{group.index[0]['dataset']}, {100 * float(share):g} % hidden"
    return Sheet(blocks=[Block(title=title, columns=columns)], methods=lines, scored="PSNR of hidden pixels, dB ↑")


def steps(outputs: Outputs, stage: str) -> Sheet:
    """Iterative masked models: a column per step, with the mean energy of the shown pictures."""
    blocks, methods = [], []
    for group, name in outputs.groups(stage):
        frames: dict[str, list[tuple[Mapping[str, Any], np.ndarray]]] = {}
        descent = read_descent(group.folder)
        for row, pixels in zip(descent.rows, descent.images, strict=True):
            frames.setdefault(str(row["method"]), []).append((row, pixels))
        for method, mine in frames.items():
            blocks.append(_way(method, mine))
            (kind,) = {kind_of(row) for row in group.index if (row["method"], row[RATIO]) == (method, mine[0][0][RATIO])}
            methods.append(_method(outputs, kind, name))
    return Sheet(blocks=blocks, methods=methods, scored="PSNR of hidden pixels, dB ↑")


def _way(method: str, frames: Sequence[tuple[Mapping[str, Any], np.ndarray]]) -> Block:
    ids = list(dict.fromkeys(row["id"] for row, _ in frames))[:PHOTOGRAPHS]
    at: dict[str, list[tuple[float, np.ndarray]]] = {}
    for row, pixels in frames:
        if row["id"] in ids:
            at.setdefault(str(row["step"]), []).append((float(row["energy"]), pixels))
    columns = {
        f"step {step}": (f"energy {np.mean([energy for energy, _ in found]):.0f}", _large([pixels for _, pixels in found]))
        for step, found in at.items()
    }
    return Block(title=method, columns=columns)


def overview(outputs: Outputs, labels: Mapping[str, str]) -> Block:
    """Originals beside the methods in `labels`, a row per photograph."""
    made = {kind: pictures for group, _ in outputs.groups() for kind, pictures in _chosen(group).items() if kind[0] in labels}
    found = {kind[0]: kind for kind in made}
    if missing := labels.keys() - found.keys():
        raise UserError(f"no group of compare.groups has the methods {', '.join(sorted(missing))} of README")
    first = found[next(iter(labels))]
    truth, sources = outputs.originals(first[1])
    ids = _first_of_each(list(made[first]), sources, PHOTOGRAPHS)
    columns = {"original": ("", _large([truth[id] for id in ids]))}
    for method, heading in labels.items():
        score = f"{float(outputs.score(found[method])['']):.1f} dB"
        columns[heading] = (score, _large([made[found[method]][id] for id in ids]))
    return Block(title="Reconstructed from features alone. PSNR: mean over all test images", columns=columns)


def depth(outputs: Outputs) -> Sheet:
    """For every network with several inverted taps: its methods in the order of the taps."""
    networks: dict[tuple[str, str], list[tuple[tuple[str, ...], dict[str, np.ndarray], str]]] = {}
    for group, name in outputs.groups():
        for kind, pictures in _chosen(group).items():
            if kind[3] in outputs.taps(kind[1], kind[2]):
                networks.setdefault((kind[1], kind[2]), []).append((kind, pictures, name))
    blocks, methods = [], []
    for (dataset, network), made in sorted(networks.items()):
        order = outputs.taps(dataset, network)
        made.sort(key=lambda one: order.index(one[0][3]))
        truth, sources = outputs.originals(dataset)
        ids = _first_of_each(list(made[0][1]), sources, STRIP)
        columns = {"original": ("", _large([truth[id] for id in ids]))}
        for kind, pictures, name in made:
            methods.append(_method(outputs, kind, name))
            columns[f"{kind[3]}: {kind[0]}"] = (_note(methods[-1]), _large([pictures[id] for id in ids]))
        blocks.append(Block(title=f"{label(network)}, from shallow to deep", columns=columns))
    return Sheet(blocks=blocks, methods=methods, scored="PSNR, dB ↑")


def samples(outputs: Outputs) -> Sheet:
    """Samples of generators, and interpolations between latents, with their distance from real pictures."""
    blocks, methods = [], []
    for folder in sorted(path for path in (outputs.root / SAMPLES).glob("*") if (path / "samples.json").exists()):
        found = read_samples(folder)
        drawn = found.images[: STRIP * MADE]
        blocks.append(_plain(f"{folder.name}: drawn", drawn[: len(drawn) // STRIP * STRIP].reshape(STRIP, -1, *drawn.shape[1:])))
        blocks.append(_plain(f"{folder.name}: from one latent to another", found.walk[:STRIP]))
        score = next((row for row in _rows(outputs.root / "metrics/samples.csv") if row["name"] == folder.name), None)
        score_text = f"{float(score['fd']):.0f} ({score['net']}, n = {score['n']})" if score else ""
        stage = outputs.stage(SAMPLES / folder.name)
        methods.append(Method(name=folder.name, subject=found.about.dataset, score=score_text, stage=stage))
    return Sheet(blocks=blocks, methods=methods, scored="Fréchet distance ↓")


def _plain(title: str, rows: np.ndarray) -> Block:
    """uint8 (R, C, H, W, 3) without headings."""
    return Block(
        title=title, columns={" " * (column + 1): ("", _large(list(rows[:, column]))) for column in range(rows.shape[1])}
    )


SHEETS: dict[str, Callable[[Outputs], Sheet]] = {
    "depth": depth,
    "optimised": lambda outputs: reconstructed(outputs, "invert_optimise"),
    "decoded": lambda outputs: reconstructed(outputs, "invert_decoder"),
    "latents": lambda outputs: reconstructed(outputs, "invert_latent"),
    "descents": lambda outputs: reconstructed(outputs, "invert_landscape"),
    "floors": lambda outputs: reconstructed(outputs, "floors"),
    "masked": lambda outputs: filled(outputs, "reconstruct_masked"),
    "steps": lambda outputs: steps(outputs, "reconstruct_masked"),
    "samples": samples,
}
