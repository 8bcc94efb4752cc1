"""A trained surrogate as the term `surrogate` takes it, held to the recipe that names it."""

from pathlib import Path

import torch

from relume.core.errors import UserError
from relume.methods.optimise.config import InvertOptimise
from relume.methods.optimise.terms import Surrogate
from relume.methods.surrogate.trained import read_surrogate


def learned(folder: Path, config: InvertOptimise, size: int, device: torch.device) -> Surrogate:
    """It predicts from no other features than those that are inverted, of pictures of `size` pixels."""
    found = read_surrogate(folder, device)
    if found.network != config.network or not set(found.taps) <= config.taps.keys():
        wanted, given = f"{config.network} {'+'.join(config.taps)}", f"{found.network} {'+'.join(found.taps)}"
        raise UserError(f"{folder} predicts from {given}, and {wanted} is inverted: name one of these features")
    if found.size != size:
        raise UserError(f"{folder} has learned with pictures of {found.size} px, these have {size}")
    return Surrogate(network=found.target, tap=found.tap, predict=found.module)
