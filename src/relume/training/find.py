"""Finds trained models by name or folder."""

from collections.abc import Iterable
from pathlib import Path

from relume.core.errors import UserError, one_of
from relume.core.files import read_json
from relume.training.models import CARD


def model_folder(
    kind: str, name: str | Path, models: Path, *, stages: str, names: Iterable[str] | None = None, more: Iterable[str] = ()
) -> Path:
    """The folder `name` below `models`, or the folder `name` itself, with a model of this kind. For the error: `stages` write
    such models; `names` are allowed (default: all in `models`), and `more`."""
    folder = next((place for place in (models / name, Path(name)) if (place / CARD).exists()), None)
    if folder is None:
        allowed = names if names is not None else [card.parent.name for card in models.glob(f"*/{CARD}")]
        raise UserError(
            f"unknown model {str(name)!r} in {models}; {one_of([*allowed, *more], str(name))}, or a folder. "
            f"`dvc repro {stages}` writes the models in params.yaml"
        )
    if (found := read_json(folder / CARD).get("kind")) != kind:
        raise UserError(f"{folder}: needs a model of kind {kind!r}, got {found!r}")
    return folder
