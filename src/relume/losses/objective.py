"""The objective: a weighted sum of named terms. Every term is logged unweighted; a term of weight 0 does not exist."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from relume.core.errors import UserError

Activations = Mapping[str, Mapping[str, Tensor]]  # network -> tap -> (N, …)


@dataclass(frozen=True, kw_only=True)
class State:
    """What terms may look at: the clean picture, and the features of its view."""

    images: Tensor  # (N, 3, H, W) in [0, 1], not augmented
    features: Activations
    targets: Activations
    originals: Tensor | None = None  # there only where a term that is an oracle asked for them


@dataclass(frozen=True, kw_only=True)
class Term:
    """One wish. It says which taps of which networks it needs, and owns none of them."""

    name: str
    weight: float
    value: Callable[[State], Tensor]  # -> (N,)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # network -> taps
    oracle: bool = False  # it looks at the picture that is to be found


@dataclass(frozen=True)
class Objective:
    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise UserError("losses: every weight is 0 in this recipe, so there is nothing to minimise")

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """All taps of each network, once: one forward pass serves every term."""
        found: dict[str, dict[str, None]] = {}
        for term in self.terms:
            for network, taps in term.needs.items():
                found.setdefault(network, {}).update(dict.fromkeys(taps))
        return {network: tuple(taps) for network, taps in found.items()}

    @property
    def oracle(self) -> bool:
        return any(term.oracle for term in self.terms)

    def __call__(self, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and the unweighted terms, each (N,)."""
        values = {term.name: term.value(state).float() for term in self.terms}
        total = torch.stack([term.weight * values[term.name] for term in self.terms]).sum(0)
        return total, values
