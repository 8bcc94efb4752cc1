"""The objective: a weighted sum of named terms. Terms are logged unweighted; terms of weight 0 are left out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

Activations = Mapping[str, Mapping[str, Tensor]]  # network -> tap -> (N, …)
Taps = Mapping[str, tuple[str, ...]]  # network -> taps


@dataclass(frozen=True, kw_only=True)
class Known:
    """Inputs of the terms that are constant over the steps."""

    targets: Activations
    restarts: int = 1  # rows of one image are adjacent
    references: Activations = field(default_factory=dict)  # (N, m, …): of an earlier group's m reconstructions of each image
    guide: Tensor | None = None  # (N, 3, g, g): the coarse image predicted from the target features
    originals: Tensor | None = None  # set only if an oracle term needs them


@dataclass(frozen=True, kw_only=True)
class State(Known):
    """Inputs of the terms in one step: also the image without augmentation, and the features of its augmented view."""

    images: Tensor  # (N, 3, H, W), not augmented; in [0, 1] unless the parametrisation has no bounds
    features: Activations


@dataclass(frozen=True, kw_only=True)
class Term:
    """A term of the objective. It names the taps that it needs and owns no network."""

    name: str
    weight: float
    value: Callable[[State], Tensor]  # -> (N,)
    needs: Taps = field(default_factory=dict)  # of the reconstruction
    targets: Taps = field(default_factory=dict)  # of the original
    references: Taps = field(default_factory=dict)  # of an earlier group's reconstructions
    oracle: bool = False  # it uses the original


@dataclass(frozen=True)
class Objective:
    terms: tuple[Term, ...]

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """All taps of each network, once: one forward pass serves every term."""
        return _union(term.needs for term in self.terms)

    @property
    def targets(self) -> dict[str, tuple[str, ...]]:
        return _union(term.targets for term in self.terms)

    @property
    def references(self) -> dict[str, tuple[str, ...]]:
        return _union(term.references for term in self.terms)

    @property
    def oracle(self) -> bool:
        return any(term.oracle for term in self.terms)

    def __call__(self, images: Tensor, features: Activations, known: Known) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and the unweighted terms, each (N,)."""
        state = State(images=images, features=features, **{one.name: getattr(known, one.name) for one in fields(Known)})
        values = {term.name: term.value(state).float() for term in self.terms}
        total = torch.stack([term.weight * values[term.name] for term in self.terms]).sum(0)
        return total, values


def _union(parts: Iterable[Taps]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for part in parts:
        for network, taps in part.items():
            found.setdefault(network, {}).update(dict.fromkeys(taps))
    return {network: tuple(taps) for network, taps in found.items()}
