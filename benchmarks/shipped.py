"""Decoders that ship: float16 weights, and a card with training data and scores."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save

from relume.core.files import read_json, write_json
from relume.networks.weights import digest
from relume.training.models import CARD, TENSORS, read_model

LEFT_OUT = ("digest", "device", "commit", "seconds")
SCORES = ("n", "psnr", "psnr_lo", "psnr_hi", "ssim")
LICENCE = "MIT, as relume; the pictures that it learned from have their owners' terms (ImageNet: research)"
LIMITS = (
    "Learned from few natural pictures by the mean squared error: it blurs what the features leave open. It decodes the features "
    "of one network at one picture size. The network saw ImageNet in its own training, perhaps the test pictures too."
)
HEAD = """# Decoders that ship with relume

Each turns features of a network into a picture: `relume decode my.jpg --decoder NAME`, or `relume.Decoder.pretrained(NAME)`.
`model.safetensors` has the weights in float16, `model.json` the configuration, data, steps and scores. They are in git, not in
DVC: a clone and the installed package decode at once, without a remote. All together have at most 25 MB. They are made by

{commands}

Scores are those of the float16 weights on test photographs, on which nothing was chosen; intervals are of 95 %.

Licence: {licence}.

Limits: {limits}

| name | features | PSNR, dB | SSIM | n | steps x batch | MB |
| --- | --- | --- | --- | --- | --- | --- |
"""


def halved(folder: Path, out: Path) -> Path:
    """The model in half precision, its best weights and card alone."""
    tensors, card = read_model(folder, "decoder")
    half = {name: value.half() if value.is_floating_point() else value for name, value in sorted(tensors.items())}
    out.mkdir(parents=True, exist_ok=True)
    (out / TENSORS).write_bytes(save(half))
    write_json(out / CARD, {key: value for key, value in card.items() if key not in LEFT_OUT} | {"sha256": digest(half)})
    return out


def describe(folders: Iterable[Path], rows: Sequence[Mapping[str, str]], about: Mapping[str, Any]) -> None:
    """Writes scores into each card. `rows`: the leaderboard; `about`: the provenance of it."""
    scores = {row["method"]: {key: float(row[key]) for key in SCORES if row[key]} for row in rows}
    for folder in folders:
        test = {**scores[folder.name], "data": about["data"], "made_by": about["command"]}
        write_json(folder / CARD, read_json(folder / CARD) | {"test": test, "licence": LICENCE, "limits": LIMITS})


def page(folder: Path) -> None:
    """Writes README.md, the list of all of them."""
    lines, commands = [], set()
    for path in sorted(folder.glob(f"*/{CARD}")):
        card = read_json(path)
        config, test, size = card["config"], card["test"], (path.parent / TENSORS).stat().st_size / 1e6
        psnr = f"{test['psnr']:.2f} [{test['psnr_lo']:.2f}, {test['psnr_hi']:.2f}]"
        steps = f"{config['training']['steps']} x {config['training']['batch']}"
        features = f"{config['network']} {'+'.join(config['taps'])}, {card['size']} px"
        cells = [
            f"`{card['name']}`",
            features,
            psnr,
            f"{test['ssim']:.3f}" if "ssim" in test else "",
            f"{test['n']:.0f}",
            steps,
            f"{size:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        commands.add(f"    {test['made_by']}")
    told = HEAD.format(commands="\n".join(sorted(commands)), licence=LICENCE, limits=LIMITS)
    (folder / "README.md").write_text(told + "\n".join(lines) + "\n")
