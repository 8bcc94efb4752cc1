"""From trained masked models to tables: predictions of models and baselines, their scores, and the record of each training."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks.inversion import DRAWS
from benchmarks.masked_runs import Bench, Taught
from benchmarks.masked_study import FLOORS, MaskedStudy, Plan
from relume.core.code import digest_of
from relume.core.files import cell as written
from relume.core.files import digest, read_csv, write_csv, write_json
from relume.core.results import GREY, RATIO, read_masked_group, write_group
from relume.core.runtime import describe
from relume.core.sheet import save_sheet
from relume.evaluation.comparison import COMPARISONS, MASKED, Record, against_floors, answers, masked_board
from relume.evaluation.config import Probe
from relume.evaluation.evidence import Cell, gather, hidden
from relume.evaluation.masked import fillers
from relume.evaluation.metrics import SETS
from relume.evaluation.perceptual import LPIPS_METRICS, extractor
from relume.evaluation.pixel import psnr
from relume.evaluation.probe import PROBE, table
from relume.evaluation.scoring import MASKED_COLUMNS, Scorer, read, score
from relume.evaluation.sets import MetricNetwork, open_metric_network, set_rows
from relume.losses.config import LPIPS
from relume.methods.masked.infer import Predictor, predictors, reconstruct
from relume.methods.masked.model import read_masked, represent
from relume.networks.weights import WeightStore
from relume.training.models import HISTORY

FILLS = ("relume.methods.masked.infer", "relume.methods.masked.model", "relume.evaluation.masked")  # code that predicts
PROBES = ("relume.evaluation.probe", "relume.methods.masked.model")
CURVE = 4  # number of last validations in the `.json`


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Networks for the scores, loaded before the first training."""

    scorer: Scorer
    metric_network: MetricNetwork | None


def networks(bench: Bench, study: MaskedStudy, store: WeightStore) -> Judges:
    """Raises by name if something is missing."""
    asked = [name for name in study.metrics if name in LPIPS_METRICS]
    for name in [*asked, *(LPIPS[LPIPS_METRICS[metric]] for metric in asked), *([study.sets.network] if study.sets else [])]:
        store.folder(name)
    run, dataset = bench.run, bench.dataset
    scorer = Scorer(
        datasets={dataset.name: dataset},
        extractor=extractor(asked, [], store, bench.device),
        scales={},
        metrics=asked,
        micro_batch=run.micro_batch,
        device=bench.device,
    )
    return Judges(
        scorer=scorer,
        metric_network=open_metric_network(study.sets, [dataset.size], store, device=bench.device, micro_batch=run.micro_batch),
    )


def fill_all(bench: Bench, study: MaskedStudy, planned: Plan, done: Mapping[str, Taught]) -> list[str]:
    """A group for the baselines and one for each model; their folders."""
    if study.floors:
        _fill(bench, planned, FLOORS, {"sha256": study.floors}, partial(_floors, bench, study))
    for name in planned.predictors:
        _fill(bench, planned, name, done[name].card, partial(_model, bench, planned, name))
    return [*([FLOORS] if study.floors else []), *planned.predictors]


def _fill(bench: Bench, planned: Plan, name: str, card: Mapping[str, Any], read: Callable[[], Sequence[Predictor]]) -> None:
    """Reused while weights, pictures, masks and code are the same."""
    config = replace(planned.group, models=())
    key = digest([name, card.get("sha256"), asdict(config), asdict(bench.run), bench.common["pictures"], digest_of(FILLS)])
    folder = bench.group(name)
    if (folder / "index.csv").exists() and read_masked_group(folder)[0].method.get("digest") == key:
        return
    found = reconstruct(read(), bench.dataset, config, bench.run, bench.device)
    method = {"config": asdict(config), "digest": key, "device": describe(bench.device)}
    if "parameters" in card:
        method["parameters"] = {name: card["parameters"]}
    write_group(
        folder, images=found.images, masks=found.masks, ratios=found.ratios, rows=found.rows, method=method, timing=found.timing
    )


def _floors(bench: Bench, study: MaskedStudy) -> list[Predictor]:
    known = fillers(bench.dataset, "test")
    return [Predictor(name=name, family="floor", predict=known[name]) for name in study.floors]


def _model(bench: Bench, planned: Plan, name: str) -> list[Predictor]:
    return predictors([read_masked(bench.model(name), bench.device)], bench.dataset, planned.group)


def score_all(bench: Bench, folders: Sequence[str], by: Judges) -> None:
    """Writes a table per group below `methods`."""
    for name in tqdm(folders, desc="scores", unit="group"):
        group, masks = read(bench.group(name))
        write_csv(bench.root / "methods" / f"{name}.csv", MASKED_COLUMNS, score(group, by.scorer, masks=masks))


def sets_of(bench: Bench, folders: Sequence[str], by: Judges) -> list[Record]:
    """All groups as one, so that the originals are embedded once."""
    if by.metric_network is None:
        return []
    groups, masks = zip(*(read_masked_group(bench.group(name)) for name in folders), strict=True)
    together = replace(
        groups[0],
        images=np.concatenate([group.images for group in groups]),
        index=[row for group in groups for row in group.index],
    )
    wanted = {row["id"] for row in together.index}
    index = [row if row["id"] in wanted else {**row, "split": "left out"} for row in bench.dataset.index]
    datasets = {bench.dataset.name: replace(bench.dataset, index=index)}
    return set_rows(together, np.concatenate(masks), datasets, by.metric_network, bench.run.seed)


def cells_of(bench: Bench, folders: Sequence[str]) -> list[Cell]:
    """In a folder without the groups of other studies."""
    with tempfile.TemporaryDirectory() as temporary:
        methods, reconstructions = Path(temporary, "methods"), Path(temporary, "reconstructions")
        for room, ending in ((methods, ".csv"), (reconstructions, "")):
            room.mkdir()
            for name in folders:
                (room / f"{name}{ending}").symlink_to((bench.root / room.name / f"{name}{ending}").resolve())
        return gather(folders, methods=methods, reconstructions=reconstructions, images=bench.images)


def probe_all(bench: Bench, config: Probe, done: Mapping[str, Taught]) -> list[dict[str, str]]:
    """Reused while models, pictures and code are the same."""
    weights = {name: done[name].card["sha256"] for name in config.models}
    path = bench.root / "probe" / f"{digest([asdict(config), weights, bench.common['pictures'], digest_of(PROBES)])}.csv"
    if not path.exists():
        models = {name: read_masked(bench.model(name), bench.device) for name in config.models}
        readers = {
            name: partial(represent, model, bench.dataset, micro_batch=bench.run.micro_batch) for name, model in models.items()
        }
        write_csv(path, PROBE, table(bench.dataset, readers, config))
    return read_csv(path)


def trainings(bench: Bench, done: Mapping[str, Taught]) -> dict[str, dict[str, Any]]:
    """The cost of each training, and its last validations: [step, PSNR of hidden pixels in dB]."""
    return {name: _training(bench.model(name), one.card) for name, one in done.items()}


def _training(folder: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    training = card["config"]["training"]
    looks = [row for row in read_csv(folder / HISTORY) if row["term"] == "val/psnr_masked"]
    return {
        **{key: card[key] for key in ("parameters", "seconds", "device", "commit", "best_step")},
        "steps": training["steps"],
        "batch": training["batch"],
        "pictures_seen": training["steps"] * training["batch"],
        "train": card["data"]["train"],
        "validation": [[int(row["step"]), float(row["value"])] for row in looks[-CURVE:]],
    }


def told_colours(bench: Bench, study: MaskedStudy) -> float:
    """Mean PSNR in dB of test pictures whose cells have their true mean colours: a reference that knows the answer.

    Over whole pictures, so it is what to expect over any hidden part of them.
    """
    found = []
    for row in bench.dataset.select("test", study.test):
        image = bench.dataset.pixels([row])
        means = F.avg_pool2d(image, study.cell).repeat_interleave(study.cell, 2).repeat_interleave(study.cell, 3)
        found.append(float(psnr(means, image)))
    return round(sum(found) / len(found), 2)


def report(
    bench: Bench,
    planned: Plan,
    cells: Sequence[Cell],
    *,
    sets: Sequence[Record],
    probe: Sequence[Mapping[str, str]],
    about: Mapping[str, object],
    out: Path,
) -> None:
    """Writes the tables and a `.json` beside each."""
    plain = [{key: written(value) for key, value in row.items()} for row in sets]  # as they would be read back
    compared = [*against_floors(cells, [], DRAWS), *answers(cells, planned.questions, DRAWS)]
    tables: dict[str, tuple[Sequence[str], Sequence[Mapping[str, object]]]] = {
        "": (MASKED, masked_board(cells, DRAWS, plain, probe)),
        "_comparisons": (COMPARISONS, compared),
    }
    tables |= {"_sets": (SETS, sets)} if sets else {}
    tables |= {"_probe": (PROBE, probe)} if probe else {}
    for ending, (columns, rows) in tables.items():
        path = out.with_name(f"{out.stem}{ending}.csv")
        write_csv(path, columns, rows)
        write_json(path.with_suffix(".json"), about)


def draw(bench: Bench, planned: Plan, cells: Sequence[Cell], pictures: int, out: Path) -> None:
    """At the study's last ratio: what is visible, the best baseline, every model's prediction pasted, the original."""
    ratio = f"{planned.group.ratios[-1]:g}"
    there = [cell for cell in cells if float(cell.ratio) == float(ratio)]
    floor = max((cell for cell in there if cell["family"] == "floor"), key=lambda cell: cell.mean("psnr_masked"), default=None)
    shown = [*([floor] if floor else []), *(cell for cell in reversed(there) if cell["family"] != "floor")]
    rows = bench.dataset.select("test", planned.group.count)
    rows = [rows[place] for place in np.linspace(0, len(rows) - 1, min(pictures, len(rows))).round().astype(int)]
    originals = bench.dataset.images[rows]
    columns: dict[str, np.ndarray] = {}
    for cell in shown:
        predicted, dark = _filled(bench, cell, bench.dataset.ids(rows))
        columns.setdefault("visible", np.where(dark, np.uint8(GREY), originals))
        columns[f"{cell['method'].removeprefix('floor_')} {cell.mean('psnr_masked'):.2f} dB"] = np.where(
            dark, predicted, originals
        )
    columns["original"] = originals
    title = f"{bench.dataset.name}, {bench.dataset.size} px, {hidden(ratio)}; dB over hidden pixels, mean of {len(there[0].ids)}"
    save_sheet(out, list(columns), [(title, np.stack(list(columns.values()), axis=1))])


def _filled(bench: Bench, cell: Cell, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (K, H, W, 3), and where they were needed (K, H, W, 1)."""
    group, masks = read_masked_group(bench.group(FLOORS if cell["family"] == "floor" else cell["method"]))
    found = {row["id"]: at for at, row in enumerate(group.index) if (row["method"], row[RATIO]) == (cell["method"], cell.ratio)}
    places = [found[id] for id in ids]
    size = bench.dataset.size // masks.shape[-1]
    return group.images[places], masks[places].repeat(size, 1).repeat(size, 2)[..., None]
