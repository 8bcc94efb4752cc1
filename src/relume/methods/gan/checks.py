"""What must agree between `train_gan`, `score_samples` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import UserError, one_of
from relume.data.checks import SPLITS, there
from relume.evaluation.samples_config import ScoreSamples
from relume.methods.gan.config import Eye, GanConfig, Moments
from relume.networks.catalogue import check_tap, facts

FLOOR = "floor_"  # what floors' names begin with


def between(built: Mapping[str, Any], models: Mapping[str, GanConfig], taken: Iterable[str]) -> Iterable[str]:
    """`taken`: names of other methods, which a generator cannot have."""
    others = set(taken)
    for name, config in models.items():
        path = f"train_gan.models.{name}"
        if name in others or name.startswith(FLOOR):
            yield f"{path}: the name belongs to another method"
        yield from _model(path, config, built)
    yield from _scored(built, models)


def _model(path: str, config: GanConfig, built: Mapping[str, Any]) -> Iterable[str]:
    """DVC reads the dataset in `shared`, so that is where it stands."""
    shared, datasets = built["train_gan"].shared, built["prepare"].datasets
    if config.dataset != shared.dataset:
        yield f"{path}.dataset: all generators share train_gan.shared.dataset, {shared.dataset!r}"
    if config.dataset not in datasets:
        yield f"{path}.dataset: {config.dataset!r} is not prepared; {one_of(datasets, config.dataset)}"
    else:
        yield from _pictures(path, config, datasets[config.dataset])
    size = datasets[config.dataset].pixels if config.dataset in datasets else None
    for at, eye, taps in _lookers(config):
        yield from _eye(f"{path}.{at}", eye, taps, size, built["weights"].networks)


def _pictures(path: str, config: GanConfig, dataset: Any) -> Iterable[str]:
    size, power = dataset.pixels, dataset.pixels.bit_length() - 1
    if size < 8 or size != 2**power:
        yield f"{path}.dataset: generators make pictures of 8, 16, 32, … px, those of {config.dataset} have {size}"
    for split, wanted in (("train", 1 + config.withheld), ("val", config.validation or 2)):
        known = there(dataset, split)
        if known is not None and known < wanted:
            yield f"{path}: {wanted} pictures of {split} are wanted; prepare makes {known}"


def _lookers(config: GanConfig) -> Iterable[tuple[str, Eye | Moments, tuple[str, ...]]]:
    """Who looks at pictures, and at which taps."""
    yield "eye", config.eye, (config.eye.tap,)
    if isinstance(config.duel, Moments):
        yield "duel", config.duel, config.duel.taps


def _eye(path: str, eye: Eye | Moments, taps: Iterable[str], size: int | None, fetched: Iterable[str]) -> Iterable[str]:
    name = eye.network
    if name not in fetched:
        yield f"{path}.network: {name} is not in weights.networks; {one_of(fetched, name)}"
    try:
        for tap in taps:
            check_tap(name, tap)
    except UserError as error:
        yield f"{path}: {error}"
        return
    seen = eye.pixels or size
    if seen is not None and facts(name).any_size and facts(name).min_size > seen:
        yield f"{path}: {name} sees pictures of {facts(name).min_size} px or more, these have {seen}"


def _scored(built: Mapping[str, Any], models: Mapping[str, GanConfig]) -> Iterable[str]:
    config: ScoreSamples = built["score_samples"]
    datasets = built["prepare"].datasets
    if config.split not in SPLITS:
        yield f"score_samples.split: unknown split {config.split!r}; {one_of(SPLITS, config.split)}"
        return
    for name in config.models:
        if name not in models:
            yield f"score_samples.models: {name} is not in train_gan.models; {one_of(models, name)}"
            continue
        if config.withheld > models[name].withheld:
            kept = models[name].withheld
            yield f"score_samples.withheld: {config.withheld} pictures are wanted, {name} has learned from all but {kept}"
        drawn, dataset = models[name].drawn.count, datasets.get(models[name].dataset)
        if config.count > drawn:
            yield f"score_samples.count: {config.count} samples are wanted, train_gan draws {drawn} of {name}"
        if dataset is None:
            continue
        known = there(dataset, config.split)
        if known is not None and known < 2:
            yield f"score_samples.split: prepare.datasets.{models[name].dataset} has {known} pictures in {config.split}"
        if dataset.pixels % config.patches:
            yield f"score_samples.patches: pictures of {dataset.pixels} px cannot be cut into {config.patches} per side"
