"""`relume decode`: decodes the features of an image by a trained decoder, and saves it beside the original."""

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from relume import api
from relume.cli import show
from relume.core.files import find_root
from relume.core.images import to_float, to_uint8
from relume.evaluation.floors import blocks
from relume.evaluation.pixel import psnr


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command's options."""

    picture: Path
    decoder: str
    out: Path | None
    no_picture: bool


def run(options: Options) -> None:
    """Checks all options before loading a network."""
    root = find_root(Path.cwd())
    decoder, weights = api.decoder(options.decoder, decoders=root / api.DECODERS), root / api.WEIGHTS
    network = api.available_network(decoder.network, decoder.taps, weights=weights)
    default = Path(f"{options.picture.stem}_decoded_{decoder.name}.png")
    out = show.output_path("--out", options.out or default, ".png", options.picture)
    original = api.picture(options.picture, decoder.size)
    click.echo(f"{decoder.name}: {network} {'+'.join(decoder.taps)}, {decoder.size} px")
    image = api.decode(api.features(original, network, decoder.taps, weights=weights), decoder)
    sheet = show.save_side_by_side(out, to_uint8(original)[0], image[0])
    if not options.no_picture and show.can_show(sys.stdout):
        click.echo(show.fit_terminal(sheet))
    value, baseline = (float(psnr(made, original)) for made in (to_float(image), to_float(to_uint8(blocks(original, 1)))))
    click.echo(f"{out}\nPSNR {value:.2f} dB; baseline (mean colour) {baseline:.2f} dB")
