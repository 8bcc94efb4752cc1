"""`relume compare`: every method that is at hand on one image, on one page."""

import html
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from relume.api.decoding import MODELS, Decoder
from relume.api.inversion import Inversion
from relume.api.models import Source
from relume.api.pictures import load
from relume.api.results import data_url
from relume.api.settings import NO_DECODER, changes
from relume.cli import show
from relume.core.errors import UserError
from relume.core.files import atomic, find_root
from relume.core.images import to_uint8
from relume.evaluation.floors import blocks
from relume.evaluation.pixel import psnr, ssim
from relume.methods.decoder.shipped import SHIPPED, cards
from relume.networks.catalogue import trunk

DEFAULTS = ("conv1", "conv2", "conv3", "conv5")  # of AlexNet
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:16px system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}}
div{{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:1.5rem}}figure{{margin:0}}
img{{width:100%;image-rendering:auto}}:root{{color-scheme:light dark}}</style>
<h1>{title}</h1><p>All but the original and its mean colour are made from features alone.
PSNR in dB and SSIM to the original; higher is better.</p><div>{figures}</div></html>
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command's options."""

    picture: Path
    network: str
    layers: tuple[str, ...]
    weights: str | None
    size: int | None
    steps: int | None
    out: Path | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a method makes of the image, (1, C, H, W), and the original as the method was shown it."""

    name: str
    image: Tensor
    original: Tensor
    seconds: float = 0.0

    def __str__(self) -> str:
        made, true = (one[:, :3].expand(-1, 3, -1, -1) for one in (self.image, self.original))
        took = f", {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.name}: {float(psnr(made, true)):.2f} dB, SSIM {float(ssim(made, true)):.3f}{took}"

    def figure(self) -> str:
        alt = html.escape(self.name)
        return f'<figure><img src="{data_url(to_uint8(self.image)[0])}" alt="{alt}"><figcaption>{html.escape(str(self))}</figure>'


def run(options: Options) -> None:
    """Checks all options, then tells each method's scores as they come."""
    default = Path(f"{options.picture.stem}_compared.html")
    out = show.output_path("--out", options.out or default, ".html", options.picture)
    source = Source(options.network, weights=options.weights)
    differences = changes(options.steps, None, None, None, None)
    layers = options.layers or (DEFAULTS if options.network.startswith("alexnet") else ())
    if not layers:
        raise UserError(f"--layer: at least one is needed; `relume list taps {options.network}` lists those of {options.network}")

    def work(layer: str, decoder: str | None) -> Inversion:
        return Inversion(source, layer, options.picture, size=options.size, decoder=decoder, **differences)

    works = [work(layer, NO_DECODER) for layer in layers]
    works += [begun for layer in layers if (begun := work(layer, None)).decoder]
    original = works[0].originals
    assert original is not None
    own, network = find_root(Path.cwd()) / MODELS, trunk(works[0].opened.name)
    ship = [SHIPPED / name for name, card in cards().items() if trunk(card["config"]["network"]) == network]
    decoders = [Decoder.load(folder) for folder in (*ship, *sorted(card.parent for card in own.glob("*/model.json")))]
    found = [Found(name="mean colour of the original", image=blocks(original, 1), original=original)]
    for one in _all(works, decoders, options.picture):
        click.echo(str(one))
        found.append(one)
    first = f'<figure><img src="{data_url(to_uint8(original)[0])}" alt="original"><figcaption>original</figure>'
    with atomic(out) as temporary:
        title = html.escape(f"What features keep of {options.picture.name}")
        temporary.write_text(PAGE.format(title=title, figures=first + "".join(one.figure() for one in found)))
    click.echo(str(out))


def _all(works: list[Inversion], decoders: list[Decoder], picture: Path) -> Iterator[Found]:
    for work in works:
        result = work.run()
        assert result.originals is not None
        begun = f" from decoder {work.decoder.name}" if work.decoder else ""
        yield Found(
            name=f"{result.title}, optimisation{begun}", image=result.images, original=result.originals, seconds=result.seconds
        )
    for decoder in decoders:
        trained, started = decoder.trained, time.perf_counter()
        original = load(picture, size=trained.size, channels=3)
        with torch.no_grad():
            image = decoder(original)
        name = f"{trained.network} {'+'.join(trained.taps)}, decoder {trained.name}"
        yield Found(name=name, image=image, original=original, seconds=time.perf_counter() - started)
