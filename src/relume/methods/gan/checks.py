"""Cross-section validation of generators' sections and of `score_samples`."""

from collections.abc import Iterator

from relume.core.errors import one_of
from relume.methods.gan.config import GanConfig
from relume.methods.references import SPLITS, Params


def faults(params: Params) -> Iterator[str]:
    for name, config in params.entries("train_gan.models").items():
        yield from _images(f"train_gan.models.{name}", config, params)
    yield from _scored(params)


def _images(path: str, config: GanConfig, params: Params) -> Iterator[str]:
    pixels = params.pixels(config.dataset)
    if pixels is not None and (pixels < 8 or pixels & (pixels - 1)):
        yield f"{path}.dataset: generators make images of 8, 16, 32, … px, those of {config.dataset} have {pixels}"
    for key, split, least in (("withheld", "train", 1 + config.withheld), ("validation", "val", 2)):
        known = params.images(config.dataset, split)
        if known is not None and known < least:
            yield f"{path}.{key}: needs {least} images of {split}, {config.dataset} has {known}"


def _scored(params: Params) -> Iterator[str]:
    config, models = params["score_samples"], params.entries("train_gan.models")
    if config.split not in SPLITS:
        yield f"score_samples.split: unknown split {config.split!r}; {one_of(SPLITS, config.split)}"
        return
    for name, model in ((one, models[one]) for one in config.models if one in models):
        if config.withheld > model.withheld:
            yield f"score_samples.withheld: {config.withheld} is more than train_gan withholds from {name}, {model.withheld}"
        if config.count > model.drawn.count:
            yield f"score_samples.count: {config.count} is more than the samples of {name}, {model.drawn.count}"
        known, pixels = params.images(model.dataset, config.split), params.pixels(model.dataset)
        if known is not None and known < 2:
            yield f"score_samples.split: needs 2 images of {config.split}, {model.dataset} has {known}"
        if pixels is not None and pixels % config.patches:
            yield f"score_samples.patches: images of {pixels} px cannot be cut into {config.patches} per side"
