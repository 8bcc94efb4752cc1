"""Decoders that ship with relume, in models/pretrained of the repository, and where a decoder of a name is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relume.core.config import build
from relume.core.errors import UserError, one_of
from relume.core.files import read_json
from relume.methods.decoder.config import DECODERS, DecoderConfig
from relume.networks.catalogue import trunk

CARD = "model.json"

_, LIST = DECODERS
SHIPPED = Path(__file__).parents[2] / "pretrained"


def cards() -> dict[str, dict[str, Any]]:
    """Name -> card."""
    return {path.parent.name: read_json(path) for path in sorted(SHIPPED.glob(f"*/{CARD}"))}


def configs() -> dict[str, DecoderConfig]:
    """Name -> what it was trained with."""
    return {name: build(DecoderConfig, card["config"], name) for name, card in cards().items()}


def of(network: str, taps: Sequence[str], size: int) -> str | None:
    """The name of the one for these features, if there is one. A network's convolutions alone give the same features."""
    for name, card in cards().items():
        config = card["config"]
        if (trunk(config["network"]), set(config["taps"]), card["size"]) == (trunk(network), set(taps), size):
            return name
    return None


def find(name: str, roots: Sequence[Path]) -> Path:
    """The folder of a decoder, in the first of the folders that has it."""
    found = next((root / name for root in roots if (root / name / CARD).exists()), None)
    if found is None:
        known = [card.parent.name for root in roots for card in sorted(root.glob(f"*/{CARD}"))]
        raise UserError(f"no decoder {name!r} in {', '.join(map(str, roots))}; {one_of(known, name)}")
    return found
