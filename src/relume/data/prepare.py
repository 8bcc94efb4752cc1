"""Writes `data/images/<dataset>/` from an entry of `prepare.datasets`."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relume.core.errors import UserError
from relume.data.config import Source
from relume.data.pictures import Contents
from relume.data.sources import cifar, folder, imagenet_val, photos, tiny_imagenet
from relume.data.write import write

SOURCES: dict[str, Callable[[Any, Path], Contents]] = {
    "photos": photos.contents,
    "cifar10": cifar.contents,
    "cifar100": cifar.contents,
    "tiny_imagenet": tiny_imagenet.contents,
    "imagenet_val": imagenet_val.contents,
    "folder": folder.contents,
}


def prepare(config: Source, out: Path, *, name: str, max_bad: int = 0, processes: int | None = None) -> dict[str, Any]:
    """Writes the dataset to `out` and returns its manifest. `processes`: None, as many as CPU cores."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.", ignore_cleanup_errors=True) as scratch:
            contents = SOURCES[config.source](config, Path(scratch))
            short_side = getattr(config, "short_side", None)
            return write(
                out, contents, name=name, size=config.pixels, short_side=short_side, max_bad=max_bad, processes=processes
            )
    except UserError as error:
        raise UserError(f"prepare.datasets.{name}: {error}") from None
    except OSError as error:
        raise UserError(f"prepare.datasets.{name}: {error.filename or out}: {error.strerror or error}") from error
