"""`relume decode`: decodes the features of an image by a trained decoder, and saves it beside the original."""

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from relume.api.decoding import Decoder
from relume.api.pictures import load
from relume.cli import show
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
    decoder = Decoder.load(options.decoder)
    trained = decoder.trained
    default = Path(f"{options.picture.stem}_decoded_{trained.name}.png")
    out = show.output_path("--out", options.out or default, ".png", options.picture)
    original = load(options.picture, size=trained.size, channels=3)
    click.echo(f"{trained.name}: {trained.network} {'+'.join(trained.taps)}, {trained.size} px")
    image = to_uint8(decoder(original))
    sheet = show.save_panels(out, [to_uint8(original)[0], image[0]], ["original", trained.name])
    if not options.no_picture and show.can_show(sys.stdout):
        click.echo(show.fit_terminal(sheet))
    value, baseline = (float(psnr(made, original)) for made in (to_float(image), to_float(to_uint8(blocks(original, 1)))))
    click.echo(f"{out}\nPSNR {value:.2f} dB; baseline (mean colour) {baseline:.2f} dB")
