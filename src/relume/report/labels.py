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
METHODS = {  # of the default's methods and baselines, where the words of the key do not say what they are
    "s0": "published rule", "pooled": "tuned", "refined_deep": "from a decoder", "alexnet_conv5": "trained here",
    "alexnet_conv5_128": "shipped", "latent_hybrid": "from a generator", "mapper_conv5": "mapper alone",
    "latent_w_plus": "a latent per layer, W+", "latent_mean": "from the mean latent", "plain_20": "plain, 20 steps",
    "plain_noise": "plain, from noise", "plain_mapper": "plain, from the mapper", "landscape_noise": "landscape, from noise",
    "landscape_mapper": "landscape, from the mapper", "floor_inverse_distance_pixels": "inverse-distance mean of pixels",
    "floor_dataset_mean": "dataset's mean colour", "floor_mean_picture": "dataset's mean picture",
    "floor_own_mean": "picture's own mean colour", "floor_mean_style": "picture of the generator's mean latent",
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
    """`floor_blocks_14` -> mosaic of 14 × 14, `mixed_ae` -> mixed autoencoder."""
    if blocks := re.fullmatch(rf"{BASELINE}_blocks_(\d+)", key):
        return f"{MOSAIC} of {blocks[1]} × {blocks[1]}"
    found = " ".join(SPELLING.get(word, word) for word in key.removeprefix(f"{BASELINE}_").split("_"))
    return METHODS.get(key) or found.replace("  ", " ").strip(" -")


def methods(rows: Sequence[Mapping[str, str]], families: Mapping[str, str]) -> list[str]:
    """Of each row its family's name, and where a family has several methods at one place the words of its key."""
    same = ("family", "task", "dataset", "size", "network", "tap")
    alike = Counter(tuple(row[name] for name in same) for row in rows)
    found = []
    for row in rows:
        family, own = families.get(row["family"], words(row["family"])), words(row["method"])
        several = alike[tuple(row[name] for name in same)] > 1
        found.append(own if row["family"] == BASELINE else f"{family} ({own})" if several else family)
    return found
