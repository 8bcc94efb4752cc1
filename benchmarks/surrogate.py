"""Does a learned surrogate predict another network's embedding, and does it improve an inversion?

    python -m benchmarks.surrogate --folder PHOTOS --weights models/weights --out docs/results/surrogate.csv

Splits are those of benchmarks.inversion. The surrogate is trained on the training photographs, as `train_surrogate` states. On
the test photographs, paired and with intervals: the cosine of the predicted to the true embedding, against that of the nearest
training image and of the mean embedding; then a recipe with and without the term, by the cosine of the reconstruction's
embedding to the original's, by that of a network that took no part, and by PSNR. The first network is the one in the term: a
better value there alone means that the term was satisfied, not that the image is better. Writes the columns of comparisons.csv
and a `.json`.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.clouds import compared, same_trunk
from benchmarks.common import commit, prepare, provenance
from benchmarks.embeddings import Extractors
from benchmarks.inversion import split_of
from relume.core.config import build, entry, read_params
from relume.core.errors import UserError, one_of
from relume.core.files import Scratch, write_csv, write_json
from relume.core.images import to_float
from relume.core.run import Run
from relume.core.runtime import describe, deterministic, device_of
from relume.data.store import Dataset
from relume.evaluation.comparison import COMPARISONS, Record
from relume.evaluation.pixel import psnr
from relume.methods.optimise.config import InversionConfig, merge_recipe, variation
from relume.methods.optimise.infer import invert, work
from relume.methods.optimise.terms import Surrogate
from relume.methods.surrogate.config import SurrogateConfig
from relume.methods.surrogate.train import FeatureReader, SurrogateTrainer, floors, pairs
from relume.networks.weights import WeightStore
from relume.training.loop import train
from relume.training.trainer import Setup

WITHOUT = "without"
WORDS = {"floor_nearest": "the nearest training picture's", "floor_mean": "the mean embedding", "ridge": "the ridge regression"}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Inputs of both comparisons."""

    run: Run
    dataset: Dataset
    split: str
    count: int | None  # the first pictures of the split; None: all
    store: WeightStore
    device: torch.device

    @property
    def rows(self) -> list[int]:
        return self.dataset.select(self.split, self.count)

    def compared(self, said: Mapping[str, object], a: Tensor, b: Tensor, *, proves: bool = True) -> Record:
        sources = [self.dataset.index[row]["source"] for row in self.rows]
        labels = {**said, "dataset": self.dataset.name, "size": self.dataset.size, "device": describe(self.device)}
        return compared(labels, a, b, sources, seed=self.run.seed, proves=proves)


def learn(bench: Bench, config: SurrogateConfig) -> tuple[SurrogateTrainer, int]:
    """The surrogate, and the best step of its training by validation; 0: the ridge regression itself."""
    own = Setup(name="surrogate", config=config, run=bench.run, dataset=bench.dataset, store=bench.store, device=bench.device)
    trainer = SurrogateTrainer(own)
    return trainer, train(trainer).best_step


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return F.cosine_similarity(a.flatten(1).double(), b.flatten(1).double(), dim=1).cpu()


@torch.no_grad()
def predictions(bench: Bench, trainer: SurrogateTrainer, best_step: int) -> Iterator[Record]:
    """The surrogate against baselines without training."""
    config, module = trainer.config, trainer.module
    extractors = FeatureReader(dataset=bench.dataset, store=bench.store, device=bench.device, micro_batch=bench.run.micro_batch)
    held = pairs(extractors, config, bench.rows)
    reached, others = cosine(module.predict(held.inputs), held.outputs), floors(module, trainer.learned, held)
    if best_step:
        now = {name: value.clone() for name, value in module.state_dict().items()}
        module.load_state_dict(trainer.initial)
        others["ridge"] = module.predict(held.inputs)
        module.load_state_dict(now)
    said = {"question": "prediction", "a": "surrogate", "network": config.network, "tap": "+".join(config.taps)}
    for name, seen in others.items():
        yield bench.compared({**said, "b": WORDS[name], "metric": metric_of(config)}, reached, cosine(seen, held.outputs))


def metric_of(config: SurrogateConfig) -> str:
    return f"cosine_{config.target.network}_{config.target.tap}"


def reconstruct(bench: Bench, config: InversionConfig, asked: Surrogate) -> np.ndarray:
    """uint8 (N, H, W, 3), the restart of each picture that the objective selects."""
    with tempfile.TemporaryDirectory() as temporary:
        prepared = work(
            name=f"surrogate x {config.losses.surrogate:g}" if config.losses.surrogate else WITHOUT,
            config=config,
            run=bench.run,
            dataset=bench.dataset,
            store=bench.store,
            device=bench.device,
            scratch=Scratch(Path(temporary)),
            surrogate=asked,
        )
        pictures, rows, _, _ = invert(prepared)
    return pictures[[place for place, row in enumerate(rows) if row.selected]]


def inversions(
    bench: Bench, trainer: SurrogateTrainer, recipe: InversionConfig, strengths: Sequence[float], extractor: str
) -> Iterator[Record]:
    """Inversions with the term, at each weight, against inversions without it."""
    target, originals = trainer.config.target, bench.dataset.images[bench.rows]
    asked = Surrogate(network=target.network, tap=target.tap, predict=frozen(trainer))
    extractors = Extractors(store=bench.store, device=bench.device, micro_batch=bench.run.micro_batch)
    networks = {metric_of(trainer.config): (target.network, target.tap), f"cosine_{extractor}_pool": (extractor, "pool")}
    true = {metric: extractors.see(network, originals, (tap,))[tap] for metric, (network, tap) in networks.items()}

    def scores(strength: float) -> dict[str, Tensor]:
        pictures = reconstruct(bench, with_surrogate(recipe, strength), asked)
        seen = {metric: extractors.see(network, pictures, (tap,))[tap] for metric, (network, tap) in networks.items()}
        return {
            **{metric: cosine(values, true[metric]) for metric, values in seen.items()},
            "psnr": psnr(to_float(pictures), to_float(originals)).double(),
        }

    without = scores(0.0)
    for strength in strengths:
        said = {"question": "inversion", "a": f"surrogate x {strength:g}", "b": WITHOUT}
        said |= {"network": recipe.network, "tap": "+".join(recipe.taps)}
        for metric, values in scores(strength).items():
            proves = metric not in networks or not same_trunk(networks[metric][0], recipe.network)
            yield bench.compared({**said, "metric": metric}, values, without[metric], proves=proves)


def frozen(trainer: SurrogateTrainer) -> torch.nn.Module:
    return trainer.module.eval().requires_grad_(False)


def settings(
    params: Mapping[str, Any], model: str, recipe: str, dataset: str, split: str, count: int | None
) -> tuple[SurrogateConfig, InversionConfig]:
    """The surrogate, and the recipe without the term, from params.yaml, for the photographs."""
    for key, name, known in (("--model", model, params["train_surrogate"]["models"]), ("--recipe", recipe, params["recipes"])):
        if name not in known:
            raise UserError(f"{key}: params.yaml has no {name!r}; {one_of(known, name)}")
    images = f"data/images/{dataset}"
    own = merge_recipe(params["train_surrogate"]["models"][model], {"features": images, "target": {"features": images}})
    shared = merge_recipe(params["train_surrogate"]["shared"], {"dataset": dataset})
    config = entry(SurrogateConfig, shared, own, f"train_surrogate.models.{model}")
    section = merge_recipe(params["invert_optimise"], {"dataset": dataset, "split": split, "count": count})
    plan, _ = variation(section, params["losses"], params["recipes"][recipe], f"recipes.{recipe}")
    if plan.network != config.network or not set(config.taps) <= plan.taps.keys():
        wanted = f"{config.network} {'+'.join(config.taps)}"
        raise UserError(f"--recipe: {recipe} inverts {plan.network} {'+'.join(plan.taps)}, and {model} predicts from {wanted}")
    return config, with_surrogate(plan, 0.0)


def with_surrogate(recipe: InversionConfig, weight: float) -> InversionConfig:
    return replace(recipe, losses=replace(recipe.losses, surrogate=weight))


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The photographs.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The table.")
@click.option("--size", type=click.IntRange(min=32), default=128, show_default=True, help="Side of the photographs in pixels.")
@click.option("--split", type=click.Choice(["test", "val"]), default="test", show_default=True, help="val: to tune on.")
@click.option("--count", type=click.IntRange(min=2), help="Only the first photographs of the split are scored.")
@click.option("--model", default="surrogate_conv5", show_default=True, help="Of train_surrogate.models.")
@click.option("--recipe", default="deep", show_default=True, help="The recipe that is run with the term and without.")
@click.option("--strength", "strengths", type=click.FloatRange(min=0, min_open=True), multiple=True, default=[1.0])
@click.option("--judge", "extractor", default="vgg16_conv", show_default=True, help="A network that takes no part.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of params.yaml's.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Instead of params.yaml's.")
def main(
    folder: Path,
    weights: tuple[Path, ...],
    out: Path,
    size: int,
    split: str,
    count: int | None,
    model: str,
    recipe: str,
    strengths: tuple[float, ...],
    extractor: str,
    device: str | None,
    micro_batch: int | None,
) -> None:
    start, at, params = time.perf_counter(), commit(), read_params(Path("params.yaml"))
    try:
        changes = {key: value for key, value in (("device", device), ("micro_batch", micro_batch)) if value}
        run = build(Run, merge_recipe(params["run"], changes), "run")
        config, plan = settings(params, model, recipe, folder.resolve().name, split, count)
        if extractor in (config.network, config.target.network):
            raise UserError(f"--judge: {extractor} is looked through already: name another network")
        deterministic()
        with tempfile.TemporaryDirectory() as temporary:
            dataset = prepare(folder, Path(temporary, folder.resolve().name), size, None, split_of)
            store, where = WeightStore(*weights), device_of(run)
            bench = Bench(run=run, dataset=dataset, split=split, count=count, store=store, device=where)
            trainer, best_step = learn(bench, config)
            rows = [*predictions(bench, trainer, best_step), *inversions(bench, trainer, plan, strengths, extractor)]
            n, learned = len(bench.rows), len(trainer.train)
    except UserError as error:
        click.secho(f"surrogate: {error}", fg="red", err=True)
        sys.exit(1)
    write_csv(out, COMPARISONS, rows)
    data = f"of the split {split} of {len(dataset.index)}; the surrogate and the guide learn from {learned} others"
    seconds = time.perf_counter() - start
    about = provenance("benchmarks.surrogate", dataset, n=n, data=data, device=where, at=at, seconds=seconds)
    write_json(out.with_suffix(".json"), {**about, "penalty": trainer.penalty, "best_step": best_step})


if __name__ == "__main__":
    main()
