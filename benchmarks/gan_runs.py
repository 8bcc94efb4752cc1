"""The long part of a study of generators: images are prepared once, seconds per step measured once, each model trained once."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from benchmarks.study import Differences
from benchmarks.trainings import alone, trained_once
from relume.core.code import digest_of
from relume.core.config import config, entry, merge
from relume.core.files import digest, read_json, write_json
from relume.core.run import Run
from relume.core.runtime import describe, device_of
from relume.core.samples import write_samples
from relume.data.archives import images_in
from relume.data.pictures import Contents, held_out, limited
from relume.data.store import Dataset
from relume.data.trees import by_folder, classes
from relume.data.write import write
from relume.evaluation.config import Sets
from relume.methods.gan.config import GanConfig
from relume.methods.gan.train import GanTrainer
from relume.networks.weights import WeightStore
from relume.training.config import Name
from relume.training.loop import TrainState
from relume.training.trainer import Setup

LEARNS = ("relume.methods.gan.train", "relume.training.loop", "relume.training.models", "relume.methods.gan.samples")
PLAN = "plan.json"
WARM, PACED = 2, 32  # steps of each before those whose mean is its pace; what is done now and then is among so many


@config
class GanStudy:
    """A study file."""

    pixels: int = Field(ge=8)
    train: int | None = Field(ge=1)  # a random so many; null: all
    validation: int = Field(ge=2)  # held out from the training pictures
    test: int | None = Field(ge=2)  # likewise
    seconds: float = Field(gt=0)  # of each model's steps; on a processor, of all its cores together
    looks: int = Field(ge=1)  # validations
    count: int = Field(ge=2)  # samples of each model
    patches: int = Field(ge=2)  # per side, of the baseline of shuffled patches
    sets: Sets  # networks that measure the distance between sets of pictures
    run: Differences = Field(default_factory=dict)  # differences from params.yaml's
    shared: Differences = Field(default_factory=dict)  # differences from params.yaml's train_gan.shared, for all models
    models: dict[Name, Differences] = Field(min_length=1)

    def __post_init__(self) -> None:
        if self.pixels % self.patches:
            raise ValueError(f"patches: pictures of {self.pixels} px cannot be cut into {self.patches} per side")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Inputs shared by all models of a study."""

    root: Path  # the work folder
    run: Run
    dataset: Dataset
    device: torch.device
    code: str  # digest of the training code
    commit: str

    @property
    def common(self) -> list[Any]:
        """What every training depends on besides its configuration."""
        return [asdict(self.run), self.dataset.manifest["index_sha256"], self.code, describe(self.device)]


def configs(study: GanStudy, params: Mapping[str, Any], dataset: str) -> dict[str, GanConfig]:
    """Raises for every fault of the file, before any work. `planned` sets the number of steps."""
    drawn = {"drawn": {"count": study.count}, "dataset": dataset}
    shared = merge(merge(params["train_gan"]["shared"], drawn | {"withheld": 0}), study.shared)
    return {name: entry(GanConfig, shared, own, f"study.models.{name}") for name, own in study.models.items()}


def bench_of(study: GanStudy, run: Run, data: Path, work: Path, at: str) -> Bench:
    dataset = Dataset.open(prepare(study, run.seed, data, work))
    return Bench(root=work, run=run, dataset=dataset, device=device_of(run), code=digest_of(LEARNS), commit=at)


def prepare(study: GanStudy, seed: int, data: Path, work: Path) -> Path:
    """The tree's `train/` and `test/`, with validation pictures drawn from `train/`. Reused while the files are the same."""
    with alone(work / "images"), tempfile.TemporaryDirectory() as scratch:
        found = images_in(data, Path(scratch))
        files = [(material.name, (data / material.name).stat().st_size) for material in found]
        key = digest([files, study.pixels, study.validation, study.train, study.test, seed])
        folder = work / "images" / key / data.resolve().name
        if not (folder / "manifest.json").exists():
            pictures = by_folder(found, data.name)
            named = classes(pictures)
            pictures = limited(held_out(pictures, study.validation, seed), {"train": study.train, "test": study.test}, seed)
            contents = Contents(pictures=pictures, classes=named, licence="unknown", origin=[])
            write(folder, contents, name=folder.name, size=study.pixels)
    return folder


def planned(bench: Bench, study: GanStudy, wanted: Mapping[str, GanConfig], store: WeightStore) -> dict[str, GanConfig]:
    """Steps that fit the seconds, a multiple of the validation interval. Measured once, so a resumed study uses the same."""
    path = bench.root / PLAN
    key = digest([study.seconds, study.looks, [(name, asdict(one)) for name, one in wanted.items()], bench.common])
    with alone(bench.root / "locks" / "plan"):
        if not path.exists() or read_json(path)["key"] != key:
            write_json(path, {"key": key, "seconds_per_step": paces(bench, wanted, store)})
        pace = read_json(path)["seconds_per_step"]
    return {name: _lasting(one, study, pace[name]) for name, one in wanted.items()}


def _lasting(one: GanConfig, study: GanStudy, pace: float) -> GanConfig:
    log = one.training.log_every
    each = max(1, round(study.seconds / pace / study.looks / log)) * log
    return replace(one, training=replace(one.training, steps=each * study.looks, validate_every=each))


def paces(bench: Bench, wanted: Mapping[str, GanConfig], store: WeightStore) -> dict[str, float]:
    """Mean seconds per step; the models take turns."""
    states = {name: TrainState(GanTrainer(setup(bench, name, one, store))) for name, one in wanted.items()}
    spent = dict.fromkeys(states, 0.0)
    for number in range(WARM + PACED):
        for name, state in states.items():
            taken = _seconds(state, bench.device)
            spent[name] += taken if number >= WARM else 0.0
    return {name: seconds / PACED for name, seconds in spent.items()}


def setup(bench: Bench, name: str, one: GanConfig, store: WeightStore) -> Setup[GanConfig]:
    return Setup(name=name, config=one, run=bench.run, dataset=bench.dataset, store=store, device=bench.device)


def _seconds(state: TrainState, device: torch.device) -> float:
    """Seconds of one step: processor time on a CPU, else wall-clock time after synchronisation."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = clock()
    state.advance()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - started


def taught(bench: Bench, name: str, one: GanConfig, store: WeightStore) -> dict[str, Any]:
    """The model's card. The model is trained and sampled if missing."""
    pace = read_json(bench.root / PLAN)["seconds_per_step"][name]
    card, _ = trained_once(
        bench.root,
        bench.root / "models" / name,
        digest([name, asdict(one), bench.common]),
        lambda: GanTrainer(setup(bench, name, one, store)),
        device=bench.device,
        more={"precision": bench.run.precision, "seconds_per_step": pace},
        also=lambda trainer: write_samples(bench.root / "samples" / name, trainer.drawn()),
    )
    return card
