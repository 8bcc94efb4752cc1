"""The long part of a study of masked models: the images are prepared once, each model is trained once and kept."""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.masked_study import MaskedStudy, Plan
from benchmarks.trainings import alone, trained_once
from relume.core.code import digest_of
from relume.core.files import digest
from relume.core.run import Run
from relume.core.runtime import device_of
from relume.data.archives import images_in
from relume.data.pictures import Contents, held_out, limited
from relume.data.store import Dataset
from relume.data.trees import by_folder, classes
from relume.data.write import write
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.train import MaskedTrainer
from relume.networks.weights import WeightStore
from relume.training.loop import TrainState
from relume.training.trainer import Setup

LEARNS = ("relume.methods.masked.train", "relume.training.loop", "relume.training.models")  # what a training runs
WARM, PACED = 2, 8  # warm-up steps, and steps whose median is the pace


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Inputs shared by all models of a study."""

    root: Path  # the work folder
    run: Run
    dataset: Dataset
    images: Path  # the folder that holds the dataset's
    device: torch.device
    code: str  # digest of the training code
    any_code: bool  # models that other code has trained are reused too

    @property
    def common(self) -> dict[str, Any]:
        """What every training depends on besides code. Only validation uses micro-batches; every card names its device."""
        return {
            "seed": self.run.seed,
            "precision": self.run.precision,
            "size": self.dataset.size,
            "pictures": self.dataset.manifest["index_sha256"],
        }

    def group(self, name: str) -> Path:
        return self.root / "reconstructions" / name

    def model(self, name: str) -> Path:
        return self.root / "models" / "masked" / name


def bench_of(study: MaskedStudy, run: Run, data: Path, work: Path, *, any_code: bool = False) -> Bench:
    folder = prepare(study, run.seed, data, work)
    dataset = Dataset.open(folder)
    for split, count in (("train", None), ("val", study.validation), ("test", study.test)):
        dataset.select(split, count)  # raises if there are fewer
    return Bench(
        root=work,
        run=run,
        dataset=dataset,
        images=folder.parent,
        device=device_of(run),
        code=digest_of(LEARNS),
        any_code=any_code,
    )


def prepare(study: MaskedStudy, seed: int, data: Path, work: Path) -> Path:
    """The tree's `train/` and `test/`, with validation pictures drawn from `train/`. Reused while the files are the same."""
    with alone(work / "images"), tempfile.TemporaryDirectory() as scratch:
        found = images_in(data, Path(scratch))
        files = [(material.name, (data / material.name).stat().st_size) for material in found]
        key = digest([files, study.pixels, study.validation, study.train, seed])
        folder = work / "images" / key / data.resolve().name
        if not (folder / "manifest.json").exists():
            pictures = by_folder(found, data.name)
            named = classes(pictures)
            pictures = held_out(pictures, study.validation, seed) if study.validation is not None else pictures
            contents = Contents(
                pictures=limited(pictures, {"train": study.train}, seed), classes=named, licence="unknown", origin=[]
            )
            write(folder, contents, name=folder.name, size=study.pixels)
    return folder


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A trained model."""

    card: dict[str, Any]
    kept: bool  # from an earlier call


def taught_all(bench: Bench, planned: Plan, names: Sequence[str]) -> dict[str, Taught]:
    """Trains in this order; a tokenizer precedes the models that use it."""
    found: dict[str, Taught] = {}
    for name in names:
        given = planned.tokenizers.get(name)
        found[name] = taught(bench, name, planned.models[name], given, found[given].card["sha256"] if given else "")
    return found


def taught(bench: Bench, name: str, config: MaskedConfig, given: str | None, tokenizer: str) -> Taught:
    """The model, trained if missing. If another process trains it, this one waits.

    `given`: the name of its tokenizer, `tokenizer`: the sha256 of that one's weights.
    """
    key, folder = digest([name, asdict(config), tokenizer, bench.common]), bench.model(given) if given else None

    def fits(card: Mapping[str, Any]) -> bool:
        return bench.any_code or card.get("code") == bench.code

    card, kept = trained_once(
        bench.root,
        bench.model(name),
        key,
        lambda: MaskedTrainer(setup(bench, name, config), folder),
        device=bench.device,
        more={"code": bench.code},
        fits=fits,
    )
    return Taught(card=card, kept=kept)


def setup(bench: Bench, name: str, config: MaskedConfig) -> Setup[MaskedConfig]:
    return Setup(name=name, config=config, run=bench.run, dataset=bench.dataset, store=WeightStore(), device=bench.device)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The cost of a model's training on this device."""

    step: float  # seconds: the median of a few
    validation: float  # seconds of one validation

    def steps_in(self, seconds: float) -> int:
        return int(seconds / self.step)


def pace(bench: Bench, name: str, config: MaskedConfig) -> Pace:
    """A dry run with a model and tokenizer of random weights."""
    trainer = MaskedTrainer(setup(bench, name, config), trained=False)
    state = TrainState(trainer)
    taken = [_seconds(state.advance, bench.device) for _ in range(WARM + PACED)][WARM:]
    whole, trainer.val = len(trainer.val), trainer.val[: bench.run.micro_batch]
    trainer.module.eval()
    look = _seconds(trainer.validate, bench.device) * whole / len(trainer.val)
    return Pace(step=statistics.median(taken), validation=look)


def _seconds(work: Any, device: torch.device) -> float:
    """Seconds of one step, after synchronisation."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
