"""Masked models by the names in `params.yaml`."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from relume.core.errors import UserError
from relume.methods.masked.base import MaskedModel, Prediction
from relume.methods.masked.beit import Beit
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.mae import Mae
from relume.methods.masked.mixed_ae import MixedAe
from relume.methods.masked.simmim import SimMim
from relume.methods.masked.tokenizer import Tokenizer
from relume.methods.masked.unet import Unet

MASKED: dict[str, Callable[[Any, int, int], MaskedModel]] = {
    "energy_transformer": EnergyTransformer,
    "mae": Mae,
    "mixed_ae": MixedAe,
    "simmim": SimMim,
    "unet": Unet,
    "beit": Beit,
    "tokenizer": Tokenizer,
}


@runtime_checkable
class Mixing(Protocol):
    """A model that is trained on mixed images."""

    def mixed(self, images: Tensor, partners: Tensor, hidden: Tensor) -> Prediction: ...


def build(architecture: Any, size: int, cell: int) -> MaskedModel:
    """The model of `architecture` (a class of `methods/masked/config.py`), with random weights; `cell`: of masks, px."""
    try:
        return MASKED[architecture.kind](architecture, size, cell)
    except ValueError as error:
        raise UserError(f"architecture {architecture.kind}: {error}") from None
