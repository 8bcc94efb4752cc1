"""Facts of the convolutional networks. Modules are named as in their packages."""

from collections.abc import Sequence
from functools import partial

from relume.networks.facts import HALF, Facts, Place, Tap, activation_taps, output, with_pool

TORCHVISION = "BSD-3-Clause"
# output channels of each convolution; "M": max pooling (VGG: Simonyan & Zisserman, arXiv 1409.1556, D and E)
VGG16: tuple[int | str, ...] = (64, 64, "M", 128, 128, "M", *(256,) * 3, "M", *(512,) * 3, "M", *(512,) * 3, "M")
VGG19: tuple[int | str, ...] = (64, 64, "M", 128, 128, "M", *(256,) * 4, "M", *(512,) * 4, "M", *(512,) * 4, "M")
ALEXNET_RELUS = {"conv1": (1, 64, 4), "conv2": (4, 192, 8), "conv3": (7, 384, 16), "conv4": (9, 256, 16), "conv5": (11, 256, 16)}


def _pair(name: str, module: str, channels: int, stride: int | None) -> dict[str, Tap]:
    before, after = activation_taps(module, channels, stride)
    return {f"{name}_pre": before, name: after}


def _alexnet_taps() -> dict[str, Tap]:
    taps: dict[str, Tap] = {}
    for name, (index, channels, stride) in ALEXNET_RELUS.items():
        taps |= _pair(name, f"features.{index}", channels, stride)
    return with_pool(taps, "conv5")


def _vgg_taps(layers: Sequence[int | str]) -> dict[str, Tap]:
    taps: dict[str, Tap] = {}
    index, block, layer = 0, 1, 1
    for channels in layers:
        if isinstance(channels, int):
            taps |= _pair(f"conv{block}_{layer}", f"features.{index + 1}", channels, 2 ** (block - 1))
            index, layer = index + 2, layer + 1
        else:
            index, block, layer = index + 1, block + 1, 1
    return with_pool(taps, list(taps)[-1])


def _head(relus: tuple[int, int], logits: int) -> dict[str, Tap]:
    """The three fully connected layers of AlexNet and VGG; `logits` is fc8 in the papers on AlexNet."""
    fc6, fc7 = (_pair(name, f"classifier.{i}", 4096, None) for name, i in zip(("fc6", "fc7"), relus, strict=True))
    return fc6 | fc7 | {"logits": output(f"classifier.{logits}", 1000)}


def _squeezenet_taps() -> dict[str, Tap]:
    taps = _pair("conv1", "features.1", 64, 2)
    fires = ((3, 128, 4), (4, 128, 4), (6, 256, 8), (7, 256, 8), (9, 384, 16), (10, 384, 16), (11, 512, 16), (12, 512, 16))
    for fire, (index, channels, stride) in enumerate(fires, start=2):
        expands = [f"features.{index}.expand{kind}_activation" for kind in ("1x1", "3x3")]
        before = tuple(Place(module=expand, side="input") for expand in expands)
        after = (Place(module=f"features.{index}"),)
        taps[f"fire{fire}_pre"] = Tap(channels=channels, stride=stride, places=before)
        taps[f"fire{fire}"] = Tap(channels=channels, stride=stride, places=after, activation="relu")
    taps |= _pair("conv10", "classifier.2", 1000, 16)
    return with_pool(taps, "fire9") | {"logits": output("", 1000)}


RESNETS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
BASIC = ("resnet18", "resnet34")  # blocks with two convolutions call their ReLU twice; the others three times
LITE0 = {1: (16, 2), 2: (24, 4), 3: (40, 8), 4: (80, 16), 5: (112, 16), 6: (192, 32), 7: (320, 32)}


def _resnet(name: str) -> Facts:
    expansion, last_call = (1, 1) if name in BASIC else (4, 2)
    before, after = activation_taps("relu", 64, 2)
    taps = {"conv1_pre": before, "conv1": after}
    for layer, blocks in enumerate(RESNETS[name], start=1):
        channels, stride = 64 * 2 ** (layer - 1) * expansion, 2 ** (layer + 1)
        before, after = activation_taps(f"layer{layer}.{blocks - 1}.relu", channels, stride, call=last_call)
        taps |= {f"layer{layer}_pre": before, f"layer{layer}": after}
    taps = with_pool(taps, "layer4") | {"logits": output("fc", 1000)}
    return Facts(name=name, builder="torchvision", taps=taps, variant="torchvision IMAGENET1K_V1", licence=TORCHVISION)


def _efficientnet() -> Facts:
    """The stages end in a linear bottleneck, so they have no `_pre`; stem and head end in ReLU6."""
    stem_pre, stem = activation_taps("bn1.act", 32, 2, activation="relu6")
    head_pre, head = activation_taps("bn2.act", 1280, 32, activation="relu6")
    stages = {f"stage{i}": output(f"blocks.{i - 1}", channels, stride) for i, (channels, stride) in LITE0.items()}
    taps: dict[str, Tap] = {"stem_pre": stem_pre, "stem": stem, **stages, "head_pre": head_pre, "head": head}
    taps = with_pool(taps, "head") | {"logits": output("classifier", 1000)}
    name, variant = "efficientnet_lite0", "TensorFlow's ImageNet weights, as ported for PyTorch"
    return Facts(name=name, builder=name, mean=HALF, std=HALF, min_size=1, taps=taps, variant=variant, licence="Apache-2.0")


def _inception() -> Facts:
    """The network of FID. Weights, poolings and logits (1008) differ from torchvision's."""
    maps = {
        "block1": ("maxpool1", 64, 4),
        "block2": ("maxpool2", 192, 8),
        "mixed_5d": ("Mixed_5d", 288, 8),
        "mixed_6e": ("Mixed_6e", 768, 16),
        "mixed_7c": ("Mixed_7c", 2048, 32),
    }
    taps = {name: output(*place) for name, place in maps.items()}
    taps |= {"pool": output("Mixed_7c", 2048, form="mean"), "logits": output("fc", 1008)}
    variant = "the Inception of FID (2015-12-05), as ported for PyTorch"
    return Facts(
        name="inception_v3",
        builder="inception",
        mean=HALF,
        std=HALF,
        size=299,
        any_size=False,
        min_size=1,
        taps=taps,
        variant=variant,
        licence="Apache-2.0",
    )


def networks() -> list[Facts]:
    alexnet, vgg16, vgg19 = _alexnet_taps(), _vgg_taps(VGG16), _vgg_taps(VGG19)
    v1 = "torchvision IMAGENET1K_V1"
    own = partial(Facts, licence=TORCHVISION)
    torchvision = partial(own, builder="torchvision", variant=v1)
    return [
        own(name="alexnet_conv", builder="alexnet_conv", min_size=31, taps=alexnet, variant=f"{v1}, conv1-conv5"),
        torchvision(name="alexnet", min_size=63, taps=alexnet | _head((2, 5), 6)),
        own(name="vgg16_conv", builder="vgg16_conv", min_size=16, taps=vgg16, variant=f"{v1}, conv1_1-conv5_3"),
        torchvision(name="vgg16", taps=vgg16 | _head((1, 4), 6)),
        torchvision(name="vgg19", taps=vgg19 | _head((1, 4), 6)),
        torchvision(name="squeezenet1_1", taps=_squeezenet_taps()),
        *(_resnet(name) for name in RESNETS),
        _efficientnet(),
        _inception(),
    ]
