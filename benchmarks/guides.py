"""Fits the guides that ship with the package, for networks whose weights come with packages, at taps after ReLUs.

    python -m benchmarks.guides            # those that are missing or stale; a quarter of an hour on one core, most of it VGG16

They go into src/relume/api/fitted/<network>.safetensors, with what they were fitted with: `relume.api.guides` uses them for
nothing else. The numbers are those of a fit at the first call, to the bit on the same processor.
"""

import json
from collections.abc import Iterator

import click
import torch
from safetensors.torch import load_file, save
from tqdm import tqdm

from relume.api.guides import CARRIED, PARTS, carried, fitted_with, known, training
from relume.api.models import SIZE, Opened, Source
from relume.api.settings import PARAMS, configured
from relume.core.config import read_params
from relume.core.runtime import deterministic
from relume.data.store import Dataset
from relume.methods.optimise.config import InversionConfig
from relume.methods.optimise.guide import Guide, fit
from relume.methods.optimise.targets import BATCH
from relume.networks.catalogue import facts

NETWORKS = ("alexnet_conv", "efficientnet_lite0", "vgg16_conv")


@click.command(help=__doc__)
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Only this one.  [all]")
def main(networks: tuple[str, ...]) -> None:
    whole = read_params(PARAMS)
    deterministic()
    torch.set_num_threads(1)  # as in the pipeline
    for network in networks or NETWORKS:
        source, wanted = Source(network, device="cpu"), dict[str, InversionConfig]()
        for tap in (tap for tap in facts(network).taps if not tap.endswith(("_pre", "logits"))):
            opened = source.opened({tap: 1.0}, SIZE)
            config = configured(opened, opened.recipe, {}, whole)
            if config.losses.guide and carried(opened, config) is None:
                wanted[tap] = config
        if wanted:
            opened = source.opened(dict.fromkeys(wanted, 1.0), SIZE)
            dataset = training(next(iter(wanted.values())).dataset, whole)
            for tap, made in fitted(opened, wanted, dataset):
                add(network, tap, made, fitted_with(opened, wanted[tap], dataset.manifest["index_sha256"]))
                click.echo(f"{network} {tap}")


def fitted(opened: Opened, wanted: dict[str, InversionConfig], dataset: Dataset) -> Iterator[tuple[str, Guide]]:
    """One pass of the network serves all taps."""
    (count,) = {config.terms.guide.pictures for config in wanted.values()}
    rows = dataset.select("train")[:count]
    batches = [dataset.pixels(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]
    seen = [opened.features(torch.cat([one, one.flip(-1)]), 2 * BATCH) for one in tqdm(batches, desc=opened.name, unit="batch")]
    for tap, config in wanted.items():
        each = iter(seen)
        yield tap, fit(lambda _, tap=tap, each=each: {tap: next(each)[tap]}, batches, config.terms.guide)  # type: ignore[misc]


def add(network: str, tap: str, made: Guide, about: dict[str, object]) -> None:
    """One file per network, since a guide alone is a few kilobytes."""
    path = CARRIED / f"{network}.safetensors"
    tensors = load_file(path) if path.exists() else {}
    tensors |= {f"{tap}/{part}": getattr(made, part).contiguous() for part in PARTS}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(save(tensors, {"fitted": json.dumps({**known(path), tap: about}, sort_keys=True)}))


if __name__ == "__main__":
    main()
