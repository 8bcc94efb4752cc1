"""Fits the guides that the package carries: of the networks whose weights are in installed packages, at the taps after ReLUs.

    python -m benchmarks.guides            # all that are missing or stale; 20 minutes on one core

Each goes into src/relume/api/fitted/<network>.safetensors, with what it was fitted with: `relume.api.guides` uses it for nothing
else. The numbers are those of a fit at the first call, to the bit on the same processor.
"""

import json

import click
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from relume.api.guides import CARRIED, PARTS, carried, fit, fitted_with, training
from relume.api.inversion import PARAMS, configured
from relume.api.models import SIZE, Source
from relume.core.config import read_params
from relume.core.runtime import deterministic
from relume.networks.catalogue import facts
from relume.networks.pins import PINS

NETWORKS = ("alexnet_conv", "efficientnet_lite0", "vgg16_conv")


@click.command(help=__doc__)
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Only this one.  [all]")
def main(networks: tuple[str, ...]) -> None:
    whole = read_params(PARAMS)
    deterministic()
    torch.set_num_threads(1)  # as the pipeline
    for network in networks or NETWORKS:
        source = Source(network, device="cpu")
        for tap in facts(network).taps:
            opened = source.opened({tap: 1.0}, SIZE)
            config = configured(opened, opened.recipe, {}, whole)
            if tap.endswith("_pre") or not config.losses.guide or carried(opened, config):
                continue
            dataset = training(config.dataset, whole)
            made = fit(opened, config, dataset, progress=True)
            add(
                network,
                tap,
                {part: getattr(made, part) for part in PARTS},
                fitted_with(opened, config, dataset.manifest["index_sha256"]),
            )
            click.echo(f"{network} {tap}")


def add(network: str, tap: str, parts: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    """One file per network, since a guide alone is a few kilobytes."""
    path, tensors, known = CARRIED / f"{network}.safetensors", {}, {}
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            known = json.loads(file.metadata()["fitted"])
    tensors |= {f"{tap}/{part}": value.contiguous() for part, value in parts.items()}
    path.write_bytes(
        save(tensors, {"fitted": json.dumps({**known, tap: about}, sort_keys=True)})
    )  # save_file makes it readable by its owner only


if __name__ == "__main__":
    main()
