"""What must agree between `train_masked`, `reconstruct_masked` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from relume.core.errors import one_of
from relume.data.checks import asked
from relume.methods.masked.config import MODELS, MaskedConfig, ReconstructMasked

FLOOR = "floor_"  # what floors' names begin with


def between(built: Mapping[str, Any], models: Mapping[str, MaskedConfig], taken: Iterable[str]) -> Iterable[str]:
    """`taken`: names of other methods and groups, which a model or a group of these cannot have."""
    shared, datasets, others = built["train_masked"].shared, built["prepare"].datasets, set(taken)
    if models and shared.dataset not in datasets:
        yield f"train_masked.shared.dataset: {shared.dataset!r} is not prepared; {one_of(datasets, shared.dataset)}"
    for name, config in models.items():
        path = f"train_masked.models.{name}"
        if name in others or name.startswith(FLOOR):
            yield f"{path}: the name belongs to another method"
        if config.dataset != shared.dataset:
            yield f"{path}.dataset: all masked models share train_masked.shared.dataset, {shared.dataset!r}"
        elif config.dataset in datasets:
            yield from _cells(f"{path}.masks.cell", config.masks.cell, datasets[config.dataset].size)
        yield from _tokenizer(path, config, models)
    yield from _groups(built, models, others)


def _cells(path: str, cell: int, size: int) -> Iterable[str]:
    if size % cell or size < 2 * cell:
        yield f"{path}: pictures of {size} px are not made of cells of {cell} px"


def _tokenizer(path: str, config: MaskedConfig, models: Mapping[str, MaskedConfig]) -> Iterable[str]:
    """BEiT's is trained, and of the kind that BEiT states."""
    if not config.tokenized:
        return
    name = config.tokenizer.removeprefix(f"{MODELS}/")
    found = models.get(name)
    if found is None or found.architecture.kind != "tokenizer":
        kinds = [other for other, its in models.items() if its.architecture.kind == "tokenizer"]
        yield f"{path}.tokenizer: {name} is no trained tokenizer; {one_of(kinds, name)}"
    elif asdict(config.architecture)["tokenizer"] != asdict(found.architecture) or config.masks.cell != found.masks.cell:
        yield f"{path}.architecture.tokenizer: it and masks.cell must be those of train_masked.models.{name}"


def _groups(built: Mapping[str, Any], models: Mapping[str, MaskedConfig], others: set[str]) -> Iterable[str]:
    """Groups are of pictures that are prepared, and not of those that were learned from; a model is in one of them at most."""
    datasets, seen, filled = built["prepare"].datasets, dict[str, str](), dict[tuple[str, float], str]()
    for group, config in built["reconstruct_masked"].items():
        path = f"reconstruct_masked.{group}"
        if group in others:
            yield f"{path}: the name belongs to another group"
        yield from asked(path, config, datasets)
        if config.dataset in datasets:
            yield from _cells(f"{path}.cell", config.cell, datasets[config.dataset].size)
        if config.split == "train":
            yield f"{path}.split: the models have learned from split train: name another"
        for ratio in config.ratios:
            if other := filled.get((config.dataset, ratio)):
                yield f"{path}.ratios: {other} hides {ratio:g} of {config.dataset} already, and has the same floors"
            filled[config.dataset, ratio] = group
        for name in config.models:
            yield from _member(f"{path}.models", name, config, models, datasets)
            if name in seen:
                yield f"{path}.models: {name} stands in {seen[name]} already"
            seen[name] = group


def _member(
    path: str, name: str, group: ReconstructMasked, models: Mapping[str, MaskedConfig], datasets: Mapping[str, Any]
) -> Iterable[str]:
    if name not in models:
        yield f"{path}: {name} is not in train_masked.models; {one_of(models, name)}"
        return
    learned = models[name]
    sizes = [datasets[one.dataset].size for one in (learned, group) if one.dataset in datasets]
    if learned.architecture.kind == "tokenizer":
        yield f"{path}: {name} is a tokenizer: it is shown what is hidden, so it predicts nothing"
    elif learned.masks.cell != group.cell:
        yield f"{path}: {name} has learned with cells of {learned.masks.cell} px, here they have {group.cell}"
    elif len(set(sizes)) > 1:
        yield f"{path}: {name} has learned with pictures of {sizes[0]} px, those of {group.dataset} have {sizes[1]}"
