"""`relume.invert`, `relume.features` and `relume.layers`: the engine of `methods.optimise` for any network."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from relume.api import guides
from relume.api.models import Layers, Model, Opened, Source, weighted
from relume.api.pictures import Images, load, side_of
from relume.api.results import Result
from relume.core.config import build, read_params
from relume.core.errors import UserError, one_of
from relume.core.run import Run
from relume.core.runtime import deterministic
from relume.losses.feature import relative_l2
from relume.losses.objective import Objective
from relume.methods.optimise import infer, tuned
from relume.methods.optimise.config import InversionConfig, Prior, merge_recipe, variation
from relume.methods.optimise.optimise import Outcome, Report, optimise
from relume.methods.optimise.terms import ORACLES, Material, objective
from relume.networks.network import Network
from relume.networks.network import load as load_network
from relume.networks.taps import collect

PARAMS = Path(__file__).parents[1] / "params.yaml"  # the project's own, which the package carries
SETTABLE = {*InversionConfig.__dataclass_fields__} - {"network", "taps", "split", "count"}


def layers(
    model: Model, *, size: int | None = None, channels: int | None = None, weights: str | Path | None = None
) -> dict[str, tuple[int, ...]]:
    """What can be inverted: layer -> shape of its features for one image, in the order of the forward pass.

    model: any `nn.Module`; a network of the catalogue ("alexnet_conv"); or "timm:<name>", "torchvision:<name>",
        "<module>:<factory>" with `weights`.
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
    steps: int | None = None,
    learning_rate: float | None = None,
    losses: Mapping[str, float] | None = None,
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
        "<module>:<factory>" with `weights`: a safetensors file, a state dict, or "random".
    layer: a module's name, as `relume.layers(model)` lists them; several; or a mapping from names to weights.
    images: a file, a folder, a PIL image, an array (H, W, C) or tensor (C, H, W) in [0, 1] or uint8, a batch, or a list of these.
    features: instead of images: what the model returned at `layer` (of several layers a mapping), (N, …).
    size: side of the images in pixels; None: that of a tensor or array, else of the model's configuration.
    mean, std, channels: of the model's normalisation. None: timm's, open_clip's or torchvision's own configuration; ImageNet's
        for torchvision's classes; else none: the model takes images in [0, 1]. 1, 3 and 4 channels can be inverted.
    device: of models that are built here; the first accelerator by default.
    recipe: one of `relume.methods.optimise.tuned.RECIPES`; None: by the kind of the feature and its depth in the network.
    steps, learning_rate, restarts: of the optimiser; None: the recipe's. The restart with the best objective is kept.
    losses: weights of terms, as {"tv": 5.0}; 0 switches one off. lpips, ssim, pixel and clip look at the images.
    seed: of all that is random; ids: names by which it is drawn for each image, by default its number.
    micro_batch: images x restarts in one pass.
    settings: any other key of `invert_optimise` in params.yaml, as {"views": {…}}.
    on_step: told of every tenth step.
    """
    if (images is None) == (features is None):
        raise UserError("images, features: one of them is needed")
    differences = _differences(steps, learning_rate, restarts, losses, settings)
    source, wanted = Source(model, mean=mean, std=std, channels=channels, weights=weights, device=device), weighted(layer)
    size = size or (side_of(images) if images is not None else None) or source.default_size
    originals = None if images is None else load(images, size=size, channels=source.channels)
    started = time.perf_counter()
    with source.borrow(), _repeatable():
        opened = source.opened(wanted, size)
        whole = {**read_params(PARAMS)}
        run = build(Run, {**whole["run"], "device": opened.device.type, "seed": seed, "micro_batch": micro_batch}, "run")
        config, name = configured(opened, recipe, differences, whole)
        work = _Work(opened, config, run, whole, originals, features, progress)
        names = [str(number) for number in range(work.count)] if ids is None else list(ids)
        if len(names) != work.count:
            raise UserError(f"ids: needs {work.count}, one per image, got {len(names)}")
        outcomes, logs = work.run(names, on_step)
        images_made = torch.cat([outcome.images.cpu()[_chosen(outcome, config)] for outcome in outcomes])
        errors = work.errors(images_made)
    chosen = [row for outcome in outcomes for row in _chosen(outcome, config)]
    values = [float(outcome.objective[row]) for outcome in outcomes for row in _chosen(outcome, config)]
    return Result(
        images=images_made,
        originals=None if originals is None else originals[: len(images_made)],
        objective=values,
        feature_error=errors,
        trace=[{key: row[key] for key in ("step", "term", "value")} for row in infer.trace_rows("", logs)],
        settings={
            "network": opened.name,
            "layers": wanted,
            "recipe": name,
            "size": size,
            "steps": config.steps,
            "seed": seed,
            "losses": config.losses.active,
            "restarts": config.restarts,
        },
        seconds=time.perf_counter() - started,
        oracle=work.goal.oracle,
        interrupted=any(outcome.interrupted for outcome in outcomes),
        faults=tuple(fault for outcome in outcomes for fault in outcome.faults),
        restart=[row % config.restarts for row in chosen],
        opened=(source, opened),
    )


def _differences(
    steps: int | None,
    learning_rate: float | None,
    restarts: int | None,
    losses: Mapping[str, float] | None,
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


def configured(
    opened: Opened, recipe: str | None, differences: Mapping[str, Any], whole: Mapping[str, Any]
) -> tuple[InversionConfig, str]:
    """The checked configuration of an inversion, and the recipe's name. Faults are told by the keys below `invert_optimise`."""
    name = recipe or opened.recipe
    own = {**merge_recipe(tuned.recipe(name), differences), "network": opened.name, "taps": opened.weights}
    grid = own.get("terms", {}).get("guide", {})
    asked = grid.get("reach", whole["invert_optimise"]["terms"]["guide"]["reach"])
    if "reach" not in differences.get("terms", {}).get("guide", {}):
        fits = guides.reach(opened, asked)
        narrow: dict[str, Any] = {"terms": {"guide": {"reach": fits}}}
        own = merge_recipe(own, narrow if fits else {"losses": {"guide": 0.0}, "init": {"base": "grey"}})
    try:
        config, _ = variation(whole["invert_optimise"], whole["losses"], own, "invert")
    except UserError as error:
        raise UserError(str(error).replace("params: invert.", "")) from None
    _servable(config)
    if isinstance(config.parametrisation, Prior) and opened.channels != 3:
        raise UserError(f"parametrisation.kind: prior makes 3 channels, {opened.name} takes {opened.channels}")
    return config, name


def _servable(config: InversionConfig) -> None:
    if foreign := sorted({"ref", "surrogate"} & config.losses.active.keys()):
        raise UserError(f"losses.{foreign[0]}: is for the stage invert_optimise, which has other groups and models: leave it out")


class _Work:
    """An inversion in micro-batches."""

    def __init__(
        self,
        opened: Opened,
        config: InversionConfig,
        run: Run,
        whole: dict[str, Any],
        originals: Tensor | None,
        features: Tensor | Mapping[str, Tensor] | None,
        progress: bool,
    ) -> None:
        self.opened, self.config, self.settings, self.progress, self.originals = opened, config, run, progress, originals
        self.goal: Objective = objective(config, Material(store=opened.store, device=opened.device))
        if originals is None and (blind := sorted((ORACLES | {"clip", "logits"}) & config.losses.active.keys())):
            raise UserError(f"losses.{blind[0]}: looks at the images, and here are only features: leave it out, or give images=")
        others = {name for name in (*self.goal.needs, *self.goal.targets) if name != opened.name}
        self.networks: dict[str, Network] = {opened.name: opened.network}
        self.networks |= {name: load_network(name, opened.store, opened.device) for name in sorted(others)}
        self.given = None if features is None else opened.given(features)
        self.count = (
            len(next(iter(self.given.values()))) if self.given is not None else len(originals if originals is not None else ())
        )
        self.guide, self.mean_image = None, None
        if config.losses.guide or config.init.base != "grey":
            dataset = guides.training(config.dataset, whole)
            if config.losses.guide or config.init.base == "guide":
                self.guide = guides.guide(opened, config, dataset, progress=progress)
            if config.init.base == "mean_image":
                self.mean_image = guides.Provider(dataset, {}, opened.device, opened.channels).mean_image()

    def run(self, names: Sequence[str], on_step: Callable[[Report], None] | None) -> tuple[list[Outcome], list[infer.Shard]]:
        """Until all images are found, or Ctrl-C."""
        config, width = self.config, max(1, self.settings.micro_batch // self.config.restarts)
        outcomes: list[Outcome] = []
        logs: list[infer.Shard] = []
        label = f"{self.opened.name} {'+'.join(self.opened.weights)}"
        total = self.count * config.steps
        with tqdm(total=total, desc=label, unit="step", dynamic_ncols=True, disable=not self.progress) as bar:
            for at in range(0, self.count, width):
                log: list[dict[str, Any]] = []
                rows, began = slice(at, min(at + width, self.count)), bar.n
                logs.append(infer.Shard(images=None, rows=[], log=log))  # type: ignore[arg-type]  only its log is read

                def note(report: Report, log: list[dict[str, Any]] = log, began: int = began, rows: slice = rows) -> None:
                    log.append(infer.entry(report))
                    bar.update(began + (rows.stop - rows.start) * report.step - bar.n)
                    bar.set_postfix(objective=f"{float(report.terms['objective'].mean()):.4g}", refresh=False)
                    if on_step is not None:
                        on_step(report)

                outcomes.append(optimise(self._problem(rows, names[rows]), config, note, keep=True))
                bar.update(began + (rows.stop - rows.start) * config.steps - bar.n)
                if outcomes[-1].interrupted:
                    break
        return outcomes, logs

    def _problem(self, rows: slice, names: Sequence[str]) -> infer.Problem:
        opened, config = self.opened, self.config
        originals = None if self.originals is None else self.originals[rows].to(opened.device)
        return infer.problem(
            config,
            self.settings,
            self.goal,
            self.networks,
            self._targets(rows, originals),
            names,
            size=opened.size,
            device=opened.device,
            learned=self.guide,
            base=lambda guide: (
                guide if config.init.base == "guide" else None if self.mean_image is None else self.mean_image[None]
            ),
            originals=originals if self.goal.oracle else None,
            channels=opened.channels,
        )

    @torch.no_grad()
    def _targets(self, rows: slice, originals: Tensor | None) -> dict[str, dict[str, Tensor]]:
        wanted = {
            **self.goal.targets,
            self.opened.name: tuple(dict.fromkeys([*self.goal.targets.get(self.opened.name, ()), *self.opened.weights])),
        }
        if originals is None:
            assert self.given is not None
            return {self.opened.name: {layer: value[rows] for layer, value in self.given.items()}}
        found = {}
        for name, taps in wanted.items():
            with collect(self.networks[name], taps) as tapped:
                found[name] = {tap: value.detach() for tap, value in tapped(originals).items()}
        return found

    def errors(self, images: Tensor) -> list[float]:
        """||phi(x) - phi(x0)||^2 / ||phi(x0)||^2, mean over the layers."""
        made = self.opened.features(images, self.settings.micro_batch)
        truth = self.given or self.opened.features(self.originals[: len(images)], self.settings.micro_batch)  # type: ignore[index]
        return torch.stack([relative_l2(made[layer], truth[layer][: len(images)]) for layer in made]).mean(0).tolist()


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
