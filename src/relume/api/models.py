"""A model as the library takes it: a module of one's own, a name of the catalogue, or `timm:<name>` with a file of weights."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.files import find_root
from relume.core.registry import added, plugins
from relume.core.run import Run
from relume.core.runtime import device_of
from relume.methods.optimise import tuned
from relume.networks.builders import build_module, is_source, load_state, read_state
from relume.networks.catalogue import check_tap, facts
from relume.networks.fetch import fetch_weights
from relume.networks.network import Network
from relume.networks.network import load as load_network
from relume.networks.own import OwnNetwork, borrowed, choose, described, layers, with_taps
from relume.networks.sources import cache_folder
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

Model = str | nn.Module
Layers = str | Sequence[str] | Mapping[str, float]
Shapes = dict[str, tuple[int, ...]]
SIZE = 128  # px, for networks that take any size
RANDOM = "random"  # instead of a file of weights


def weighted(layer: Layers) -> dict[str, float]:
    """Layer -> weight."""
    given = {layer: 1.0} if isinstance(layer, str) else layer if isinstance(layer, Mapping) else dict.fromkeys(layer, 1.0)
    for name, weight in given.items():
        if not isinstance(name, str) or not isinstance(weight, int | float) or not weight > 0:
            raise UserError(f"layer: names with weights above 0 are needed, got {name!r}: {weight!r}")
    if not given:
        raise UserError("layer: at least one is needed; relume.layers(model) lists them")
    return {name: float(weight) for name, weight in given.items()}


class Store(WeightStore):
    """The project's weights, then the library's own: taken from installed packages and caches when they are first needed."""

    def __init__(self, given: Mapping[str, Network] | None = None) -> None:
        self.cache = cache_folder() / "networks"
        super().__init__(find_root(Path.cwd()) / "models/weights", self.cache, given=given)

    def folder(self, name: str) -> Path:
        if name not in self.names():
            fetch_weights(name, self.cache, download=False)
        return super().folder(name)

    def has(self, name: str) -> bool:
        try:
            return self.folder(name).is_dir()
        except UserError:
            return False


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A network whose taps are the layers that were asked for."""

    network: Network
    store: Store  # gives this network and others
    weights: dict[str, float]  # of the layers
    shapes: Shapes  # of the layers, as the model returns them
    recipe: str
    size: int

    @property
    def name(self) -> str:
        return self.network.facts.name

    @property
    def channels(self) -> int:
        return len(self.network.facts.mean)

    @property
    def device(self) -> torch.device:
        return self.network.mean.device

    @torch.no_grad()
    def features(self, images: Tensor, micro_batch: int) -> dict[str, Tensor]:
        """layer -> (N, …), as the losses take them."""
        with collect(self.network, list(self.weights)) as tapped:
            parts = [tapped(batch.to(self.device)) for batch in images.split(micro_batch)]
        return {layer: torch.cat([part[layer] for part in parts]).float() for layer in self.weights}

    def given(self, features: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A user's features, as the model returned them -> as the losses take them."""
        each = {next(iter(self.weights)): features} if isinstance(features, Tensor) else dict(features)
        if each.keys() != self.weights.keys():
            raise UserError(f"features: needs {', '.join(self.weights)}, got {', '.join(each) or 'none'}")
        for layer, value in each.items():
            if tuple(value.shape[1:]) != self.shapes[layer]:
                expected = f"(N, {', '.join(map(str, self.shapes[layer]))})"
                raise UserError(f"features: {layer} has {expected} for images of {self.size} px, got {tuple(value.shape)}")
            if not bool(torch.isfinite(value).all()):
                raise UserError(f"features: {layer} has values that are NaN or Inf")
        last = [layer for layer, tap in self.network.facts.taps.items() if tap.form == "raw_last"]
        ready = {layer: value.permute(0, 3, 1, 2) if layer in last else value for layer, value in each.items()}
        return {layer: value.detach().to(self.device).float() for layer, value in ready.items()}


class Source:
    """What a user calls a model. A module stays on its device; what is built here goes to `device` (the first accelerator).

    Installed packages add names by entry points of the group `relume.networks`: functions that return a module.
    """

    def __init__(
        self,
        model: Model,
        *,
        weights: str | Path | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channels: int | None = None,
        device: str | None = None,
    ) -> None:
        model = added("networks", model)() if isinstance(model, str) and model in plugins("networks") else model
        self.catalogue = model if isinstance(model, str) and not is_source(model) else None
        run = Run(seed=0, device=device or "auto", precision="float32", threads=1, micro_batch=1)  # type: ignore[arg-type]
        self.device = device_of(run)
        if self.catalogue:
            if given := [key for key, value in (("weights", weights), ("mean", mean), ("std", std)) if value is not None]:
                raise UserError(f"{given[0]}: {model} is of the catalogue, which states it: leave it out")
            self.facts = facts(self.catalogue)
            self.module = None
            return
        if isinstance(model, str):
            self.module = _built(model, weights).to(self.device)
        elif isinstance(model, nn.Module):
            self.module = model
        else:
            raise UserError(f"model: an nn.Module, a name of the catalogue or timm:<name> is needed, got {type(model).__name__}")
        self.facts = described(self.module, mean=mean, std=std, channels=channels)

    @property
    def channels(self) -> int:
        return len(self.facts.mean)

    @property
    def default_size(self) -> int:
        return SIZE if self.catalogue else self.facts.size

    def borrow(self) -> AbstractContextManager[None]:
        return borrowed(self.module) if self.module is not None else nullcontext()

    def layers(self, size: int) -> Shapes:
        """All that can be inverted, in the order of the forward pass."""
        if self.module is not None:
            found = layers(OwnNetwork(self.facts, self.module), size)
            return {name: layer.shape for name, layer in found.items()}
        return self._shapes(self._named(list(self.facts.taps)), list(self.facts.taps), size)

    def opened(self, weights: dict[str, float], size: int) -> Opened:
        """To be used while the model is borrowed."""
        if self.module is None:
            net = self._named(list(weights))
            recipe, shapes = tuned.name_for(net.facts.name, list(weights)), self._shapes(net, list(weights), size)
        else:
            own = OwnNetwork(self.facts, self.module)
            chosen = choose(layers(own, size), list(weights), self.facts.name)
            first = min(chosen.values(), key=lambda layer: layer.depth)
            net, recipe = with_taps(own, chosen, size), tuned.own_name(first.kind, first.depth)
            shapes = {name: layer.shape for name, layer in chosen.items()}
        store = Store({net.facts.name: net})
        return Opened(network=net, store=store, weights=weights, shapes=shapes, recipe=recipe, size=size)

    def _named(self, taps: Sequence[str]) -> Network:
        """Of the catalogue, or its convolutions where only they have weights here and all the taps."""
        assert self.catalogue is not None
        for tap in taps:
            check_tap(self.catalogue, tap)
        store, part = Store(), f"{self.catalogue}_conv"
        try:
            return load_network(self.catalogue, store, self.device)
        except UserError as error:
            try:
                fits = set(taps) <= facts(part).taps.keys() and store.has(part)
            except UserError:
                fits = False
            if not fits:
                raise error
            return load_network(part, store, self.device)

    def _shapes(self, net: Network, taps: Sequence[str], size: int) -> Shapes:
        least = max(8, net.facts.min_size if net.facts.any_size else 0)
        if size < least:
            raise UserError(f"size: must be at least {least} for {net.facts.name}, got {size}")
        with torch.no_grad(), collect(net, taps) as tapped:
            found = tapped(torch.full((1, 3, size, size), 0.5, device=net.mean.device))
        return {tap: tuple(value.shape[1:]) for tap, value in found.items()}


def _built(name: str, weights: str | Path | None) -> nn.Module:
    if weights is None:
        raise UserError(f"weights: {name} needs a file of its weights, or {RANDOM!r}")
    model = build_module(name)
    return model if str(weights) == RANDOM else load_state(model, read_state(Path(weights)), str(weights))
