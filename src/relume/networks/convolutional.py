"""Facts of the plain convolutional networks: AlexNet, VGG, SqueezeNet. Modules are named as in torchvision."""

from collections.abc import Sequence
from functools import partial

from relume.networks.facts import Facts, Place, Tap, activation_taps, output, with_pool

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
    ]
