"""The long part of a study of latents: search for known latents, train a mapper once, invert features."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from benchmarks.study import Differences
from benchmarks.trainings import trained_once
from relume.core.code import digest_of
from relume.core.config import build, config, entry
from relume.core.files import digest, read_json
from relume.core.run import Run
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.losses.config import Losses
from relume.losses.objective import Objective
from relume.methods.gan.model import TrainedGan
from relume.methods.latent.config import MapperConfig
from relume.methods.latent.model import TrainedMapper, read_mapper
from relume.methods.latent.space import spaces
from relume.methods.latent.train import MapperTrainer
from relume.methods.optimise.config import InversionConfig, InvertOptimise, merge_recipe
from relume.methods.optimise.optimise import Outcome, Problem, Report, optimise
from relume.methods.optimise.targets import Provider
from relume.methods.optimise.terms import Material, objective
from relume.networks.network import load
from relume.networks.weights import WeightStore
from relume.training.models import CARD
from relume.training.trainer import Setup

Space = Literal["z", "w", "w_plus"]
Start = Literal["random", "mean", "given"]
Rate = Annotated[float, Field(gt=0)]
LEARNS = ("relume.methods.latent.train", "relume.training.loop", "relume.training.models")  # what a training runs


@config
class Known:
    """The search for known, drawn latents."""

    count: int = Field(ge=2)
    restarts: int = Field(ge=1)
    steps: int = Field(ge=1)
    rate: Rate
    spaces: tuple[Space, ...] = Field(min_length=1)


@config
class Starts:
    """Features of pictures inverted from several starts, each at the rate that was best on validation pictures."""

    steps: int = Field(ge=3)  # of random and mean starts; a mapper's has a third of them
    rates: tuple[Rate, ...] = Field(min_length=1)
    validation: int = Field(ge=2)
    test: int = Field(ge=2)


@config
class LatentStudy:
    """A study file."""

    run: Differences = Field(default_factory=dict)  # differences from params.yaml's
    known: Known
    mapper: Differences  # network, taps, and differences from params.yaml's train_mapper.shared
    starts: Starts


@dataclass(frozen=True, kw_only=True)
class Bench:
    run: Run
    device: torch.device
    store: WeightStore
    dataset: Dataset
    trained: TrainedGan
    usual: Mapping[str, Any]  # params.yaml's invert_optimise

    def settings(self, space: str, start: str, steps: int, rate: float, **differences: Any) -> InvertOptimise:
        """Adam in this space with a cosine schedule."""
        optimiser = {"rule": "adam", "normalise_gradient": False, "learning_rate": [[0, rate]], "warmup": 0, "cosine": True}
        bare = {"views": {"transforms": [], "ensemble": 1}, "sizes": [], "switches": [], "restarts": 1, "trace_every": 1}
        latent = {"kind": "latent", "space": space, "start": start, "noise": False}
        own = {**bare, "optimiser": optimiser, "steps": steps, "parametrisation": latent, **differences}
        return build(InvertOptimise, merge_recipe(self.usual, own), "benchmark")


def known(bench: Bench, space: str, wanted: Known) -> np.ndarray:
    """PSNR in dB of the best restart, by its error, of each drawn latent's picture: (count,)."""
    config = bench.settings(space, "random", wanted.steps, wanted.rate, restarts=wanted.restarts, trace_every=wanted.steps)
    width, made, found = max(1, bench.run.micro_batch // wanted.restarts), bench.trained.generator, []
    for at in range(0, wanted.count, width):
        numbers = range(at, min(at + width, wanted.count))
        with torch.no_grad():
            truth = made(made.draw([generator(bench.run.seed, "truth", number) for number in numbers]))
        ids = [(number, restart) for number in numbers for restart in range(wanted.restarts)]
        outcome = _sought(bench, config, truth.repeat_interleave(wanted.restarts, 0), ids)
        errors = outcome.objective.double().cpu().view(-1, wanted.restarts).min(1).values
        found.append(-10 * errors.clamp_min(1e-10).log10())
    return torch.cat(found).numpy()


def _sought(bench: Bench, config: InvertOptimise, pictures: Tensor, ids: Sequence[tuple[int, int]]) -> Outcome:
    """The generator's own pictures, found again by their pixels."""
    problem = Problem(
        size=pictures.shape[-1],
        objective=_alone(config, Losses(pixel=1.0), bench.device),
        networks={},
        targets={},
        restarts=config.restarts,
        start=torch.zeros_like(pictures),
        originals=pictures,
        generators=[generator(bench.run.seed, "start", *one) for one in ids],
        space=spaces(bench.trained.generator),
        run=bench.run,
    )
    return optimise(problem, config, lambda report: None)


@dataclass(frozen=True, kw_only=True)
class Descents:
    curve: np.ndarray  # (steps + 1, N): the lowest feature loss after so many steps
    images: Tensor  # (N, 3, size, size): of the lowest


def descents(bench: Bench, mapper: TrainedMapper, rows: Sequence[int], start: Start, *, steps: int, rate: float) -> Descents:
    """Features at the mapper's taps inverted in the mapper's space."""
    taps = {"network": mapper.network, "taps": dict.fromkeys(mapper.taps, 1.0)}
    config = bench.settings(mapper.space, start, steps, rate, **taps)
    provider = Provider(bench.dataset, {mapper.network: load(mapper.network, bench.store, bench.device)}, bench.device)
    found = [
        _descended(bench, config, provider, mapper, part, given=start == "given") for part in _parts(rows, bench.run.micro_batch)
    ]
    curve = np.minimum.accumulate(np.concatenate([one.curve for one in found], axis=1), axis=0)
    return Descents(curve=curve, images=torch.cat([one.images for one in found]))


def _alone(config: InvertOptimise, losses: Losses, device: torch.device) -> Objective:
    whole = InversionConfig(**{field.name: getattr(config, field.name) for field in fields(config)}, losses=losses)
    return objective(whole, Material(store=WeightStore(), device=device))


def _parts(rows: Sequence[int], width: int) -> list[Sequence[int]]:
    return [rows[at : at + width] for at in range(0, len(rows), width)]


def _descended(
    bench: Bench, config: InvertOptimise, provider: Provider, mapper: TrainedMapper, rows: Sequence[int], *, given: bool
) -> Descents:
    features, size = provider.features(rows, {mapper.network: mapper.taps}), bench.dataset.size
    latents = mapper.latents(features[mapper.network]) if given else None
    problem = Problem(
        size=size,
        objective=_alone(config, Losses(feature=1.0), bench.device),
        networks=provider.networks,
        targets=features,
        start=torch.zeros(len(rows), 3, size, size, device=bench.device),
        originals=None,
        generators=[generator(bench.run.seed, "start", name) for name in bench.dataset.ids([*rows])],
        space=spaces(bench.trained.generator, latents),
        run=bench.run,
    )
    reports: list[Report] = []
    outcome = optimise(problem, config, reports.append)
    curve = torch.stack([report.terms["objective"].double().cpu() for report in reports]).numpy()
    return Descents(curve=curve, images=outcome.images.cpu())


def best_rate(bench: Bench, mapper: TrainedMapper, start: Start, steps: int, wanted: Starts) -> float:
    """The rate with the lowest mean final loss on validation pictures."""
    rows = bench.dataset.select("val", wanted.validation)

    def reached(rate: float) -> float:
        return float(descents(bench, mapper, rows, start, steps=steps, rate=rate).curve[-1].mean())

    return min(wanted.rates, key=reached)


def mapper_config(study: LatentStudy, params: Mapping[str, Any], dataset: str, name: str) -> MapperConfig:
    own = {"dataset": dataset, "generator": f"models/gan/{name}", **study.mapper}
    return entry(MapperConfig, params["train_mapper"]["shared"], own, "study.mapper")


def taught(bench: Bench, config: MapperConfig, work: Path, generator_sha: str) -> TrainedMapper:
    """The mapper, trained if missing. A killed training resumes."""
    key = digest([asdict(config), asdict(bench.run), bench.dataset.manifest["index_sha256"], generator_sha, digest_of(LEARNS)])
    folder = work / key
    own = Setup(name=key, config=config, run=bench.run, dataset=bench.dataset, store=bench.store, device=bench.device)
    trained_once(work, folder, key, lambda: MapperTrainer(own, bench.trained), device=bench.device)
    return read_mapper(folder, bench.device)


def mapper_record(mapper: TrainedMapper, work: Path) -> dict[str, Any]:
    """The mapper's entry in the `.json`."""
    found = read_json(work / mapper.name / CARD)
    config = found["config"]
    about = {key: found[key] for key in ("parameters", "best_step", "seconds", "device")}
    about |= {key: config[key] for key in ("network", "taps", "space", "architecture", "losses")}
    return {**about, **{key: config["training"][key] for key in ("steps", "batch", "learning_rate")}}
