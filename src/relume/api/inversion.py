"""`relume.invert`, `relume.features` and `relume.layers`: the engine of `methods.optimise` for any network."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from relume.api import guides
from relume.api.models import Layers, Model, Source, weighted
from relume.api.pictures import Images, load, side_of
from relume.api.results import Result
from relume.api.settings import NO_DECODER, PARAMS, Loss, changes, configured, decoder_of, own_terms
from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.run import Run
from relume.core.runtime import deterministic
from relume.losses.feature import relative_l2
from relume.losses.objective import Objective
from relume.methods.decoder.infer import apply
from relume.methods.optimise import tuned
from relume.methods.optimise.config import InversionConfig, merge_recipe
from relume.methods.optimise.optimise import Outcome, Problem, Report, optimise
from relume.methods.optimise.problem import problem
from relume.methods.optimise.terms import ORACLES, Material, objective
from relume.methods.optimise.trace import Trace, entry
from relume.networks.network import Network
from relume.networks.network import load as load_network
from relume.networks.taps import collect

if TYPE_CHECKING:
    from relume.api.decoding import Decoder


def layers(
    model: Model, *, size: int | None = None, channels: int | None = None, weights: str | Path | None = None
) -> dict[str, tuple[int, ...]]:
    """What can be inverted: layer -> shape of its features for one image, in the order of the forward pass.

    model: any `nn.Module`; a network of the catalogue ("alexnet_conv"); or "timm:<name>", "torchvision:<name>",
        "open_clip:<name>", "<module>:<factory>" with `weights`.
    size: side of the images in pixels; None: what the model's own configuration says, else 224 (catalogue: 128).
    """
    source = Source(model, channels=channels, weights=weights)
    with source.borrow():
        return source.layers(size or source.default_size)


def features(
    model: Model,
    *,
    layer: Layers,
    images: Images,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channels: int | None = None,
    weights: str | Path | None = None,
    micro_batch: int = 8,
) -> dict[str, Tensor]:
    """The features of images, layer -> (N, …), as the model returns them and `invert(features=…)` takes them."""
    source, wanted = Source(model, mean=mean, std=std, channels=channels, weights=weights), weighted(layer)
    size = size or side_of(images) or source.default_size
    pixels = load(images, size=size, channels=source.channels)
    with source.borrow():
        opened = source.opened(wanted, size)
        found = opened.features(pixels, micro_batch)
        last = [name for name in found if opened.network.facts.taps[name].form == "raw_last"]
    return {name: value.permute(0, 2, 3, 1) if name in last else value for name, value in found.items()}


def invert(
    model: Model,
    *,
    layer: Layers,
    images: Images | None = None,
    features: Tensor | Mapping[str, Tensor] | None = None,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channels: int | None = None,
    weights: str | Path | None = None,
    device: str | None = None,
    recipe: str | None = None,
    decoder: "Decoder | str | None" = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    losses: Mapping[str | Loss, float] | None = None,
    restarts: int | None = None,
    seed: int = 0,
    micro_batch: int = 8,
    settings: Mapping[str, Any] | None = None,
    ids: Sequence[str] | None = None,
    progress: bool = True,
    on_step: Callable[[Report], None] | None = None,
) -> Result:
    """Optimises images until `model` computes the wanted features at `layer`. The optimiser sees the features, not the images.

    The model is frozen and in eval mode meanwhile, on the device where it is, and is put back as it was, also after an error.
    Ctrl-C keeps the best images so far.

    model: any `nn.Module`; a network of the catalogue ("alexnet_conv", "vgg16", …); or "timm:<name>", "torchvision:<name>",
        "open_clip:<name>", "<module>:<factory>" with `weights`: a safetensors file, a state dict, or "random".
    layer: a module's name, as `relume.layers(model)` lists them; several; or a mapping from names to weights.
    images: a file, a folder, a PIL image, an array (H, W, C) or tensor (C, H, W) in [0, 1] or uint8, a batch, or a list of these.
    features: instead of images: what the model returned at `layer` (of several layers a mapping), (N, …).
    size: side of the images in pixels; None: that of a tensor or array, else of the model's configuration.
    mean, std, channels: of the model's normalisation. None: timm's, open_clip's or torchvision's own configuration; ImageNet's
        for torchvision's classes; else none: the model takes images in [0, 1]. 1, 3 and 4 channels can be inverted.
    device: of models that are built here; the first accelerator by default.
    recipe: one of `relume.methods.optimise.tuned.RECIPES`; None: by the kind of the feature and its depth in the network.
    decoder: of the same layer and size, a `relume.Decoder` or the name of one that ships. The optimiser begins with its image
        and stays close to it in coarse structure. None: the one that ships for the layer, if there is one and neither `recipe`
        nor `init.base` is given; "none": without.
    steps, learning_rate, restarts: of the optimiser; None: the recipe's. The restart with the best objective is kept.
    losses: weights of terms, as {"tv": 5.0}; 0 switches one off. lpips, ssim, pixel and clip use the originals. A term of one's
        own is a function of a `relume.losses.objective.State` (images, features, targets) that returns one value per image, as
        {my_loss: 0.1}, or its name, "<module>:<name>" or that of an entry point of the group `relume.losses`.
    seed: of all that is random; ids: names by which it is drawn for each image, by default its number.
    micro_batch: images x restarts in one pass.
    settings: any other key of `invert_optimise` in params.yaml, as {"views": {…}}.
    on_step: told of every tenth step.
    """
    differences = changes(steps, learning_rate, restarts, losses, settings)
    source = Source(model, mean=mean, std=std, channels=channels, weights=weights, device=device)
    work = Inversion(
        source,
        layer,
        images,
        features,
        size=size,
        recipe=recipe,
        decoder=decoder,
        seed=seed,
        micro_batch=micro_batch,
        ids=ids,
        **differences,
    )
    return work.run(progress=progress, on_step=on_step)


class Inversion:
    """One inversion: everything is checked when it is built, before any work. `differences` are to the recipe."""

    def __init__(
        self,
        source: Source,
        layer: Layers,
        images: Images | None,
        features: Tensor | Mapping[str, Tensor] | None = None,
        *,
        size: int | None = None,
        recipe: str | None = None,
        decoder: "Decoder | str | None" = None,
        seed: int = 0,
        micro_batch: int = 8,
        ids: Sequence[str] | None = None,
        **differences: Any,
    ) -> None:
        if (images is None) == (features is None):
            raise UserError("images, features: one of them is needed")
        wanted, self.source, self.whole = weighted(layer), source, read_params(PARAMS)
        size = size or (side_of(images) if images is not None else None) or source.default_size
        self.originals = None if images is None else load(images, size=size, channels=source.channels)
        with source.borrow():
            self.opened = source.opened(wanted, size)
        given = {"device": self.opened.device.type, "seed": seed, "micro_batch": micro_batch}
        self.settings = build(Run, {**self.whole["run"], **given}, "run")
        self.recipe = recipe or self.opened.recipe
        begun = recipe or "base" in (differences.get("init") or {})  # the caller states how to begin
        self.decoder = decoder_of(self.opened, NO_DECODER if begun and decoder is None else decoder)
        if self.decoder is not None:
            differences = merge_recipe(tuned.decoded(self.recipe, self.opened.name, list(wanted), size), differences)
        losses, own = own_terms(differences.get("losses", {}), {self.opened.name: tuple(wanted)})
        differences = {**differences, "losses": losses}
        self.config = configured(self.opened, self.recipe, differences, self.whole, linear=self.decoder is None)
        goal = objective(self.config, Material(store=self.opened.store, device=self.opened.device))
        self.goal = Objective((*goal.terms, *own))
        if images is None and (blind := sorted((ORACLES | {"clip", "logits"}) & self.config.losses.active.keys())):
            raise UserError(f"losses.{blind[0]}: uses the originals, and only features were given: leave it out, or give images=")
        self.given = None if features is None else self.opened.given(features)
        count = len(next(iter(self.given.values()))) if self.given else len(self.originals)  # type: ignore[arg-type]
        self.names = [str(number) for number in range(count)] if ids is None else list(ids)
        if len(self.names) != count:
            raise UserError(f"ids: needs {count}, one per image, got {len(self.names)}")

    @property
    def needs_training_images(self) -> bool:
        return self.decoder is None and (self.config.losses.guide > 0 or self.config.init.base != "grey")

    def __str__(self) -> str:
        config, terms = self.config, ", ".join(f"{name} x {weight:g}" for name, weight in self.config.losses.active.items())
        starts = "1 start" if config.restarts == 1 else f"{config.restarts} starts"
        oracle = "; an oracle: its losses use the original" if self.goal.oracle else ""
        begun = f" from decoder {self.decoder.name}" if self.decoder else ""
        return (
            f"{self.opened.name} {'+'.join(self.opened.weights)}, recipe {self.recipe}{begun}: {config.steps} steps, {starts}, "
            f"{self.opened.size} px; terms: {terms}{oracle}"
        )

    def run(self, *, progress: bool = True, on_step: Callable[[Report], None] | None = None) -> Result:
        """Until all images are found, or Ctrl-C."""
        opened, config, started = self.opened, self.config, time.perf_counter()
        with self.source.borrow(), _repeatable():
            outcomes, trace = self._outcomes(progress, on_step)
            chosen = [_chosen(outcome, config) for outcome in outcomes]
            images = torch.cat([outcome.images.cpu()[rows] for outcome, rows in zip(outcomes, chosen, strict=True)])
            errors = self._errors(images)
        return Result(
            images=images,
            originals=None if self.originals is None else self.originals[: len(images)],
            objective=[float(outcome.objective[row]) for outcome, rows in zip(outcomes, chosen, strict=True) for row in rows],
            feature_error=errors,
            trace=[{key: row[key] for key in ("step", "term", "value")} for row in trace.rows("")],
            settings={
                "network": opened.name,
                "layers": opened.weights,
                "recipe": self.recipe,
                "decoder": self.decoder.name if self.decoder else None,
                "size": opened.size,
                "steps": config.steps,
                "restarts": config.restarts,
                "seed": self.settings.seed,
                "losses": config.losses.active,
            },
            seconds=time.perf_counter() - started,
            oracle=self.goal.oracle,
            interrupted=any(outcome.interrupted for outcome in outcomes),
            faults=tuple(fault for outcome in outcomes for fault in outcome.faults),
            restart=[row % config.restarts for rows in chosen for row in rows],
            opened=(self.source, opened),
        )

    def _outcomes(self, progress: bool, on_step: Callable[[Report], None] | None) -> tuple[list[Outcome], Trace]:
        config, opened, count = self.config, self.opened, len(self.names)
        guide = guides.guide(opened, config, self.whole, progress=progress) if self.needs_training_images else None
        networks = {name: load_network(name, opened.store, opened.device) for name in (*self.goal.needs, *self.goal.targets)}
        networks |= {opened.name: opened.network}
        width = max(1, self.settings.micro_batch // config.restarts)
        outcomes, trace = list[Outcome](), Trace()
        label = f"{opened.name} {'+'.join(opened.weights)}"
        with tqdm(total=count * config.steps, desc=label, unit="step", dynamic_ncols=True, disable=not progress) as bar:
            for at in range(0, count, width):
                problem = self._problem(slice(at, at + width), guide, networks)
                log: list[dict[str, Any]] = []

                def note(report: Report, log: list[dict[str, Any]] = log, before: int = at) -> None:
                    log.append(entry(report))
                    bar.update(before * config.steps + min(width, count - before) * report.step - bar.n)
                    bar.set_postfix(objective=f"{float(report.terms['objective'].mean()):.4g}", refresh=False)
                    if on_step is not None:
                        on_step(report)

                outcomes.append(optimise(problem, config, note, keep=True))
                trace.add(log)
                if outcomes[-1].interrupted:
                    break
                bar.update(min(count, at + width) * config.steps - bar.n)  # some come to rest early
        return outcomes, trace

    def _problem(self, rows: slice, guide: guides.Guide | None, networks: Mapping[str, Network]) -> Problem:
        opened, config = self.opened, self.config
        originals = None if self.originals is None else self.originals[rows].to(opened.device)
        targets = self._targets(rows, originals, networks)

        def base(guided: Tensor | None) -> Tensor | None:
            if self.decoder is not None:
                return apply(self.decoder, targets[opened.name]).repeat_interleave(config.restarts, 0)
            return guided if config.init.base == "guide" else None

        return problem(
            config,
            self.settings,
            self.goal,
            networks,
            targets,
            self.names[rows],
            size=opened.size,
            device=opened.device,
            learned=guide,
            base=base,
            originals=originals if self.goal.oracle else None,
            channels=opened.channels,
        )

    @torch.no_grad()
    def _targets(self, rows: slice, originals: Tensor | None, networks: Mapping[str, Network]) -> dict[str, dict[str, Tensor]]:
        """What the objective and the guide look at, by network and tap."""
        own = self.opened.name
        if originals is None:
            assert self.given is not None
            return {own: {layer: value[rows] for layer, value in self.given.items()}}
        wanted = {**self.goal.targets, own: tuple(dict.fromkeys([*self.goal.targets.get(own, ()), *self.opened.weights]))}
        found = {}
        for name, taps in wanted.items():
            with collect(networks[name], taps) as tapped:
                found[name] = {tap: value.detach() for tap, value in tapped(originals).items()}
        return found

    def _errors(self, images: Tensor) -> list[float]:
        """||phi(x) - phi(x0)||^2 / ||phi(x0)||^2, mean over the layers."""
        made, batch = self.opened.features(images, self.settings.micro_batch), self.settings.micro_batch
        truth = self.opened.features(self.originals, batch) if self.originals is not None else self.given or {}
        found: list[float] = torch.stack([relative_l2(made[one], truth[one][: len(images)]) for one in made]).mean(0).tolist()
        return found


def _chosen(outcome: Outcome, config: InversionConfig) -> list[int]:
    """The row of the best restart of each image."""
    table = outcome.objective.view(-1, config.restarts)
    return [number * config.restarts + best for number, best in enumerate(table.argmin(1).tolist())]


@contextmanager
def _repeatable() -> Iterator[None]:
    """Equal bits from run to run; torch's own settings are put back."""
    mode, benchmark = torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark
    try:
        deterministic()
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.backends.cudnn.benchmark = benchmark
