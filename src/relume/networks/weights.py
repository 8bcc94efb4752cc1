"""Reads `models/weights/<network>/`, `model.safetensors` and `model.json`, held to the sha256 pinned in the repository."""

from pathlib import Path
from typing import Any

from torch import Tensor

from relume.core.errors import UserError
from relume.core.files import read_json
from relume.networks.catalogue import PINS
from relume.networks.tensors import digest

TENSORS, CARD = "model.safetensors", "model.json"


class WeightStore:
    """The weights that a stage has declared: each folder is a root (`models/weights`) or one network's own."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The converted tensors, as pinned."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = self.folder(name)
        try:
            tensors: dict[str, Tensor] = load_file(folder / TENSORS)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder / TENSORS} cannot be read ({error}): remove {folder} and run `dvc repro weights`") from None
        wanted = PINS.get(name) or self.card(name)["sha256"]
        if (got := digest(tensors)) != wanted:
            mend = f"remove {folder} and run `dvc repro weights`"
            raise UserError(f"{folder / TENSORS}: its tensors have sha256 {got}, pinned is {wanted}: {mend}")
        return tensors

    def card(self, name: str) -> dict[str, Any]:
        """What `model.json` says."""
        card: dict[str, Any] = read_json(self.folder(name) / CARD)
        return card

    def folder(self, name: str) -> Path:
        """Where the weights of `name` lie, or an error that says what is here."""
        for folder in self.folders:
            if (folder / CARD).exists():
                if read_json(folder / CARD)["name"] == name:
                    return folder
            elif (folder / name / CARD).exists():
                return folder / name
        here = ", ".join(self.names()) or "none"
        raise UserError(
            f"the weights of {name} are not among those declared (here: {here}; looked in {', '.join(map(str, self.folders))}): "
            f"name {name} under weights.networks and run `dvc repro weights`, or declare it as a dependency of this stage"
        )

    def names(self) -> list[str]:
        """Everything that is here."""
        cards = [card for folder in self.folders for card in sorted(folder.glob(f"**/{CARD}"))]
        return sorted({str(read_json(card)["name"]) for card in cards})
