"""Sections `train_masked` and `reconstruct_masked`: architectures, trainings and groups of masked models."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.files import NONE, given
from relume.core.references import Count, Dataset, Entry, Folder, Once, Same, Split, TrainingSet, Validation
from relume.data.config import Masks
from relume.training.config import Augment, Name, Training


def _heads(width: int, heads: int, where: str = "heads") -> None:
    if width % (4 * heads):
        raise ValueError(f"{where}: 4 x heads must divide the width, {width}; got {heads}")


@config
class EnergyTransformerConfig:
    """The Energy Transformer port: D 256, H 12, Y 64, M 1024, T 12, alpha 10, beta 0.125; the paper: D 768, M 3072, alpha 0.1."""

    kind: Literal["energy_transformer"]
    width: int = Field(ge=1)  # D, of a token
    heads: int = Field(ge=1)  # H
    key: int = Field(ge=1)  # Y, channels of a head's keys and queries, independent of D
    memories: int = Field(ge=1)  # M
    steps: int = Field(ge=1)  # T, with shared weights
    alpha: float = Field(gt=0)  # step size
    beta: float = Field(gt=0)  # inverse temperature of the attention
    own_key: bool = True  # a query attends to its own token's key, as in the paper's code, but not in its text
    start: Literal["token", "linear"] = "token"  # of hidden cells: a learned token, or its sum with the linear prediction
    noise: float = Field(default=0.0, ge=0)  # std of the noise per step in training, times sqrt(alpha)
    init: float = Field(default=0.002, gt=0)  # initial std of keys, queries, positions and special tokens
    memory_init: float = Field(default=0.02, gt=0)  # initial std of the memories


@config
class Transformer:
    """A stack of Transformer blocks."""

    width: int = Field(ge=8)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)

    def __post_init__(self) -> None:
        _heads(self.width, self.heads)


@config
class MaeConfig:
    """Masked autoencoder: the input of the encoder is the visible cells only."""

    kind: Literal["mae"]
    encoder: Transformer
    decoder: Transformer
    norm_pix: bool  # predict patches normalised by their mean and std, and these two


@config
class MixedAeConfig:
    """Mixed autoencoder: in training the encoder's input mixes patches of two images."""

    kind: Literal["mixed_ae"]
    encoder: Transformer
    decoder: Transformer
    recognition: float = Field(ge=0)  # weight of homologous recognition; published 0.1
    temperature: float = Field(gt=0)  # of homologous recognition; published 0.25
    projection: int = Field(ge=2)  # channels of homologous recognition


@config
class SimMimConfig:
    """SimMIM on a Swin Transformer."""

    kind: Literal["simmim"]
    patch: int = Field(ge=1)  # px; mask cells are multiples of it
    width: int = Field(ge=8)  # channels of the first stage; each next stage has twice the channels and half the side
    depths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1
    )  # blocks per stage; every second one has shifted windows
    heads: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)  # per stage
    window: int = Field(ge=2)  # tokens per side of an attention window

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.depths):
            raise ValueError(f"heads: needs one number per stage, {len(self.depths)}; got {list(self.heads)}")
        for stage, heads in enumerate(self.heads):
            if self.width * 2**stage % heads:
                raise ValueError(f"heads: must divide the stage's channels, {self.width * 2**stage}; got {heads}")


@config
class UnetConfig:
    """A U-net on images with the linear prediction in hidden cells. Its coarsest map has an eighth of the side."""

    kind: Literal["unet"]
    width: int = Field(ge=4, multiple_of=4)  # channels of the finest map; coarser ones have twice as many
    depth: int = Field(ge=1)  # blocks at each coarser map


@config
class TokenizerConfig:
    """The discrete visual tokenizer: one code per patch; the number of codes is the product of `levels`."""

    kind: Literal["tokenizer"]
    width: int = Field(ge=4)
    levels: tuple[Annotated[int, Field(ge=3)], ...] = Field(min_length=1)  # values per coordinate of a code; odd

    def __post_init__(self) -> None:
        if any(level % 2 == 0 for level in self.levels):
            raise ValueError(f"levels: must be odd, so that 0 is a level; got {list(self.levels)}")


@config
class BeitConfig:
    """BEiT: predicts the codes of hidden patches. `tokenizer`: the architecture of its trained tokenizer."""

    kind: Literal["beit"]
    encoder: Transformer
    tokenizer: TokenizerConfig


MaskedArchitecture = Annotated[
    EnergyTransformerConfig | MaeConfig | MixedAeConfig | SimMimConfig | UnetConfig | BeitConfig | TokenizerConfig,
    Field(discriminator="kind"),
]


MODELS = "models/masked"
STRIDE = 8  # pixels per side of a cell of the U-net's coarsest map


@config
class SharedMasked:
    """Settings of all masked models; models override them."""

    dataset: Annotated[TrainingSet, Same("train_masked.shared.dataset")]
    masks: Masks  # random at every step; fixed on validation images
    augment: Augment
    training: Training
    validation: Validation = Field(ge=1)  # the first images of the validation split; null: all


@config
class MaskedConfig(SharedMasked):
    architecture: MaskedArchitecture
    tokenizer: Annotated[str, Folder(MODELS, ("train_masked.models",), none=True)] = str(NONE)  # the folder of BEiT's tokenizer

    @property
    def tokenized(self) -> bool:
        return given(self.tokenizer)

    def __post_init__(self) -> None:
        if self.tokenized != (self.architecture.kind == "beit"):
            raise ValueError(
                f"tokenizer: must be {MODELS}/<name> for architecture beit, {NONE} for others; got {self.tokenizer!r}"
            )


@config
class ReconstructMasked:
    """An entry of section `reconstruct_masked`: a group with a method per model and per baseline."""

    dataset: Dataset
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first images of the split; null: all
    pattern: Literal["random", "block", "grid"]  # of masks
    ratios: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Once] = Field(min_length=1)  # shares of hidden cells
    cell: int = Field(ge=1)  # px; the cell size of the models
    models: Annotated[tuple[Annotated[str, Entry(("train_masked.models",))], ...], Once]


MaskedGroups = dict[Name, ReconstructMasked]  # the section
