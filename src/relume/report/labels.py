"""Names for people: of networks, taps, methods and baselines. The keys of the files stay beside them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

SPELLING = {  # of words in the keys of networks and models
    "alexnet": "AlexNet", "vgg": "VGG", "vgg16": "VGG16", "resnet": "ResNet-", "efficientnet": "EfficientNet-", "lite": "Lite",
    "squeezenet": "SqueezeNet ", "convnext": "ConvNeXt ", "vit": "ViT-", "clip": "CLIP", "dino": "DINO", "lpips": "LPIPS ",
    "gan": "GAN", "mae": "MAE", "simmim": "SimMIM", "beit": "BEiT", "ae": "autoencoder", "energy": "Energy",
    "transformer": "Transformer", "et": "Energy Transformer",
}  # fmt: skip
BASELINE, MOSAIC = "floor", "mosaic"  # family of baselines, and the beginning of their names; mean colours of blocks


def network(key: str) -> str:
    """`efficientnet_lite0` -> EfficientNet-Lite0. Parts of a network, `alexnet_conv`, have the network's name."""
    return " and ".join(_network(part) for part in key.split("+") if part)


def _network(key: str) -> str:
    words = [re.fullmatch(r"([a-z]*)(.*)", word) for word in re.split(r"_(?=[a-z])", key.removesuffix("_conv"))]
    spelt = (f"{SPELLING.get(word[1], word[1])}{word[2]}" if word else "" for word in words)
    return " ".join(spelt).replace("- ", "-").replace("  ", " ").strip(" -")


def place(network_key: str, tap: str) -> str:
    """What was inverted: `AlexNet conv5`. Empty where nothing was."""
    return " ".join(filter(None, (network(network_key), tap.replace("+", " + "))))


def words(key: str) -> str:
    found = " ".join(SPELLING.get(word, word) for word in key.split("_"))
    return found.replace("  ", " ").strip(" -")


def baseline(key: str) -> str:
    """`floor_blocks_14` -> mosaic of 14 × 14."""
    blocks = re.fullmatch(rf"{BASELINE}_blocks_(\d+)", key)
    return f"{MOSAIC} of {blocks[1]} × {blocks[1]}" if blocks else words(key.removeprefix(f"{BASELINE}_"))


def methods(rows: Sequence[Mapping[str, str]], families: Mapping[str, str]) -> list[str]:
    """Of each row its family's name, and where a family has several methods at one place the words of its key."""
    same = ("family", "task", "dataset", "size", "network", "tap")
    alike = Counter(tuple(row[name] for name in same) for row in rows)
    found = []
    for row in rows:
        family = families.get(row["family"], words(row["family"]))
        several = alike[tuple(row[name] for name in same)] > 1
        found.append(f"{family} ({words(row['method'])})" if several else family)
    return [baseline(row["method"]) if row["family"] == BASELINE else name for row, name in zip(rows, found, strict=True)]
