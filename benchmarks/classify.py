"""Top-1 accuracy of a network on an ImageFolder named by ImageNet's wnids (`<wnid>` or `<wnid>_<name>`).

`python -m benchmarks.classify FOLDER` with the weights in models/weights. Protocol: short side to size / 0.875, centre crop.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from relume.core.errors import UserError
from relume.core.images import to_float
from relume.networks.catalogue import facts
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

SUFFIXES = {".jpg", ".jpeg", ".png"}
CROP = 0.875  # of the resized picture's short side, as ImageNet's classifiers are scored


def classes() -> list[str]:
    """The wnids of the 1000 classes in the order of the logits."""
    from timm.data import ImageNetInfo

    return list(ImageNetInfo().label_names())


def pictures(folder: Path, count: int) -> list[tuple[str, Path]]:
    """(wnid, file): `count` of them spread evenly over the sorted tree, 0 for all."""
    found = [(file.parent.name.split("_")[0], file) for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES]
    if not found:
        raise UserError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}) in folders named by wnid")
    if not count or count >= len(found):
        return found
    return [found[i * len(found) // count] for i in range(count)]


def crop(file: Path, size: int) -> np.ndarray:
    with Image.open(file) as picture:
        rgb = picture.convert("RGB")
    scale = size / CROP / min(rgb.size)
    resized = rgb.resize((round(rgb.width * scale), round(rgb.height * scale)), Image.Resampling.BICUBIC)
    left, top = (resized.width - size) // 2, (resized.height - size) // 2
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def guesses(network: Network, files: list[Path], batch: int) -> Iterator[int]:
    with collect(network, ["logits"]) as taps, torch.inference_mode():
        for start in range(0, len(files), batch):
            pixels = np.stack([crop(file, network.facts.size) for file in files[start : start + batch]])
            yield from taps(to_float(pixels))["logits"].argmax(1).tolist()


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--network", default="efficientnet_lite0", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), default=Path("models/weights"), show_default=True)
@click.option("--count", default=100, show_default=True, help="Images, spread evenly over the tree; 0 for all.")
def main(folder: Path, network: str, weights: Path, count: int) -> None:
    order, chosen = {wnid: i for i, wnid in enumerate(classes())}, pictures(folder, count)
    foreign = sorted({wnid for wnid, _ in chosen} - order.keys())
    if foreign:
        raise click.ClickException(f"{folder}: no classes of ImageNet-1k: {', '.join(foreign[:5])}")
    if "logits" not in facts(network).taps:
        raise click.ClickException(f"{network} does not classify")
    try:
        loaded = load(network, WeightStore(weights))
    except UserError as error:
        raise click.ClickException(str(error)) from None
    right = [guess == order[wnid] for guess, (wnid, _) in zip(guesses(loaded, [f for _, f in chosen], 16), chosen, strict=True)]
    click.echo(json.dumps({"network": network, "right": sum(right), "n": len(right)}))


if __name__ == "__main__":
    main()
