"""Builds the modules of networks, with random weights: those of the catalogue, and a user's own, `timm:<name>`,
`torchvision:<name>`, `open_clip:<name>` or `<module>:<factory>`. AlexNet, VGG and EfficientNet-Lite0 are defined in this package,
because torchvision, timm and open_clip take seconds to import. Modules have the names of the packages, which taps and weights
use."""

import difflib
import importlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.registry import added
from relume.networks.convolutional import VGG16
from relume.networks.efficientnet import EfficientNetLite0
from relume.networks.facts import Facts
from relume.networks.openclip import split, trained

PACKAGES = ("timm", "torchvision", "open_clip")


def is_source(name: str) -> bool:
    """Whether the name is `<package or module>:<name>`, not the name of a network of the catalogue."""
    return ":" in name


def build_module(source: str, kwargs: Mapping[str, Any] | None = None) -> nn.Module:
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
    from relume.networks.convert import InvalidWeights, compare

    kept, own = (
        {name: value for name, value in each.items() if not name.endswith("num_batches_tracked")}
        for each in (tensors, model.state_dict())
    )
    try:
        compare(kept, own)
    except InvalidWeights as fault:
        raise UserError(f"{source}: does not fit {type(model).__name__}: {fault}") from None
    model.load_state_dict(kept, strict=False)
    return model


def build(facts: Facts) -> tuple[nn.Module, Facts]:
    """The modules, and the facts completed by the package."""
    return _openclip(facts) if facts.builder == "openclip" else (BUILDERS[facts.builder](facts), facts)


def _features(layers: list[nn.Module]) -> nn.Module:
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers)))


def _alexnet_conv(facts: Facts) -> nn.Module:
    """The convolutions of the one-tower AlexNet (Krizhevsky, arXiv 1404.5997)."""
    layers = [
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    ]
    return _features(layers)


def _vgg16_conv(facts: Facts) -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG16:
        if isinstance(width, int):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers += [nn.MaxPool2d(2, 2)]
    return _features(layers)


def _torchvision(facts: Facts) -> nn.Module:
    import torchvision

    return torchvision.models.get_model(facts.name, weights=None)


def _inception(facts: Facts) -> nn.Module:
    from relume.networks import fid

    return fid.inception()


def _openclip(facts: Facts) -> tuple[nn.Module, Facts]:
    """The image tower. Mean, std and activation are those of the tag."""
    import open_clip
    from open_clip.model import _build_vision_tower  # the public API builds the text tower too

    known = trained(facts.name)
    described: dict[str, Any] = open_clip.get_model_config(split(facts.name)[0])
    quick = bool(known.get("quick_gelu", described.get("quick_gelu", False)))
    tower = _build_vision_tower(described["embed_dim"], described["vision_cfg"], quick)
    if hasattr(tower, "output_tokens"):
        tower.output_tokens = False  # else CoCa also returns tokens
    return tower, replace(facts, mean=tuple(known["mean"]), std=tuple(known["std"]))


BUILDERS: dict[str, Callable[[Facts], nn.Module]] = {
    "alexnet_conv": _alexnet_conv,
    "vgg16_conv": _vgg16_conv,
    "torchvision": _torchvision,
    "inception": _inception,
    "efficientnet_lite0": lambda facts: EfficientNetLite0(),
    "own": lambda facts: build_module(facts.module, facts.kwargs),  # of section `networks`
    "identity": lambda facts: nn.Identity(),
}
