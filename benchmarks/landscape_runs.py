"""The long part of a study of landscapes: each theta is trained once and kept, rates are selected, searches are run."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmarks.study import Differences
from benchmarks.trainings import trained_once
from relume.core.code import digest_of
from relume.core.config import config
from relume.core.files import NONE, digest
from relume.core.run import Run
from relume.core.runtime import describe, device_of
from relume.data.store import Dataset
from relume.methods.gan.model import TrainedGan
from relume.methods.landscape.config import Betas, Interval, InvertLandscape, LandscapeConfig, Way
from relume.methods.landscape.infer import Descents, Search, invert, search
from relume.methods.landscape.train import LandscapeTrainer, fingerprint
from relume.networks.weights import WeightStore
from relume.training.trainer import Setup

Start = Literal["mean", "noise", "mapper"]
Pace = tuple[float, Betas]
Found = dict[tuple[str, int], Descents]  # by method and seed
PUBLISHED = "published"
LEARNS = ("relume.methods.landscape.train", "relume.training.loop", "relume.training.models")


@config
class LandscapeStudy:
    """A study file."""

    pictures: int = Field(ge=2)  # the first of the test split, on which methods are judged
    tuning: int = Field(ge=2)  # the first of the validation split, on which rates are chosen
    seeds: int = Field(ge=1)  # of theta's training and of random starts
    steps: int = Field(ge=1)  # the smaller number of steps
    long: int = Field(ge=1)  # the larger number of steps
    rates: tuple[float, ...] = Field(min_length=1)  # of Adam, to choose from for every method and number of steps
    betas: tuple[Betas, ...] = Field(min_length=1)  # of Adam, likewise
    published: tuple[float, Betas] | None = None  # rate and betas of plain inference from noise in the publication
    run: Differences = Field(default_factory=dict)  # differences from params.yaml's
    shared: Differences = Field(default_factory=dict)  # differences from params.yaml's train_landscape.shared

    def __post_init__(self) -> None:
        if self.long < self.steps:
            raise ValueError(f"long: at least steps, {self.steps}, is wanted; got {self.long}")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Inputs shared by all landscapes of a study."""

    root: Path  # the work folder
    study: LandscapeStudy
    run: Run
    dataset: Dataset
    store: WeightStore
    trained: TrainedGan
    config: LandscapeConfig
    mapper: Path | None
    landscapes: Sequence[Path] = ()  # trained ones; none: one per seed is trained

    @property
    def starts(self) -> list[Start]:
        return ["mean", "noise", "mapper"] if self.mapper else ["mean", "noise"]


def taught(bench: Bench, seed: int) -> Path:
    """The folder of the landscape of this seed, trained if missing. A killed training resumes."""
    run, name, device = replace(bench.run, seed=seed), f"landscape_{seed}", device_of(bench.run)
    about = [asdict(run), asdict(bench.config), fingerprint(bench.trained.generator), bench.dataset.manifest["index_sha256"]]
    key, folder = digest([about, digest_of(LEARNS), describe(device)]), bench.root / "models" / name
    own = Setup(name=name, config=bench.config, run=run, dataset=bench.dataset, store=bench.store, device=device)
    trained_once(bench.root, folder, key, lambda: LandscapeTrainer(own, bench.trained), device=device)
    return folder


def searches(bench: Bench) -> list[Search]:
    """One landscape per seed, or those that are given."""
    shared: dict[str, Any] = {"dataset": bench.dataset, "store": bench.store, "trained": bench.trained, "mapper": bench.mapper}
    folders = bench.landscapes or [taught(bench, seed) for seed in range(bench.study.seeds)]
    return [search(landscape=folder, device=device_of(bench.run), run=bench.run, **shared) for folder in folders]


def asked(bench: Bench, methods: Mapping[str, Way], seeds: Sequence[int]) -> InvertLandscape:
    return InvertLandscape(
        dataset=bench.dataset.name,
        split="test",
        count=None,
        generator=bench.config.generator,
        landscape="models/landscape/theta",
        mapper=f"models/mapper/{bench.mapper.resolve().name}" if bench.mapper else str(NONE),
        seeds=tuple(seeds),
        interval=Interval(resamples=1000, level=0.95),
        methods=dict(methods),
    )


def ways(bench: Bench, kind: str, steps: int, pace: Callable[[str], Pace]) -> dict[str, Way]:
    """`plain` or `landscape` from all starts. Rate and betas are looked up by name."""
    names = {called(kind, start, steps): start for start in bench.starts}
    return {
        name: Way(start=start, theta=kind == "landscape", steps=steps, learning_rate=pace(name)[0], betas=pace(name)[1])
        for name, start in names.items()
    }


def called(kind: str, start: str, steps: int) -> str:
    return f"{kind}_{start}_{steps}"


def rated(bench: Bench, made: Search) -> dict[str, Pace]:
    """For each method the rate and betas with the lowest final loss on validation pictures; the only ones need no search."""
    if len(bench.study.rates) == len(bench.study.betas) == 1:
        return defaultdict(lambda: (bench.study.rates[0], bench.study.betas[0]))
    study, rows = bench.study, bench.dataset.select("val", bench.study.tuning)
    losses: dict[str, dict[Pace, float]] = {}
    for pace in product(study.rates, study.betas):
        tried = ways(bench, "plain", study.long, lambda _, pace=pace: pace)  # type: ignore[misc]
        tried |= ways(bench, "landscape", study.steps, lambda _, pace=pace: pace)  # type: ignore[misc]
        for (name, _), one in invert(made, asked(bench, tried, [0]), rows).items():
            losses.setdefault(name, {})[pace] = float(one.best[:, -1].mean())
            short = name.replace(f"_{study.long}", f"_{study.steps}")
            losses.setdefault(short, {})[pace] = float(one.best[:, study.steps].mean())
    return {name: min(found, key=found.__getitem__) for name, found in losses.items()}


def judged(bench: Bench, made: Sequence[Search], paces: Mapping[str, Pace], rows: Sequence[int]) -> Found:
    """Descents for the test pictures. A theta and its random starts have the same seed."""
    study, pace = bench.study, paces.__getitem__
    plain = ways(bench, "plain", study.steps, pace) | ways(bench, "plain", study.long, pace)
    if study.published:
        rate, betas = study.published
        plain[PUBLISHED] = Way(start="noise", theta=False, steps=study.long, learning_rate=rate, betas=betas)
    found = invert(made[0], asked(bench, plain, range(study.seeds)), rows)
    through = ways(bench, "landscape", study.steps, pace)
    for seed, one in enumerate(made):
        found |= invert(one, asked(bench, through, [seed]), rows)
    return found
