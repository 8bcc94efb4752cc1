"""Sections `train_masked` and `reconstruct_masked`: architectures, trainings and groups of masked models."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.files import NONE, given
from relume.core.references import Count, Dataset, Entry, Folder, Once, Same, Split, TrainingSet, Validation
from relume.data.masks_config import Masks
from relume.training.config import Augment, Name, Training


def _heads(width: int, heads: int, where: str = "heads") -> None:
    if width % (4 * heads):
        raise ValueError(f"{where}: {heads} heads do not share {width} channels by fours")


@config
class EnergyTransformerConfig:
    """The Energy Transformer port: D 256, H 12, Y 64, M 1024, T 12, alpha 10, beta 0.125; the paper: D 768, M 3072, alpha 0.1."""

    kind: Literal["energy_transformer"]
    width: int = Field(ge=1)  # D, of a token
    heads: int = Field(ge=1)  # H
    key: int = Field(ge=1)  # Y, of a head's keys and queries; heads need not share D
    memories: int = Field(ge=1)  # M
    steps: int = Field(ge=1)  # T, all with the same weights
    alpha: float = Field(gt=0)  # length of a step
    beta: float = Field(gt=0)  # how sharply a query tells keys apart
    own_key: bool = True  # a query also meets its own token's key, as in the paper's code; its text leaves that one out
    start: Literal["token", "interpolated"] = "token"  # a hidden cell's: a learned token alone, or also colours from around it
    noise: float = Field(default=0.0, ge=0)  # deviation, times the root of alpha, of what is added to a step in training
    init: float = Field(default=0.002, gt=0)  # deviation of the first keys', queries', positions' and special tokens' weights
    memory_init: float = Field(default=0.02, gt=0)  # of the first memories
    attention: Literal["plain", "fused"] = "plain"  # fused: memory grows with the tokens, not their square; the same result


@config
class Transformer:
    """A stack of blocks."""

    width: int = Field(ge=8)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)

    def __post_init__(self) -> None:
        _heads(self.width, self.heads)


@config
class MaeConfig:
    """Masked autoencoder: the encoder sees what is visible, a lighter decoder the rest."""

    kind: Literal["mae"]
    encoder: Transformer
    decoder: Transformer
    norm_pix: bool  # patches are predicted in units of their own deviation, and their mean and deviation beside


@config
class MixedAeConfig:
    """Mixed autoencoder: in training the encoder sees two pictures' patches in one."""

    kind: Literal["mixed_ae"]
    encoder: Transformer
    decoder: Transformer
    recognition: float = Field(ge=0)  # weight of telling which patches are of one picture; published 0.1
    temperature: float = Field(gt=0)  # of that; published 0.25
    projection: int = Field(ge=2)  # numbers per token in which that is told


@config
class SimMimConfig:
    """SimMIM on a Swin Transformer."""

    kind: Literal["simmim"]
    patch: int = Field(ge=1)  # px; mask cells are multiples of it
    width: int = Field(ge=8)  # of the first stage; every further one has twice as many and half the side
    depths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)  # blocks per stage; even: windows shift in pairs
    heads: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)  # per stage
    window: int = Field(ge=2)  # tokens per side of what a token attends to

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.depths):
            raise ValueError(f"heads: one number per stage is wanted, {len(self.depths)}; got {list(self.heads)}")
        for stage, heads in enumerate(self.heads):
            if self.width * 2**stage % heads:
                raise ValueError(f"heads: {heads} heads do not share {self.width * 2**stage} channels")


@config
class TokenizerConfig:
    """The discrete visual tokenizer: a code per patch, of as many kinds as the product of `levels`."""

    kind: Literal["tokenizer"]
    width: int = Field(ge=4)
    levels: tuple[Annotated[int, Field(ge=3)], ...] = Field(min_length=1)  # odd: how many values each coordinate of a code has

    def __post_init__(self) -> None:
        if any(level % 2 == 0 for level in self.levels):
            raise ValueError(f"levels: odd numbers are wanted, so that 0 is a level; got {list(self.levels)}")


@config
class BeitConfig:
    """BEiT: the codes of hidden patches are predicted. `tokenizer` is that of the trained tokenizer that it is given."""

    kind: Literal["beit"]
    encoder: Transformer
    tokenizer: TokenizerConfig


MaskedArchitecture = Annotated[
    EnergyTransformerConfig | MaeConfig | MixedAeConfig | SimMimConfig | BeitConfig | TokenizerConfig, Field(discriminator="kind")
]


MODELS = "models/masked"


@config
class SharedMasked:
    """What masked models have in common, unless one says otherwise."""

    dataset: Annotated[TrainingSet, Same("train_masked.shared.dataset")]
    masks: Masks  # drawn anew at every step; the same for all models on validation pictures
    augment: Augment
    training: Training
    validation: Validation = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class MaskedConfig(SharedMasked):
    """One masked model."""

    architecture: MaskedArchitecture
    tokenizer: Annotated[str, Folder(MODELS, ("train_masked.models",), none=True)] = str(NONE)  # the folder of BEiT's

    @property
    def tokenized(self) -> bool:
        return given(self.tokenizer)

    def __post_init__(self) -> None:
        if self.tokenized != (self.architecture.kind == "beit"):
            raise ValueError(f"tokenizer: {MODELS}/<name> for architecture beit, {NONE} for others; got {self.tokenizer!r}")


@config
class ReconstructMasked:
    """One entry of section `reconstruct_masked`: a group, with a method for each of its models, and for each baseline."""

    dataset: Dataset
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    pattern: Literal["random", "block", "grid"]  # of masks
    ratios: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Once] = Field(
        min_length=1
    )  # shares of the cells that are hidden
    cell: int = Field(ge=1)  # px; the models have learned with cells of this size
    models: Annotated[tuple[Annotated[str, Entry(("train_masked.models",))], ...], Once]  # of `train_masked.models`


MaskedGroups = dict[Name, ReconstructMasked]  # the section
