"""`relume decode`: decodes the features of an image by a trained decoder, and saves it beside the original."""

import sys
from pathlib import Path

import click

from relume.api.decoding import Decoder
from relume.api.pictures import load
from relume.cli import show
from relume.core.images import to_float, to_uint8
from relume.evaluation.floors import blocks
from relume.evaluation.pixel import psnr


def run(picture: Path, *, decoder: str, out: Path | None, no_picture: bool) -> None:
    """Checks all options before loading a network."""
    opened = Decoder.load(decoder)
    trained = opened.trained
    default = Path(f"{picture.stem}_decoded_{trained.name}.png")
    out = show.output_path("--out", out or default, ".png", picture)
    original = load(picture, size=trained.size, channels=3)
    click.echo(f"{trained.name}: {trained.network} {'+'.join(trained.taps)}, {trained.size} px")
    image = to_uint8(opened(original))
    sheet = show.save_panels(out, [to_uint8(original)[0], image[0]], ["original", trained.name])
    if not no_picture and show.can_show(sys.stdout):
        click.echo(show.fit_terminal(sheet))
    value, baseline = (float(psnr(made, original)) for made in (to_float(image), to_float(to_uint8(blocks(original, 1)))))
    click.echo(f"{out}\nPSNR {value:.2f} dB; baseline (mean colour) {baseline:.2f} dB")
