"""The networks that a method has used: for inversion, training, objective or selection. Metrics by these are circular. They are
read from the index, `method.json` and the cards of named models; terms of weight 0 are left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relume.core.files import read_json
from relume.losses.config import LPIPS
from relume.networks.catalogue import trunk

Described = Mapping[str, Any]
LOSSES, TERMS = "losses", ("terms", "measures")  # weights, and settings of the terms
OF_ONE = ("methods", "decoders", "models")  # keys of a group's config with entries per method
INPUTS = ("start", "reference", "surrogate")  # keys of a recipe's further inputs
FILES = "weights"  # of a recipe: a folder of network weights, which has no card of a trained model
GROUPS, MODELS = "data/reconstructions/", "models/"


@dataclass(frozen=True, kw_only=True)
class Witness:
    """`methods`: group -> its method.json; `rows`: group -> (method, network, tap)."""

    methods: Mapping[str, Described]
    rows: Mapping[str, Sequence[tuple[str, str, str]]]
    models: Path | None = None  # root of the models; None: cards are not read

    def seen(self, group: str, method: str) -> frozenset[str]:
        """Trunks of the networks that the method has used."""
        return frozenset(trunk(name) for name in self._of(group, method))

    def _of(self, group: str, method: str) -> Iterator[str]:
        own = [row for row in self.rows[group] if row[0] == method]
        yield from (name for _, network, _ in own for name in network.split("+") if name)
        config = self.methods[group].get("config", {})
        weights = config.get(LOSSES, {})
        yield from self._walk({key: value for key, value in config.items() if key not in (*OF_ONE, *INPUTS, FILES)}, weights)
        if isinstance(config.get("methods"), Mapping):
            yield from self._walk(config["methods"].get(method, {}), weights)
        for card in sorted(self.models.glob(f"*/{method}/model.json")) if self.models else []:
            yield from self._card(card)
        yield from self._begun(config, weights, own)

    def _begun(self, config: Described, weights: Described, own: Sequence[tuple[str, str, str]]) -> Iterator[str]:
        """Networks of a recipe's start (the method at the same taps), reference (the whole group) and surrogate."""
        taps = {row[1:] for row in own}
        start, reference, surrogate = (str(config.get(key, "")) for key in INPUTS)
        yield from self._group(start, [row[0] for row in self.rows.get(start.removeprefix(GROUPS), ()) if row[1:] in taps])
        if weights.get("ref"):
            yield from self._group(reference, [row[0] for row in self.rows.get(reference.removeprefix(GROUPS), ())])
        if weights.get("surrogate"):
            yield from self._named(surrogate)

    def _group(self, folder: str, methods: Sequence[str]) -> Iterator[str]:
        for method in dict.fromkeys(methods):
            yield from self._of(folder.removeprefix(GROUPS), method)

    def _walk(self, config: Any, weights: Described) -> Iterator[str]:
        """Networks in a config, and in the cards of models that it names. `weights` are those of the terms inside."""
        if not isinstance(config, Mapping):
            return
        weights = {**weights, **config[LOSSES]} if isinstance(config.get(LOSSES), Mapping) else weights
        for key, value in config.items():
            if key in TERMS:
                active = {name: term for name, term in value.items() if weights.get(name)}
                yield from self._walk(active, weights)
            elif key == "networks" and isinstance(value, Mapping):
                yield from value
            elif key == "network" and isinstance(value, str):
                yield LPIPS.get(value, value)
            elif isinstance(value, str):
                yield from self._named(value)
            else:
                yield from self._walk(value, weights)

    def _named(self, value: str) -> Iterator[str]:
        if self.models and value.startswith(MODELS):
            yield from self._card(self.models / value.removeprefix(MODELS) / "model.json")

    def _card(self, path: Path) -> Iterator[str]:
        config = read_json(path).get("config", {})
        yield from self._walk(config, config.get(LOSSES, {}))
