"""Builds a user's network by name, `timm:<name>`, `torchvision:<name>`, `open_clip:<name>` or `<module>:<factory>`; reads its
file."""

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from relume.core.errors import UserError

PACKAGES = ("timm", "torchvision", "open_clip")


def is_source(name: str) -> bool:
    """`<package or module>:<name>`, as opposed to the name of a network of the catalogue."""
    return ":" in name


def build(source: str, kwargs: Mapping[str, Any] | None = None) -> nn.Module:
    """The module, with random weights unless its factory brings its own."""
    origin, _, name = source.partition(":")
    makers: dict[str, Callable[..., Any]] = {"timm": _timm, "torchvision": _torchvision, "open_clip": _open_clip}
    model = makers[origin](name, **(kwargs or {})) if origin in makers else _factory(source)(**(kwargs or {}))
    if not isinstance(model, nn.Module):
        raise UserError(f"{source}: needs a factory of an nn.Module, it returned {type(model).__name__}")
    return model


def _known(package: str, name: str, names: list[str]) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=5)
        raise UserError(f"{package} has no model {name!r}{'; near: ' + ', '.join(near) if near else ''}")


def _timm(name: str, **kwargs: Any) -> nn.Module:
    import timm

    _known("timm", name.partition(".")[0], timm.list_models())
    model: nn.Module = timm.create_model(name, pretrained=False, **kwargs)
    return model


def _torchvision(name: str, **kwargs: Any) -> nn.Module:
    import torchvision

    _known("torchvision", name, torchvision.models.list_models())
    model: nn.Module = torchvision.models.get_model(name, weights=None, **kwargs)
    return model


def _open_clip(name: str, **kwargs: Any) -> nn.Module:
    """The image tower."""
    import open_clip

    _known("open_clip", name, open_clip.list_models())
    model: nn.Module = open_clip.create_model(name, pretrained=None, **kwargs).visual
    return model


def _factory(source: str) -> Callable[..., Any]:
    """Of an importable module; the current folder is searched, too."""
    module, _, name = source.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise
        raise UserError(f"{source}: no module {module!r}; allowed: {', '.join(PACKAGES)}, or an importable module") from None
    factory = getattr(found, name, None)
    if not callable(factory):
        near = difflib.get_close_matches(name, dir(found), n=3)
        raise UserError(f"{source}: {module} has no factory {name!r}{'; near: ' + ', '.join(near) if near else ''}")
    return factory


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict saved by torch, which is read with `weights_only`."""
    if path.suffix == ".onnx":
        raise UserError(f"{path}: ONNX files cannot be inverted, for torch has no reader of them; export a state dict instead")
    from relume.networks.convert import InvalidWeights, tensors_of  # which imports this module

    try:
        return dict(tensors_of(path))
    except (OSError, InvalidWeights) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}; needs a state dict, best as safetensors") from None


def load_state(model: nn.Module, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """All tensors of the module, and no others."""
    try:
        missing, unknown = model.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        raise UserError(f"{source}: {str(error).splitlines()[-1].strip()}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        fault = f"{len(missing)} tensors are missing {missing[:3]}, {len(unknown)} are unknown {unknown[:3]}"
        raise UserError(f"{source}: does not fit {type(model).__name__}: {fault}")
    return model
