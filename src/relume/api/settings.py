"""What a caller wants of an inversion, checked: settings, weights of losses, a decoder to begin with."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from relume.api import guides
from relume.api.models import Opened
from relume.core.errors import UserError, one_of
from relume.core.registry import added, plugins
from relume.losses.config import Losses
from relume.losses.objective import State, Term
from relume.methods.decoder import shipped
from relume.methods.decoder.model import TrainedDecoder, read_decoder
from relume.methods.optimise import tuned
from relume.methods.optimise.config import InversionConfig, Latent, Prior, merge_recipe, variation
from relume.networks.catalogue import trunk

if TYPE_CHECKING:
    from relume.api.decoding import Decoder

PARAMS = Path(__file__).parents[1] / "params.yaml"  # the project's own, which the package carries
Loss = Callable[[State], Tensor]
NO_DECODER = "none"
SETTABLE = {*InversionConfig.__dataclass_fields__} - {"network", "taps", "split", "count"}


def changes(
    steps: int | None,
    learning_rate: float | None,
    restarts: int | None,
    losses: Mapping[str | Loss, float] | None,
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the caller wants otherwise than the recipe; wrong values by the name of the argument."""
    for key, value in (("steps", steps), ("restarts", restarts)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise UserError(f"{key}: must be an integer of at least 1, got {value!r}")
    if learning_rate is not None and not learning_rate > 0:
        raise UserError(f"learning_rate: must be above 0, as in 0.1, got {learning_rate!r}")
    if unknown := sorted(set(settings or ()) - SETTABLE):
        raise UserError(f"settings: unknown key {unknown[0]!r}; {one_of(SETTABLE, unknown[0])}")
    given: dict[str, Any] = {"steps": steps, "restarts": restarts, "losses": None if losses is None else dict(losses)}
    if learning_rate is not None:
        given["optimiser"] = {"learning_rate": [[0, learning_rate]]}
    return merge_recipe(settings or {}, {key: value for key, value in given.items() if value is not None})


def decoder_of(opened: Opened, given: "Decoder | str | None") -> TrainedDecoder | None:
    """The decoder to begin with: the given one, or that which ships for these layers and this size."""
    name = shipped.of(opened.name, list(opened.weights), opened.size) if given is None else given
    if name is None or name == NO_DECODER:
        return None
    if not isinstance(name, str):
        trained = name.trained
    elif name in (known := shipped.cards()):
        trained = read_decoder(shipped.SHIPPED / name, opened.device)
    else:
        raise UserError(f"decoder: unknown name {name!r}; {one_of([NO_DECODER, *known], name)}")
    own = (trunk(trained.network), {*trained.taps}, trained.size)
    if own != (trunk(opened.name), {*opened.weights}, opened.size):
        about = f"{'+'.join(trained.taps)} of {trained.network} at {trained.size} px"
        here = f"{'+'.join(opened.weights)} of {opened.name} at {opened.size} px"
        raise UserError(f"decoder: {trained.name} is for {about}, not {here}")
    return trained


def own_terms(losses: Mapping[Any, float], needs: dict[str, tuple[str, ...]]) -> tuple[dict[str, float], list[Term]]:
    """The weights of the engine's terms, and the user's own terms."""
    foreign = plugins("losses").keys() - Losses.__dataclass_fields__.keys()
    own = {key: weight for key, weight in losses.items() if callable(key) or key in foreign or ":" in key}
    if wrong := [key for key, weight in own.items() if not weight >= 0]:
        raise UserError(f"losses.{wrong[0]}: must be 0 or more, got {own[wrong[0]]}")
    terms = [
        Term(
            name=getattr(key, "__name__", str(key)),
            weight=float(weight),
            value=key if callable(key) else added("losses", key),
            needs=needs,
            targets=needs,
        )
        for key, weight in own.items()
        if weight
    ]
    return {key: weight for key, weight in losses.items() if key not in own}, terms


def configured(
    opened: Opened, recipe: str, differences: Mapping[str, Any], whole: Mapping[str, Any], *, linear: bool = True
) -> InversionConfig:
    """The checked configuration of an inversion. Faults are told by the keys below `invert_optimise`. `linear`: the guide is a
    linear map of the features."""
    own = {**merge_recipe(tuned.recipe(recipe), differences), "network": opened.name, "taps": opened.weights}
    asked = own["terms"]["guide"].get("reach", whole["invert_optimise"]["terms"]["guide"]["reach"])
    if linear and not 0 < (fits := guides.reach(opened, asked)) == asked:
        narrow: dict[str, Any] = {"terms": {"guide": {"reach": fits}}}
        own = merge_recipe(own, narrow if fits else {"losses": {"guide": 0.0}, "init": {"base": "grey"}})
    try:
        config, _ = variation({"dataset": whole["dataset"], **whole["invert_optimise"]}, whole["losses"], own, "invert")
    except UserError as error:
        stated = {**whole["invert_optimise"], "losses": whole["losses"]}
        lines = (line.removeprefix("params: invert.") for line in str(error).splitlines())
        raise UserError("\n".join(line + _example(line.partition(":")[0], stated) for line in lines)) from None
    for kind, name in config.own:
        added(kind, name)
    if foreign := sorted({"ref", "surrogate"} & config.losses.active.keys()):
        raise UserError(f"losses.{foreign[0]}: is for the stage invert_optimise, which has other groups and models: leave it out")
    if isinstance(config.parametrisation, Latent) or (isinstance(config.parametrisation, Prior) and opened.channels != 3):
        raise UserError(f"parametrisation.kind: {config.parametrisation.kind} is not available here, or makes other channels")
    return config


def _example(key: str, found: Any) -> str:
    """What params.yaml has at the key, or at the list around it."""
    for part in key.split("."):
        if isinstance(found, Mapping):
            found = found.get(part, {})
    return "" if isinstance(found, Mapping) else f"; params.yaml has {json.dumps(found)}"
