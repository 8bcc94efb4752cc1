"""Decoders that ship: in half precision, with a card that says what they learned from and how good they are."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save

from relume.core.files import read_json, write_json
from relume.networks.weights import digest
from relume.training.models import CARD, TENSORS, read_model

LEFT_OUT = ("digest", "device", "commit", "seconds")
SCORES = ("n", "psnr", "psnr_lo", "psnr_hi", "ssim", "lpips_vgg")
LICENCE = "MIT, as relume; the pictures that it learned from have their owners' terms (ImageNet: research)"
LIMITS = (
    "Learned from few natural pictures by the mean squared error: it blurs what the features leave open. It decodes the features "
    "of one network at one picture size. The network saw ImageNet in its own training, perhaps the test pictures too."
)
HEAD = """# Decoders that ship with relume

Each turns features of a network into a picture: `relume decode my.jpg --decoder NAME`, or `relume.Decoder.pretrained(NAME)`.
`model.safetensors` has the weights in float16, `model.json` the configuration, data, steps and scores.

Made by: `{command}`

{data}. Scores are those of the float16 weights on the test photographs, on which nothing was chosen; 95 % intervals.

| name | features | PSNR, dB | SSIM | LPIPS (VGG) | n | steps x batch | MB |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def halved(folder: Path, out: Path) -> Path:
    """The model in half precision, its best weights and card alone."""
    tensors, card = read_model(folder, "decoder")
    half = {name: value.half() if value.is_floating_point() else value for name, value in sorted(tensors.items())}
    out.mkdir(parents=True, exist_ok=True)
    (out / TENSORS).write_bytes(save(half))
    write_json(out / CARD, {key: value for key, value in card.items() if key not in LEFT_OUT} | {"sha256": digest(half)})
    return out


def describe(folders: Iterable[Path], rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Scores into each card, and a page over all. `rows`: the leaderboard."""
    scores = {row["method"]: {key: row[key] for key in SCORES} for row in rows}
    lines, page = [], Path()
    for folder in folders:
        card, own = read_json(folder / CARD), scores[folder.name]
        told = {"test": own | {"data": about["data"], "made_by": about["command"]}, "licence": LICENCE, "limits": LIMITS}
        write_json(folder / CARD, card | told)
        config, training = card["config"], card["config"]["training"]
        size = (folder / TENSORS).stat().st_size / 1e6
        lines.append(
            f"| `{folder.name}` | {config['network']} {'+'.join(config['taps'])} "
            f"| {own['psnr']:.2f} [{own['psnr_lo']:.2f}, {own['psnr_hi']:.2f}] | {own['ssim']:.3f} | {own['lpips_vgg']:.3f} "
            f"| {own['n']} | {training['steps']} x {training['batch']} | {size:.1f} |"
        )
        page = folder.parent / "README.md"
    page.write_text(HEAD.format(**about) + "\n".join(lines) + f"\n\nLicence: {LICENCE}.\n\nLimits: {LIMITS}\n")
