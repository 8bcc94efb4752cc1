"""For notebooks: the features of a picture, and a picture from features, with the parameters of `params.yaml`.

from relume import api
picture = api.picture("my.jpg", size=128)
features = api.features(picture, "alexnet_conv", ["conv3"])
found = api.invert(features, "alexnet_conv", size=128)
found.image  # uint8 (1, 128, 128, 3)
api.decode(features, "alexnet_conv3")  # the same at once, by a decoder that `dvc repro train_decoder` has trained
api.inpaint("my.jpg", "mask.png").image  # uint8 (H, W, 3): holes filled by a model that `dvc repro train_masked` has trained
"""

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from relume.core.config import build, read_params
from relume.core.errors import UserError, one_of
from relume.core.files import read_json
from relume.core.images import to_float, to_uint8
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of, generator, seed_of
from relume.data.decode import BadPicture, square
from relume.data.decode import decode as opened
from relume.data.store import Dataset
from relume.methods.decoder.infer import apply
from relume.methods.decoder.trained import TrainedDecoder, read_decoder
from relume.methods.optimise import initial, parametrise, tuned
from relume.methods.optimise.config import InversionConfig, merge_recipe, variation
from relume.methods.optimise.optimise import Problem, Report, optimise
from relume.methods.optimise.targets import Provider
from relume.methods.optimise.terms import ORACLES, Material, objective
from relume.networks.catalogue import check_tap, facts
from relume.networks.network import CPU, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from relume.training.models import CARD

if TYPE_CHECKING:
    from relume.methods.masked.inpaint import Inpainting
    from relume.methods.masked.trained import TrainedMasked

WEIGHTS = Path("models/weights")
PARAMS = Path("params.yaml")
IMAGES = Path("data/images")
DECODERS = Path("models/decoder")
MASKED = Path("models/masked")


@dataclass(frozen=True, kw_only=True)
class Inversion:
    image: np.ndarray  # uint8 (N, size, size, 3)
    objective: list[float]  # of each picture, as reached
    trace: list[dict[str, float]]  # step, seconds, and the mean of every term; its last step is where the run ended
    frames: list[np.ndarray]  # uint8 (N, size, size, 3), where they were asked for
    faults: tuple[str, ...]  # rows that met numbers that are none, and rest at their best from before
    interrupted: bool  # by Ctrl-C
    recipe: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an inversion is going to do, checked, before anything is loaded."""

    recipe: str
    config: InversionConfig
    run: Run

    @property
    def learns(self) -> bool:
        """It looks at the training pictures of `config.dataset`."""
        return self.config.losses.guide > 0 or self.config.init.base != "grey"


def picture(path: str | Path, size: int) -> Tensor:
    """A picture file, its central square at `size` pixels: float (1, 3, size, size) in [0, 1]."""
    try:
        return to_float(square(opened(Path(path).read_bytes()), size)[None])
    except (OSError, BadPicture) as error:
        raise UserError(f"{path}: {error}") from None


def features(images: Tensor, network: str, taps: Sequence[str], *, weights: Path = WEIGHTS) -> dict[str, Tensor]:
    """What `network` keeps of pictures at `taps`, as it is."""
    net = load(network, WeightStore(weights), images.device)
    with torch.no_grad(), collect(net, taps) as tapped:
        return dict(tapped(images))


def at_hand(network: str, taps: Sequence[str], *, weights: Path = WEIGHTS) -> str:
    """`network`, or its convolutions alone where just those are here and have the taps; an error where neither is."""
    for tap in taps:
        check_tap(network, tap)
    here, part = WeightStore(weights).names(), f"{network}_conv"
    if network in here:
        return network
    if part in here and set(taps) <= facts(part).taps.keys():
        return part
    raise UserError(
        f"the weights of {network} are not in {weights} (here: {', '.join(here) or 'none'}): "
        "name it under weights.networks in params.yaml and run `dvc repro weights prepare`"
    )


def decoder(name: str | Path, *, decoders: Path = DECODERS, device: torch.device = CPU) -> TrainedDecoder:
    """The trained decoder `name` below `decoders`, or in the folder `name`."""
    folder = next((place for place in (decoders / name, Path(name)) if (place / CARD).exists()), None)
    if folder is None:
        here = sorted(card.parent.name for card in decoders.glob(f"*/{CARD}"))
        raise UserError(
            f"there is no decoder {str(name)!r} in {decoders}, and no such folder; {one_of(here, str(name))}. "
            "`dvc repro train_decoder` trains those that params.yaml names"
        )
    if read_json(folder / CARD).get("kind") != "decoder":
        raise UserError(f"{folder} holds no decoder: one that the stage train_decoder has written is wanted")
    return read_decoder(folder, device)


def decode(targets: Mapping[str, Tensor], reader: str | Path | TrainedDecoder, *, decoders: Path = DECODERS) -> np.ndarray:
    """Pictures with these features, as a trained decoder reads them in one pass: uint8 (N, size, size, 3).

    `reader` is the decoder, or its name or folder; a named one reads where the features are.
    """
    if not isinstance(reader, TrainedDecoder):
        reader = decoder(reader, decoders=decoders, device=next((value.device for value in targets.values()), CPU))
    if lacking := [tap for tap in reader.taps if tap not in targets]:
        given = ", ".join(targets) or "nothing"
        raise UserError(
            f"decoder {reader.name} reads {reader.network} {'+'.join(reader.taps)}; {', '.join(lacking)} is not in {given}"
        )
    device = next(reader.module.parameters()).device
    return to_uint8(apply(reader, {tap: targets[tap].to(device).float() for tap in reader.taps}))


def inpaint(
    picture: str | Path | np.ndarray,
    mask: str | Path | np.ndarray,
    model: "str | Path | TrainedMasked | None" = None,
    *,
    models: Path = MASKED,
    film: bool = False,
) -> "Inpainting":
    """A picture, a file or uint8 (H, W, 3), with what `mask` hides filled by a trained masked model: `image`, uint8 (H, W, 3).

    `mask`: a file, white where it is to be filled, or bool (H, W). Visible pixels stay as they are. `model`: the model, its name
    below `models` or its folder; None: the only one there. `film`: keep the picture of every step of an Energy Transformer.
    """
    from relume.api import masked as api_masked  # brings a library that nothing else here needs

    return api_masked.inpaint(picture, mask, model, models=models, film=film)


def plan(
    network: str,
    taps: Sequence[str],
    *,
    recipe: str | None = None,
    seed: int | None = None,
    params: Path = PARAMS,
    **differences: Any,
) -> Plan:
    """The recipe with `differences` laid over it, held to what can be done with features alone."""
    name = recipe or tuned.name_for(network, list(taps))
    whole = read_params(params)
    own = {**merge_recipe(tuned.recipe(name), differences), "network": network, "taps": dict.fromkeys(taps, 1.0)}
    config, _ = variation(whole["invert_optimise"], whole["losses"], own, "invert")
    run = build(Run, whole["run"] if seed is None else {**whole["run"], "seed": seed}, "run")
    _servable(config.losses.active.keys(), taps)
    return Plan(recipe=name, config=config, run=run)


def _servable(weighted: Set[str], taps: Sequence[str]) -> None:
    """Terms that want more than features, or other features than these, cannot be served here."""
    if oracles := sorted((ORACLES | {"clip"}) & weighted):
        raise UserError(f"losses: {', '.join(oracles)} wants the picture itself, and here are only features: set its weight to 0")
    if foreign := sorted({"avg", "ref", "surrogate"} & weighted):
        raise UserError(f"losses: {', '.join(foreign)} is for the stage invert_optimise: set its weight to 0")
    if "logits" in weighted and "logits" not in taps:
        raise UserError("losses: logits wants the tap logits among the features: add it, or set the weight to 0")


def invert(
    targets: Mapping[str, Tensor],
    network: str,
    *,
    size: int,
    recipe: str | None = None,
    seed: int | None = None,
    weights: Path = WEIGHTS,
    params: Path = PARAMS,
    images: Path = IMAGES,
    frames: int = 0,
    report: Callable[[Report], None] | None = None,
    **differences: Any,
) -> Inversion:
    """Pictures of `size` pixels whose features at the taps of `targets` are those.

    `recipe` names one of `relume.methods.optimise.tuned`, the fitting one by default; `differences` are laid over it as a
    recipe's would be. `frames`: keep the pictures of every so many steps. Ctrl-C ends the search and returns the best so far.
    """
    made = plan(network, list(targets), recipe=recipe, seed=seed, params=params, **differences)
    config = made.config
    deterministic()
    problem = _problem(targets, made, size, weights, images)
    trace: list[dict[str, float]] = []
    kept: list[np.ndarray] = []
    with tqdm(total=config.steps, desc=f"{network} {'+'.join(targets)}", unit="step", dynamic_ncols=True) as bar:

        def note(step: Report) -> None:
            bar.update(step.step - bar.n)
            means = {name: float(value.mean()) for name, value in step.terms.items()}
            bar.set_postfix(objective=f"{means['objective']:.4g}", refresh=False)
            trace.append({"step": step.step, "seconds": step.seconds, **means})
            if frames and step.step % frames == 0:
                kept.append(to_uint8(step.images))
            if report is not None:
                report(step)

        outcome = optimise(problem, config, note, keep=True)
    places = _chosen(outcome.objective.tolist(), config.restarts)
    return Inversion(
        image=to_uint8(outcome.images)[places],
        objective=[float(outcome.objective[place]) for place in places],
        trace=trace,
        frames=[frame[places] for frame in kept],
        faults=outcome.faults,
        interrupted=outcome.interrupted,
        recipe=made.recipe,
    )


def _problem(targets: Mapping[str, Tensor], made: Plan, size: int, weights: Path, images: Path) -> Problem:
    config, run = made.config, made.run
    network, restarts, device = config.network, config.restarts, device_of(run)
    store = WeightStore(weights)
    net = load(network, store, device)
    here = {tap: value.to(device) for tap, value in targets.items()}
    ids = [(row, restart) for row in range(len(next(iter(here.values())))) for restart in range(restarts)]
    guide, begun = None, None
    if made.learns:
        provider = Provider(training(images, made), {network: net}, device)
        if config.losses.guide or config.init.base == "guide":
            shown = min(config.terms.guide.pictures, len(provider.dataset.select("train")))
            tqdm.write(f"guide: fitting a linear map on {shown} training pictures, then the search begins", file=sys.stderr)
            guide = provider.guide(config, size).read(here).repeat_interleave(restarts, 0)
        if config.init.base != "grey":
            begun = guide if config.init.base == "guide" else provider.mean_image()[None]
    side = config.sizes[0][1] if config.sizes else size
    seeds = [seed_of(run.seed, "init", *one) for one in ids]
    return Problem(
        size=size,
        objective=objective(config, Material(store=store, device=device)),
        networks={network: net},
        targets={network: {tap: value.repeat_interleave(restarts, 0) for tap, value in here.items()}},
        guide=guide,
        restarts=restarts,
        start=_start(begun, config, side, seeds).to(device),
        originals=None,
        generators=[generator(run.seed, "views", *one) for one in ids],
        run=run,
    )


def _start(begun: Tensor | None, config: InversionConfig, side: int, seeds: list[int]) -> Tensor:
    bounded = parametrise.build(config.parametrisation).bounded
    return initial.noised(initial.base(begun, config.init, side), config.init, seeds, bounded=bounded)


def training(images: Path, made: Plan) -> Dataset:
    """The prepared pictures that colours and brightness are learned from."""
    folder = images / made.config.dataset
    if not (folder / "manifest.json").exists():
        raise UserError(
            f"{folder} is missing: colours and brightness are learned from its training pictures. Run `dvc repro prepare`, "
            "or do without: losses.guide 0.0 and init.base grey"
        )
    found = Dataset.open(folder)
    found.select("train")  # an error where there are none
    return found


def _chosen(reached: list[float], restarts: int) -> np.ndarray:
    """The places of the restarts, one of each picture, that the objective prefers."""
    table = np.array(reached).reshape(-1, restarts)
    return np.arange(len(table)) * restarts + table.argmin(1)
