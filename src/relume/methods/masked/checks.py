"""Cross-section validation of masked models' sections and of `probe`."""

from collections.abc import Iterator
from dataclasses import asdict

from relume.core.errors import one_of
from relume.methods.masked.config import MODELS, STRIDE, MaskedConfig, ReconstructMasked
from relume.methods.references import Params


def faults(params: Params) -> Iterator[str]:
    models = params.entries("train_masked.models")
    for name, config in models.items():
        path = f"train_masked.models.{name}"
        yield from _cells(f"{path}.masks.cell", config.masks.cell, params.pixels(config.dataset))
        yield from _tokenizer(path, config, params)
        if config.architecture.kind == "unet" and (pixels := params.pixels(config.dataset) or 0) % STRIDE:
            yield f"{path}.architecture.kind: unet needs a side that is a multiple of {STRIDE}; {config.dataset} has {pixels} px"
    filled: dict[tuple[str, float], str] = {}
    for group, about in params.entries("reconstruct_masked").items():
        path = f"reconstruct_masked.{group}"
        yield from _cells(f"{path}.cell", about.cell, params.pixels(about.dataset))
        for ratio in about.ratios:
            if (about.dataset, ratio) in filled:
                yield f"{path}.ratios: {filled[about.dataset, ratio]} hides {ratio:g} of {about.dataset}, with the same baselines"
            filled[about.dataset, ratio] = group
        yield from _members(f"{path}.models", about, params)
    yield from _probe(params)


def _cells(path: str, cell: int, pixels: int | None) -> Iterator[str]:
    if pixels is not None and (pixels % cell or pixels < 2 * cell):
        yield f"{path}: must divide the image size, {pixels} px, into at least 2 cells; got {cell}"


def _tokenizer(path: str, config: MaskedConfig, params: Params) -> Iterator[str]:
    """BEiT's tokenizer is trained and has the architecture in BEiT's configuration."""
    models = params.entries("train_masked.models")
    found = models.get(config.tokenizer.removeprefix(f"{MODELS}/")) if config.tokenized else None
    if found is None:
        return
    if found.architecture.kind != "tokenizer":
        kinds = [f"{MODELS}/{other}" for other, its in models.items() if its.architecture.kind == "tokenizer"]
        yield f"{path}.tokenizer: {config.tokenizer} is not a tokenizer; {one_of(kinds)}"
    elif asdict(config.architecture)["tokenizer"] != asdict(found.architecture) or config.masks.cell != found.masks.cell:
        yield f"{path}.architecture.tokenizer: this and masks.cell must equal those of {config.tokenizer}"


def _members(path: str, group: ReconstructMasked, params: Params) -> Iterator[str]:
    """A group's models were trained with its cells and image size."""
    models = params.entries("train_masked.models")
    for name in (one for one in group.models if one in models):
        model = models[name]
        if model.architecture.kind == "tokenizer":
            yield f"{path}: {name} is a tokenizer, not a masked model"
        elif model.masks.cell != group.cell:
            yield f"{path}: {name} needs cells of {model.masks.cell} px, got {group.cell}"
        else:
            yield from _same_pixels(path, name, group.dataset, params)


def _same_pixels(path: str, name: str, dataset: str, params: Params) -> Iterator[str]:
    trained, given = params.pixels(params.entries("train_masked.models")[name].dataset), params.pixels(dataset)
    if None not in (trained, given) and trained != given:
        yield f"{path}: {name} needs images of {trained} px, those of {dataset} have {given}"


def _probe(params: Params) -> Iterator[str]:
    probe, models = params["probe"], params.entries("train_masked.models")
    if probe.models:
        empty = [split for split in ("train", "val", "test") if params.images(probe.dataset, split) == 0]
        yield from (f"probe.dataset: {probe.dataset} has no images in {split}" for split in empty)
    for name in (one for one in probe.models if one in models):
        if models[name].architecture.kind == "tokenizer":
            yield f"probe.models: {name} is a tokenizer: it has no features of whole images"
        else:
            yield from _same_pixels("probe.models", name, probe.dataset, params)
