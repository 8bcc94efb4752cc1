"""Section `import_gan`."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.training.config import Name


@config
class ExternalGan:
    """A generator that others have trained."""

    kind: Literal["stylegan"]
    source: Annotated[str, Field(min_length=1)]  # a file, or its address; its name is also looked for in RELUME_WEIGHTS
    sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of that file: so the file itself is no dependency
    pixels: int = Field(ge=8)  # px of its pictures

    def __post_init__(self) -> None:
        if self.pixels & (self.pixels - 1):
            raise ValueError(f"pixels: 8, 16, 32, … px are wanted, got {self.pixels}")


@config
class ImportGan:
    models: dict[Name, ExternalGan]
