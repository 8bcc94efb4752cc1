"""Facts of ResNet, EfficientNet-Lite0 and FID's Inception. Modules are named as in their packages."""

from relume.networks.convolutional import TORCHVISION
from relume.networks.facts import HALF, Facts, Tap, activation_taps, output, with_pool

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
    return [*(_resnet(name) for name in RESNETS), _efficientnet(), _inception()]
