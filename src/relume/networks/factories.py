"""Builds a user-defined network: `timm:<name>`, `torchvision:<name>`, `open_clip:<name>` or `<module>:<factory>`."""

import difflib
import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.registry import added

PACKAGES = ("timm", "torchvision", "open_clip")


def is_source(name: str) -> bool:
    """Whether the name is `<package or module>:<name>`, not the name of a network of the catalogue."""
    return ":" in name


def build(source: str, kwargs: Mapping[str, Any] | None = None) -> nn.Module:
    """The module, with random weights unless its factory brings its own."""
    origin, _, name = source.partition(":")
    make = partial(_packaged, origin, name) if origin in PACKAGES else added("networks", source)
    model = make(**(kwargs or {}))
    if not isinstance(model, nn.Module):
        raise UserError(f"{source}: needs a factory of an nn.Module, it returned {type(model).__name__}")
    return model


def _packaged(package: str, name: str, **kwargs: Any) -> Any:
    """A model of a package; of open_clip the image tower."""
    found = importlib.import_module(package)
    names = found.models.list_models() if package == "torchvision" else found.list_models()
    if (plain := name if package != "timm" else name.partition(".")[0]) not in names:
        near = difflib.get_close_matches(plain, names, n=5)
        raise UserError(f"{package} has no model {name!r}{'; near: ' + ', '.join(near) if near else ''}")
    if package == "torchvision":
        return found.models.get_model(name, weights=None, **kwargs)
    if package == "timm":
        return found.create_model(name, pretrained=False, **kwargs)
    return found.create_model(name, pretrained=None, **kwargs).visual


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict saved by torch, read with `weights_only`."""
    if path.suffix == ".onnx":
        raise UserError(f"{path}: ONNX files cannot be inverted: torch cannot read them; export a state dict instead")
    from relume.networks.convert import InvalidWeights, tensors_of  # which imports this module

    try:
        return tensors_of(path)
    except (OSError, InvalidWeights) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}; needs a state dict, best as safetensors") from None


def load_state(model: nn.Module, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """Raises UserError unless `tensors` has exactly the module's tensors."""
    from relume.networks.convert import unusable

    for name, expected in model.state_dict().items():
        if name in tensors and (fault := unusable(tensors[name], floating=expected.is_floating_point())):
            raise UserError(f"{source}: {name} {fault}")
    try:
        missing, unknown = model.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        raise UserError(f"{source}: {str(error).splitlines()[-1].strip()}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        fault = f"{len(missing)} tensors are missing {missing[:3]}, {len(unknown)} are unknown {unknown[:3]}"
        raise UserError(f"{source}: does not fit {type(model).__name__}: {fault}")
    return model
