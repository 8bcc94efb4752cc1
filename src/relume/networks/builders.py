"""Builds the modules of networks, with random weights. AlexNet, VGG and EfficientNet-Lite0 are defined in this package, because
torchvision, timm and open_clip take seconds to import. Modules have the names of the packages: taps and weights use them."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from relume.networks import factories
from relume.networks.convolutional import VGG16
from relume.networks.efficientnet import EfficientNetLite0
from relume.networks.facts import Facts
from relume.networks.openclip import split, trained


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
    "own": lambda facts: factories.build(facts.module, facts.kwargs),  # of section `networks`
    "identity": lambda facts: nn.Identity(),
}
