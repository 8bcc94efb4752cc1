"""For notebooks: features of an image, and images from features, with the parameters in `params.yaml`.

from relume import api
picture = api.picture("my.jpg", size=128)
features = api.features(picture, "alexnet_conv", ["conv3"])
found = api.invert(features, "alexnet_conv", size=128)
found.image  # uint8 (1, 128, 128, 3)
api.decode(features, "alexnet_conv3")  # in one pass, by a trained decoder
api.inpaint("my.jpg", "mask.png").image  # uint8 (H, W, 3): holes filled by a trained masked model
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
from relume.core.errors import UserError
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
from relume.training.find import model_folder

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
    objective: list[float]  # of each image
    trace: list[dict[str, float]]  # step, seconds, and the mean of each term; the last row is the last step
    frames: list[np.ndarray]  # uint8 (N, size, size, 3); empty unless requested
    faults: tuple[str, ...]  # rows with NaN or Inf, which keep their best result before
    interrupted: bool  # by Ctrl-C
    recipe: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The checked configuration of an inversion."""

    recipe: str
    config: InversionConfig
    run: Run

    @property
    def needs_training_images(self) -> bool:
        """The inversion uses the training images of `config.dataset`."""
        return self.config.losses.guide > 0 or self.config.init.base != "grey"


def picture(path: str | Path, size: int) -> Tensor:
    """The central square of an image file at `size` pixels: float (1, 3, size, size) in [0, 1]."""
    try:
        return to_float(square(opened(Path(path).read_bytes()), size)[None])
    except (OSError, BadPicture) as error:
        raise UserError(f"{path}: {error}") from None


def features(images: Tensor, network: str, taps: Sequence[str], *, weights: Path = WEIGHTS) -> dict[str, Tensor]:
    """The features of images at `taps` of `network`."""
    net = load(network, WeightStore(weights), images.device)
    with torch.no_grad(), collect(net, taps) as tapped:
        return dict(tapped(images))


def available_network(network: str, taps: Sequence[str], *, weights: Path = WEIGHTS) -> str:
    """`network`, or `<network>_conv` if only that has weights here and it has the taps."""
    for tap in taps:
        check_tap(network, tap)
    names, part = WeightStore(weights).names(), f"{network}_conv"
    if network in names:
        return network
    if part in names and set(taps) <= facts(part).taps.keys():
        return part
    raise UserError(
        f"no weights of {network} in {weights}; found: {', '.join(names) or 'none'}. "
        "Add it to weights.networks in params.yaml and run `dvc repro weights prepare`"
    )


def decoder(name: str | Path, *, decoders: Path = DECODERS, device: torch.device = CPU) -> TrainedDecoder:
    """The trained decoder `name` below `decoders`, or in the folder `name`."""
    return read_decoder(model_folder("decoder", name, decoders, stages="train_decoder"), device)


def decode(targets: Mapping[str, Tensor], reader: str | Path | TrainedDecoder, *, decoders: Path = DECODERS) -> np.ndarray:
    """Decodes features in one pass: uint8 (N, size, size, 3).

    `reader` is a decoder, its name or its folder. A decoder given by name runs on the device of the features.
    """
    if not isinstance(reader, TrainedDecoder):
        reader = decoder(reader, decoders=decoders, device=next((value.device for value in targets.values()), CPU))
    if missing := [tap for tap in reader.taps if tap not in targets]:
        needs = f"{reader.network} {'+'.join(reader.taps)}"
        raise UserError(
            f"decoder {reader.name} needs {needs}; missing: {', '.join(missing)}; got: {', '.join(targets) or 'none'}"
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
    """Fills the masked pixels of an image by a trained masked model: `image`, uint8 (H, W, 3).

    `picture`: a file or uint8 (H, W, 3). `mask`: a file, white where hidden, or bool (H, W). Visible pixels do not change.
    `model`: a model, its name in `models` or its folder; None: the only one there. `film`: keep the image of each step of an
    Energy Transformer.
    """
    from relume.api import masked  # imports a library that is not needed otherwise
    from relume.methods.masked.inpaint import fill, holes

    reader = masked.masked_model(model, models=models) if isinstance(model, str | Path | None) else model
    if film:
        masked.check_film(reader)
    pixels = masked.whole_picture(picture)
    hidden = masked.hole_mask(mask, pixels.shape)
    return fill(reader, pixels, hidden, holes(hidden, reader), film=film)


def plan(
    network: str,
    taps: Sequence[str],
    *,
    recipe: str | None = None,
    seed: int | None = None,
    params: Path = PARAMS,
    **differences: Any,
) -> Plan:
    """The recipe with `differences` merged into it, checked for an inversion of features only."""
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
    """Optimises images of `size` pixels to have the features `targets` (tap -> features).

    `recipe`: one of `relume.methods.optimise.tuned`, by default the one for the network and taps; `differences` are merged into
    it. `frames`: keep the images of every `frames`-th step. Ctrl-C stops the optimisation and returns the best result so far.
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
    guide, initial_image = None, None
    if made.needs_training_images:
        provider = Provider(training(images, made), {network: net}, device)
        if config.losses.guide or config.init.base == "guide":
            count = min(config.terms.guide.pictures, len(provider.dataset.select("train")))
            tqdm.write(f"guide: fitting a linear map on {count} training images", file=sys.stderr)
            guide = provider.guide(config, size).read(here).repeat_interleave(restarts, 0)
        if config.init.base != "grey":
            initial_image = guide if config.init.base == "guide" else provider.mean_image()[None]
    side = config.sizes[0][1] if config.sizes else size
    seeds = [seed_of(run.seed, "init", *one) for one in ids]
    return Problem(
        size=size,
        objective=objective(config, Material(store=store, device=device)),
        networks={network: net},
        targets={network: {tap: value.repeat_interleave(restarts, 0) for tap, value in here.items()}},
        guide=guide,
        restarts=restarts,
        start=_start(initial_image, config, side, seeds).to(device),
        originals=None,
        generators=[generator(run.seed, "views", *one) for one in ids],
        run=run,
    )


def _start(initial_image: Tensor | None, config: InversionConfig, side: int, seeds: list[int]) -> Tensor:
    bounded = parametrise.build(config.parametrisation).bounded
    return initial.noised(initial.base(initial_image, config.init, side), config.init, seeds, bounded=bounded)


def training(images: Path, made: Plan) -> Dataset:
    """The dataset with the training images."""
    folder = images / made.config.dataset
    if not (folder / "manifest.json").exists():
        raise UserError(
            f"{folder} is missing: colours and brightness are fitted on its training images. Run `dvc repro prepare`, "
            "or set losses.guide to 0.0 and init.base to grey"
        )
    found = Dataset.open(folder)
    found.select("train")  # raises UserError if there are none
    return found


def _chosen(reached: list[float], restarts: int) -> np.ndarray:
    """The row of the best restart of each image."""
    table = np.array(reached).reshape(-1, restarts)
    return np.arange(len(table)) * restarts + table.argmin(1)
