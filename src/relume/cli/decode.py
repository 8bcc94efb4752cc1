"""What `relume decode` does: a picture's features through a trained decoder, the result beside the original."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from relume import api
from relume.cli import show
from relume.core.files import find_root
from relume.core.images import to_float, to_uint8
from relume.evaluation.floors import blocks
from relume.evaluation.pixel import psnr

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The command's options."""

    picture: Path
    decoder: str
    out: Path | None
    no_picture: bool


def run(order: Order, tell: Tell) -> None:
    """From the command's options to the picture beside the original; every fault is told before a network is loaded."""
    root = find_root(Path.cwd())
    decoder, weights = api.decoder(order.decoder, decoders=root / api.DECODERS), root / api.WEIGHTS
    network = api.at_hand(decoder.network, decoder.taps, weights=weights)
    default = Path(f"{order.picture.stem}_decoded_{decoder.name}.png")
    out = show.target("--out", order.out or default, ".png", order.picture)
    original = api.picture(order.picture, decoder.size)
    tell(f"{decoder.name}: {network} {'+'.join(decoder.taps)}, {decoder.size} px")
    image = api.decode(api.features(original, network, decoder.taps, weights=weights), decoder)
    sheet = show.beside(out, to_uint8(original)[0], image[0])
    if not order.no_picture and show.can_show(sys.stdout):
        tell(show.fitting(sheet))
    reached, floor = (float(psnr(made, original)) for made in (to_float(image), to_float(to_uint8(blocks(original, 1)))))
    tell(f"{out}\nPSNR {reached:.2f} dB; its own mean colour {floor:.2f} dB")
