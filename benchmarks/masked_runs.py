"""What takes long in a study of masked models: the pictures are prepared once, each model is trained once and kept."""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import commit
from benchmarks.decoder_runs import alone
from benchmarks.masked_study import MaskedStudy, Plan
from relume.core.checkpoint import Checkpoint
from relume.core.code import digest_of
from relume.core.files import Scratch, digest, read_json
from relume.core.run import Run
from relume.core.runtime import describe, device_of
from relume.data.archives import images_in
from relume.data.pictures import Contents, held_out, limited
from relume.data.store import Dataset
from relume.data.trees import by_folder, classes
from relume.data.write import write
from relume.methods.masked import model as masked_models
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.train import MaskedLesson, card, masked_lesson, sheet, validate
from relume.training.loop import Course, train, unwatched
from relume.training.models import CARD, write_model
from relume.training.ranks import ALONE

LEARNS = ("relume.methods.masked.train", "relume.training.loop", "relume.training.models")  # what a training runs
WARM, PACED = 2, 8  # steps before those whose median tells the pace


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all models of a study share."""

    root: Path  # the work folder
    run: Run
    dataset: Dataset
    images: Path  # the folder that holds the dataset's
    device: torch.device
    code: str  # of what trains
    any_code: bool  # models that other code has trained are taken up as well

    @property
    def common(self) -> dict[str, Any]:
        """What every training depends on beside code. Micro-batches are validation's alone; every card names its device."""
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
        dataset.select(split, count)  # so many are there
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
    """The tree's own `train/` and `test/`, validation pictures drawn from `train/`; kept as long as the files are the same."""
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
    """A trained model that is there."""

    card: dict[str, Any]
    kept: bool  # from an earlier call


def taught_all(bench: Bench, planned: Plan, names: Sequence[str]) -> dict[str, Taught]:
    """In this order; a tokenizer stands before who is given it."""
    found: dict[str, Taught] = {}
    for name in names:
        given = planned.tokenizers.get(name)
        found[name] = taught(bench, name, planned.models[name], given, found[given].card["sha256"] if given else "")
    return found


def taught(bench: Bench, name: str, config: MaskedConfig, given: str | None, tokenizer: str) -> Taught:
    """The model made from just this, trained where it is not there; who wants one that another process trains waits for it.

    `given`: the name of its tokenizer, `tokenizer`: the sha256 of that one's weights.
    """
    key = digest([name, asdict(config), tokenizer, bench.common])
    with alone(bench.root / "locks" / name):
        folder = bench.model(name)
        if (folder / CARD).exists() and _fits(bench, found := read_json(folder / CARD), key):
            return Taught(card=found, kept=True)
        _teach(bench, name, config, key, bench.model(given) if given else None)
        return Taught(card=read_json(folder / CARD), kept=False)


def _fits(bench: Bench, found: Mapping[str, Any], key: str) -> bool:
    return found.get("digest") == key and (bench.any_code or found.get("code") == bench.code)


def _teach(bench: Bench, name: str, config: MaskedConfig, key: str, tokenizer: Path | None) -> None:
    """A killed training goes on."""
    at = commit()
    scratch = Scratch(bench.root / "scratch" / digest([key, bench.code, describe(bench.device), torch.__version__]))
    own = masked_lesson(name=name, config=config, run=bench.run, dataset=bench.dataset, device=bench.device, tokenizer=tokenizer)
    trained = train(own.task(), config.training, bench.run, checkpoint=Checkpoint(scratch.path("training.safetensors"), []))
    about: dict[str, Any] = {"digest": key, "code": bench.code, "commit": at, "device": describe(bench.device)}
    about["seconds"] = round(trained.timing[-1]["seconds"], 2)
    write_model(bench.model(name), trained, {**card(own), **about}, sheet(own))
    scratch.clear()


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a model's training takes on this device."""

    step: float  # seconds: the median of a few
    validation: float  # seconds of one look at the validation pictures

    def steps_in(self, seconds: float) -> int:
        return int(seconds / self.step)


def pace(bench: Bench, name: str, config: MaskedConfig) -> Pace:
    """Nothing is learned: the model, and its tokenizer, are drawn and thrown away."""
    lesson = _drawn(bench, name, config)
    course = Course(lesson.task(), config.training, bench.run, watch=unwatched, ranks=ALONE)
    taken = [_seconds(course.advance, bench.device) for _ in range(WARM + PACED)][WARM:]
    few = replace(lesson, val=lesson.val[: bench.run.micro_batch])
    lesson.model.eval()
    look = _seconds(lambda: validate(few), bench.device) * len(lesson.val) / len(few.val)
    return Pace(step=statistics.median(taken), validation=look)


def _drawn(bench: Bench, name: str, config: MaskedConfig) -> MaskedLesson:
    """As `masked_lesson` makes it, but that a tokenizer needs no training first."""
    return MaskedLesson(
        name=name,
        config=config,
        run=bench.run,
        dataset=bench.dataset,
        device=bench.device,
        train=bench.dataset.select("train"),
        val=bench.dataset.select("val"),
        model=masked_models.build(config.architecture, bench.dataset.size, config.masks.cell).to(bench.device),
    )


def _seconds(work: Any, device: torch.device) -> float:
    """With the wait for the device to end it."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
