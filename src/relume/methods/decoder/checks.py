"""What must agree between `train_decoder`, `invert_decoder` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import UserError, one_of
from relume.core.files import NONE
from relume.data.checks import asked, there
from relume.losses.config import LPIPS
from relume.methods.decoder.config import DecoderConfig
from relume.networks.catalogue import check_tap
from relume.training.config import FEATURES


def between(built: Mapping[str, Any], decoders: Mapping[str, DecoderConfig], taken: Iterable[str]) -> Iterable[str]:
    """`taken`: names of other methods, which a decoder cannot have."""
    yield from _groups(built, decoders)
    shared, datasets, others = built["train_decoder"].shared.dataset, built["prepare"].datasets, set(taken)
    if decoders and shared not in datasets:
        yield f"train_decoder.shared.dataset: {shared!r} is not prepared; {one_of(datasets, shared)}"
    elif decoders:
        yield from _splits(datasets[shared], shared)
    for name, config in decoders.items():
        path = f"train_decoder.decoders.{name}"
        if name in others:
            yield f"{path}: the name belongs to another method"
        if config.dataset != shared:
            yield f"{path}.dataset: all decoders share train_decoder.shared.dataset, {shared!r}"
        if shared in datasets:
            yield from _validation(path, config.validation, there(datasets[shared], "val"))
        yield from _networks(path, config, built)
        yield from _taps(path, config)
        yield from _features(path, config, built)


def _splits(dataset: Any, name: str) -> Iterable[str]:
    """There are pictures to learn from and to look at meanwhile."""
    for split in ("train", "val"):
        if there(dataset, split) == 0:
            yield f"prepare.datasets.{name}.{split}: decoders want pictures there"


def _validation(path: str, wanted: int | None, known: int | None) -> Iterable[str]:
    if wanted is not None and known and wanted > known:
        yield f"{path}.validation: {wanted} pictures are wanted; prepare makes {known}"


def _groups(built: Mapping[str, Any], decoders: Mapping[str, DecoderConfig]) -> Iterable[str]:
    """Groups are of pictures that are judged, and a decoder is in one of them at most: it is one method."""
    dataset, seen = built["floors"].dataset, dict[str, str]()
    for group, config in built["invert_decoder"].items():
        path = f"invert_decoder.{group}"
        yield from asked(path, config, built["prepare"].datasets)
        if config.dataset != dataset:
            yield f"{path}.dataset: {config.dataset!r} is not floors.dataset, {dataset!r}: floors are for the same pictures"
        if config.split != built["floors"].split:  # never its own training pictures
            yield f"{path}.split: {config.split!r} is not floors.split, {built['floors'].split!r}"
        if group == "floors":
            yield f"{path}: the name belongs to the group of the stage floors"
        for name in config.decoders:
            if name not in decoders:
                yield f"{path}.decoders: {name} is not in train_decoder.decoders; {one_of(decoders, name)}"
            if name in seen:
                yield f"{path}.decoders: {name} stands in {seen[name]} already"
            seen[name] = group


def _networks(path: str, config: DecoderConfig, built: Mapping[str, Any]) -> Iterable[str]:
    """The network is fetched and has statistics, by which results are judged; LPIPS is fetched where it is a loss."""
    known, fetched = built["extract"].networks, built["weights"].networks
    if config.network not in known:
        yield f"{path}.network: {config.network} is not in extract.networks; {one_of(known, config.network)}"
    kind = config.measures.lpips.network
    needed = (LPIPS[kind], f"lpips_{kind}") if config.losses.lpips > 0 else ()
    for name in (config.network, *needed):
        if name not in fetched:
            yield f"weights.networks: {name} is missing, which {path} needs"


def _features(path: str, config: DecoderConfig, built: Mapping[str, Any]) -> Iterable[str]:
    """Where they come from is said, for DVC reads it there; the stage `extract` keeps them, if that is the cache."""
    extract, kept = built["extract"], f"{FEATURES}/{config.dataset}/{config.network}"
    if config.features not in (str(NONE), kept):
        yield f"{path}.features: {config.features!r} is neither {NONE} (they are computed) nor {kept} (they are read)"
    elif config.cached and config.dataset not in extract.datasets:
        yield f"extract.datasets: {config.dataset} is missing, whose features {path} reads"
    elif config.cached and extract.cached is not None and config.network not in extract.cached:
        yield f"extract.cached: {config.network} is missing, whose features {path} reads"


def _taps(path: str, config: DecoderConfig) -> Iterable[str]:
    for name in config.taps:
        try:
            tap = check_tap(config.network, name)
        except UserError as error:
            yield f"{path}.taps: {error}"
        else:
            if config.architecture.kind == "conv_only" and tap.stride is None:
                yield f"{path}.taps: architecture conv_only decodes maps; {name} has no positions"
