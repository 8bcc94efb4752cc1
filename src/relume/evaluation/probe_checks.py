"""What must agree between `probe` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import one_of
from relume.data.checks import there
from relume.evaluation.probe_config import SPLITS, Probe
from relume.methods.masked.config import MaskedConfig


def between(built: Mapping[str, Any], models: Mapping[str, MaskedConfig]) -> Iterable[str]:
    """Its pictures are prepared, of the size that its models know."""
    probe: Probe = built["probe"]
    datasets = built["prepare"].datasets
    if probe.dataset not in datasets:
        yield f"probe.dataset: {probe.dataset!r} is not prepared; {one_of(datasets, probe.dataset)}"
        return
    if not probe.models:
        return
    dataset = datasets[probe.dataset]
    for split in SPLITS:
        known, wanted = there(dataset, split), getattr(probe, split)
        if known == 0:
            yield f"probe.dataset: prepare.datasets.{probe.dataset} has no pictures in {split}"
        elif known is not None and wanted is not None and wanted > known:
            yield f"probe.{split}: {wanted} pictures of {split} are wanted; prepare makes {known}"
    for name in probe.models:
        if name not in models:
            yield f"probe.models: {name} is not in train_masked.models; {one_of(models, name)}"
        elif models[name].architecture.kind == "tokenizer":
            yield f"probe.models: {name} is a tokenizer: it has no features of whole pictures"
        elif models[name].dataset in datasets and datasets[models[name].dataset].pixels != dataset.pixels:
            knows = datasets[models[name].dataset].pixels
            yield f"probe.models: {name} sees pictures of {knows} px, those of {probe.dataset} have {dataset.pixels}"
