"""Named activations of a network, collected for as long as a `with` lasts: one forward pass, cut off after the deepest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.networks.catalogue import Place, Tap, check_tap
from relume.networks.network import Network

BATCHNORM = "batchnorm"  # beside a network's taps: (N, L), how far a picture is from what its L batch normalisations expect

Seen = dict[str, dict[str, Tensor]]  # network -> tap -> features
Collected = Callable[[Tensor], dict[str, Tensor]]
Found = dict[Place, Tensor]  # in the order of the forward pass
Read = Callable[[Found], Tensor]  # what was found -> the tap's value


class _Enough(Exception):
    """Everything asked for is there: the rest of the forward pass is not run."""


class _Recorder:
    """What the hooks of one forward pass have seen."""

    def __init__(self, places: set[Place]) -> None:
        self.places = places
        self.start()

    def start(self) -> None:
        self.found: Found = {}
        self.calls: dict[tuple[str, str], int] = {}

    def see(self, module: str, side: str, value: Tensor) -> None:
        call = self.calls.get((module, side), 0)
        self.calls[module, side] = call + 1
        place = Place(module=module, side=side, call=call)  # type: ignore[arg-type]
        if place in self.places:
            self.found[place] = value
            if len(self.found) == len(self.places):
                raise _Enough


@contextmanager
def collect(network: Network, names: Sequence[str]) -> Iterator[Collected]:
    """`with collect(network, names) as taps: values = taps(images)`: tap -> (N, C, H, W) or (N, C), in the order of `names`.

    BATCHNORM among the names: (N, L). Gradients flow from the values to the images. No hook is left behind, whatever happens.
    """
    wanted = {name: _wish(network, name) for name in names}
    recorder = _Recorder({place for places, _ in wanted.values() for place in places})
    handles: list[torch.utils.hooks.RemovableHandle] = []

    def taps(images: Tensor) -> dict[str, Tensor]:
        recorder.start()
        try:
            network(images)
        except _Enough:
            values = {name: read(recorder.found) for name, (_, read) in wanted.items()}
        else:
            missed = sorted({place.module for place in recorder.places - recorder.found.keys()})
            raise RuntimeError(f"{network.facts.name}: its forward pass never came by {', '.join(missed)}")
        finally:
            recorder.found = {}  # the activations belong to the caller alone
        return values

    try:
        for module, side in sorted({(place.module, place.side) for place in recorder.places}):
            handles.append(_hook(network.body.get_submodule(module), module, side, recorder))
        yield taps
    finally:
        for handle in handles:
            handle.remove()


def compute(networks: Mapping[str, Network], images: Tensor, taps: Mapping[str, Sequence[str]]) -> Seen:
    """Features in float32 of each network's taps, in one forward pass per network."""
    seen: Seen = {}
    for name, own in taps.items():
        with collect(networks[name], own) as tapped:
            seen[name] = {tap: value.float() for tap, value in tapped(images).items()}
    return seen


def _hook(module: nn.Module, name: str, side: str, recorder: _Recorder) -> torch.utils.hooks.RemovableHandle:
    def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        recorder.see(name, side, inputs[0])

    def after(_: nn.Module, inputs: tuple[Any, ...], result: Tensor) -> None:
        recorder.see(name, side, result)

    return module.register_forward_pre_hook(before) if side == "input" else module.register_forward_hook(after)


def _wish(network: Network, name: str) -> tuple[set[Place], Read]:
    """Where a tap's values lie, and how they make the tap."""
    if name == BATCHNORM:
        return _statistics(network)
    tap = check_tap(network.facts, name)
    return set(tap.places), lambda found: _form(tap, found)


def _statistics(network: Network) -> tuple[set[Place], Read]:
    """Of one that runs twice in a pass (FID's Inception computes a branch in vain) the first run counts."""
    norms = {
        Place(module=name, side="input"): module
        for name, module in network.body.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    if not norms:
        raise UserError(f"{network.facts.name} has no batch normalisation to compare with; resnet50 and efficientnet_lite0 have")

    def read(found: Found) -> Tensor:
        return torch.stack([_discrepancy(norms[place], value) for place, value in found.items() if place in norms], dim=1)

    return set(norms), read


def _discrepancy(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """||mean_hw(x) - running mean|| + ||var_hw(x) - running variance||: (N, C, H, W) -> (N,). One position has variance 0."""
    assert norm.running_mean is not None  # None only where a network was built not to track any
    assert norm.running_var is not None
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0)
    return (mean - norm.running_mean).norm(dim=1) + (variance - norm.running_var).norm(dim=1)


def _form(tap: Tap, found: Found) -> Tensor:
    """What was found at the tap's places, as the tap that it makes."""
    parts = [found[place] for place in tap.places]
    value = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    if tap.form == "mean":
        return value.mean((2, 3))
    if tap.form == "tokens":
        side = round((value.shape[1] - 1) ** 0.5)
        return value[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    return value.flatten(1) if tap.stride is None else value
