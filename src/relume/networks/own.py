"""Any `nn.Module` as a network. `borrowed` freezes it and restores its state afterwards. Taps are the names of its modules."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.networks.builders import build_module
from relume.networks.catalogue import WEIGHTS
from relume.networks.config import OwnNetwork as Declared
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD, Facts, Form, Tap, output
from relume.networks.network import Network
from relume.networks.taps import first_tensor

PROBE = 2  # images of the trial pass: 2 reveal layers whose output is not one per image
FAULTS = (RuntimeError, ValueError, TypeError, AssertionError, IndexError, AttributeError, KeyError)  # of foreign code


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The output of a module for one image."""

    name: str
    shape: tuple[int, ...]  # as the module returns it
    form: Form
    depth: float  # 0 to 1: position in the forward pass

    @property
    def kind(self) -> str:
        """map, tokens or vector"""
        return {3: "map", 2: "tokens", 1: "vector"}[len(self.shape)]


class OwnNetwork(Network):
    """A user-defined module, unchanged: `borrowed` freezes it."""

    def adopt(self) -> None:
        like = next((one for one in (*self.body.parameters(), *self.body.buffers()) if one.is_floating_point()), torch.empty(0))
        self.mean, self.std, self.dtype = self.mean.to(like.device), self.std.to(like.device), like.dtype

    def run(self, normalised: Tensor) -> Any:
        return self.body(normalised if torch.is_autocast_enabled(normalised.device.type) else normalised.to(self.dtype))

    @property
    def device(self) -> torch.device:
        return self.mean.device


@contextmanager
def borrowed(model: nn.Module) -> Iterator[None]:
    """Inside, the module is frozen, in eval mode and without in-place operations. Its state is restored, also after an error."""
    modes = [(module, module.training) for module in model.modules()]
    frozen = [(weight, weight.requires_grad) for weight in model.parameters()]
    inplace = [module for module in model.modules() if getattr(module, "inplace", None) is True]
    try:
        freeze(model)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, before in frozen:
            weight.requires_grad_(before)
        for module in inplace:
            setattr(module, "inplace", True)  # noqa: B010  mypy types attributes of modules as tensors


def freeze(model: nn.Module) -> nn.Module:
    for module in model.modules():
        module.training = False
        if getattr(module, "inplace", None) is True:
            setattr(module, "inplace", False)  # noqa: B010
    return model.requires_grad_(False)


def described(
    model: nn.Module, *, mean: Sequence[float] | None = None, std: Sequence[float] | None = None, channels: int | None = None
) -> Facts:
    """Mean, std and size unless given: from timm's and open_clip's configurations and torchvision's weights. Defaults: 224 px;
    ImageNet's mean and std for torchvision's classes, no normalisation for others; the input channels of the first
    convolution."""
    first = next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), 3)
    count = channels or first
    if count not in (1, 3, 4):
        raise UserError(f"channels: must be 1, 3 or 4, got {count}; set channels=")
    metadata = _metadata(model)
    found_mean, found_std = tuple(mean or metadata["mean"]), tuple(std or metadata["std"])
    for key, values in (("mean", found_mean), ("std", found_std)):
        if len(values) not in (1, count):
            raise UserError(f"{key}: needs one number per channel, {count}; got {list(values)}")
    if min(found_std) <= 0:
        raise UserError(f"std: must be above 0, got {list(found_std)}")
    each = [tuple(map(float, values if len(values) == count else values * count)) for values in (found_mean, found_std)]
    name = type(model).__name__
    return Facts(
        name=name, builder="", mean=each[0], std=each[1], size=metadata["size"], min_size=1, taps={}, variant=name, licence=""
    )


def _metadata(model: nn.Module) -> dict[str, Any]:
    timm = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    if timm is not None:
        known = timm if isinstance(timm, Mapping) else vars(timm)
        return {"mean": known["mean"], "std": known["std"], "size": known["input_size"][-1]}
    for part in (model, getattr(model, "visual", None)):
        if getattr(part, "image_mean", None):
            size = getattr(part, "image_size", 224)
            return {"mean": part.image_mean, "std": part.image_std, "size": size if isinstance(size, int) else size[0]}  # type: ignore[union-attr]
    transforms = getattr(getattr(model, "weights", None), "transforms", None)
    if callable(transforms):
        transform = transforms()
        return {"mean": transform.mean, "std": transform.std, "size": transform.crop_size[0]}
    if type(model).__module__.startswith("torchvision."):
        return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "size": 224}
    return {"mean": (0.0,), "std": (1.0,), "size": 224}


def layers(network: OwnNetwork, size: int) -> dict[str, Layer]:
    """All modules whose output can be inverted, in the order of the forward pass. "" is the whole module."""
    found: dict[str, Any] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, result: Any) -> None:
            found.setdefault(name, first_tensor(result))

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in network.body.named_modules()]
    channels = len(network.facts.mean)
    try:
        with torch.no_grad():
            network(torch.full((PROBE, channels, size, size), 0.5, device=network.device))
    except FAULTS as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        fault = f"{network.facts.name} does not accept images of {channels} x {size} x {size}: {lines[0]}"
        raise UserError(f"{fault}. Set size= and channels= to what the network accepts") from error
    finally:
        for handle in handles:
            handle.remove()
    known: dict[str, Layer] = {}
    for position, (name, value) in enumerate(found.items()):
        floating = isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 0
        if floating and value.ndim in (2, 3, 4) and len(value) == PROBE:
            last = value.ndim == 4 and value.shape[1] == value.shape[2] != value.shape[3]  # (N, H, W, C): Swin, ConvNeXt
            form: Form = "raw_last" if last else "raw"
            known[name] = Layer(name=name, shape=tuple(value.shape[1:]), form=form, depth=position / len(found))
    return known


def choose(known: Mapping[str, Layer], names: Sequence[str], network: str) -> dict[str, Layer]:
    """The layers of these names. The error for an unknown name lists similar ones."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or list(known)[:5]
            raise UserError(
                f"layer: {network} has no layer {name!r} that can be inverted; near: {', '.join(map(repr, near))}. "
                f"relume.layers(model) lists all {len(known)}"
            )
    return {name: known[name] for name in names}


def with_taps(network: OwnNetwork, chosen: Mapping[str, Layer], size: int) -> OwnNetwork:
    """The network with these layers as its taps."""
    taps: dict[str, Tap] = {}
    for name, layer in chosen.items():
        shape = layer.shape
        channels = shape[0] if layer.kind == "map" and layer.form == "raw" else shape[-1]
        side = {"map": shape[1] if len(shape) == 3 else 0, "tokens": max(1, int(shape[0] ** 0.5)), "vector": 0}[layer.kind]
        taps[name] = output(layer.name, channels, max(1, round(size / side)) if side else None, form=layer.form)
    return OwnNetwork(replace(network.facts, taps=taps), network.body)


def facts_of(name: str, declared: Declared) -> Facts:
    """Raises UserError for an unknown factory, or a tap that is not one of its modules."""
    if name in WEIGHTS or not re.fullmatch(r"[A-Za-z]\w*", name):
        raise UserError(f"{name!r} must consist of letters, digits and _, and must not be in the catalogue")
    local = Path(*declared.module.partition(":")[0].split("."))
    if local.with_suffix(".py").exists() or local.is_dir():
        raise UserError(f"module: {local} is in the project's root: move it below src/, where DVC notices changes")
    model = build_module(declared.module, declared.kwargs)
    with borrowed(model):
        own = OwnNetwork(described(model, mean=declared.mean, std=declared.std, channels=3), model)
        chosen = choose(layers(own, declared.pixels), declared.taps, declared.module)
        taps = with_taps(own, chosen, declared.pixels).facts.taps
    return Facts(
        name=name,
        builder="own",
        mean=declared.mean,
        std=declared.std,
        size=declared.pixels,
        any_size=declared.any_size,
        min_size=1,
        taps=taps,
        variant=f"{declared.module}, {declared.weights or 'weights of its factory'}",
        licence=declared.licence,
        module=declared.module,
        kwargs=declared.kwargs,
        file=declared.weights or "",
        sha256=declared.sha256 or "",
    )
