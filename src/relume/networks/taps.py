"""Collects named activations of a network; the forward pass stops after the deepest one."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.networks.catalogue import check_tap
from relume.networks.facts import Place, Tap
from relume.networks.network import Network

BATCHNORM = "batchnorm"  # a pseudo tap: (N, L), distances from the statistics of L batch normalisations

Seen = dict[str, dict[str, Tensor]]  # network -> tap -> features
Collected = Callable[[Tensor], dict[str, Tensor]]
Found = dict[Place, Tensor]  # in the order of the forward pass
Read = Callable[[Found], Tensor]  # activations -> value of the tap


class _StopForward(Exception):
    """All activations are collected: the rest of the forward pass is skipped."""


class _Recorder:
    """The activations of one forward pass."""

    def __init__(self, places: set[Place]) -> None:
        self.places = places
        self.start()

    def start(self) -> None:
        self.found: Found = {}
        self.calls: dict[tuple[str, str], int] = {}

    def record(self, module: str, side: str, value: Tensor) -> None:
        call = self.calls.get((module, side), 0)
        self.calls[module, side] = call + 1
        place = Place(module=module, side=side, call=call)  # type: ignore[arg-type]
        if place in self.places:
            self.found[place] = value
            if len(self.found) == len(self.places):
                raise _StopForward


@contextmanager
def collect(network: Network, names: Sequence[str]) -> Iterator[Collected]:
    """`with collect(network, names) as taps: values = taps(images)`: tap -> (N, C, H, W) or (N, C), in the order of `names`.
    BATCHNORM among the names: (N, L). Values are differentiable by the images. All hooks are removed at the end."""
    taken = {name: _places(network, name) for name in names}
    recorder = _Recorder({place for places, _ in taken.values() for place in places})
    handles: list[torch.utils.hooks.RemovableHandle] = []

    def taps(images: Tensor) -> dict[str, Tensor]:
        recorder.start()
        try:
            network(images)
        except _StopForward:
            values = {name: read(recorder.found) for name, (_, read) in taken.items()}
        else:
            missed = sorted({place.module for place in recorder.places - recorder.found.keys()})
            raise RuntimeError(f"{network.facts.name}: the forward pass did not call {', '.join(missed)}")
        finally:
            recorder.found = {}  # frees the activations
        return values

    try:
        for module, side in sorted({(place.module, place.side) for place in recorder.places}):
            handles.append(_hook(network.body.get_submodule(module), module, side, recorder))
        yield taps
    finally:
        for handle in handles:
            handle.remove()


def compute(networks: Mapping[str, Network], images: Tensor, taps: Mapping[str, Sequence[str]]) -> Seen:
    """Features in float32 of each network's taps, in one forward pass per network; tokens as maps."""
    seen: Seen = {}
    for name, own in taps.items():
        with collect(networks[name], own) as tapped:
            seen[name] = {tap: spatial(value.float()) for tap, value in tapped(images).items()}
    return seen


def _hook(module: nn.Module, name: str, side: str, recorder: _Recorder) -> torch.utils.hooks.RemovableHandle:
    def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        recorder.record(name, side, inputs[0])

    def after(_: nn.Module, inputs: tuple[Any, ...], result: Any) -> None:
        recorder.record(name, side, first_tensor(result))

    return module.register_forward_pre_hook(before) if side == "input" else module.register_forward_hook(after)


def first_tensor(output: Any) -> Any:
    """The tensor that a module returns, or the first of the several that it returns."""
    while isinstance(output, tuple | list | Mapping) and output:
        output = next(iter(output.values() if isinstance(output, Mapping) else output))
    return output


def spatial(value: Tensor) -> Tensor:
    """Tokens (N, k + side^2, C) -> a map (N, C (k + 1), side, side): patches, and the k others (class, registers) everywhere.
    Maps and vectors stay as they are."""
    if value.ndim != 3:
        return value
    side = math.isqrt(value.shape[1])
    extra = value.shape[1] - side * side
    patches = value[:, extra:].transpose(1, 2).unflatten(2, (side, side))
    others = value[:, :extra].flatten(1)[:, :, None, None].expand(-1, -1, side, side)
    return torch.cat([patches, others], 1)


def _places(network: Network, name: str) -> tuple[set[Place], Read]:
    """The places of a tap, and the function that computes the tap from their activations."""
    if name == BATCHNORM:
        return _statistics(network)
    tap = check_tap(network.facts, name)
    return set(tap.places), lambda found: _form(tap, found)


def _statistics(network: Network) -> tuple[set[Place], Read]:
    """If a module is called twice (a branch of FID's Inception), the first call is used."""
    norms = {
        Place(module=name, side="input"): module
        for name, module in network.body.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    if not norms:
        raise UserError(f"{network.facts.name} has no batch normalisation; resnet50 and efficientnet_lite0 do")

    def read(found: Found) -> Tensor:
        return torch.stack([_discrepancy(norms[place], value) for place, value in found.items() if place in norms], dim=1)

    return set(norms), read


def _discrepancy(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """||mean_hw(x) - running mean|| + ||var_hw(x) - running variance||: (N, C, H, W) -> (N,). 0 variance for one position."""
    assert norm.running_mean is not None  # None only with track_running_stats=False
    assert norm.running_var is not None
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0)
    return (mean - norm.running_mean).norm(dim=1) + (variance - norm.running_var).norm(dim=1)


def _form(tap: Tap, found: Found) -> Tensor:
    """The value of a tap, from the activations at its places."""
    parts = [found[place] for place in tap.places]
    value = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    if tap.form == "mean":
        return value.mean((2, 3))
    if tap.form in ("raw", "raw_last"):
        return value if tap.form == "raw" else value.permute(0, 3, 1, 2)
    if tap.form == "tokens":
        side = round((value.shape[1] - 1) ** 0.5)
        return value[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    return value.flatten(1) if tap.stride is None else value
