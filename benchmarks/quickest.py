"""Which way is quickest to the LPIPS, in another network, that Adam ends with? AlexNet conv3 at 128 px, on validation photographs
that no decoder was selected on.

    python -m benchmarks.quickest --folder PHOTOS --work FOLDER

Writes docs/results/quickest.csv: after every few steps of a way, processor seconds per picture and the best images' scores. All
ways take a step in turn in one process, so other processes slow down all of them alike. Seconds leave out what all ways need (the
guide's fit) and include a decoder's start. The split val is that of `benchmarks.inversion`.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from benchmarks.common import commit, prepare, provenance
from benchmarks.inversion import split_of
from relume.api.decoding import Decoder
from relume.core.config import merge, read_params
from relume.core.files import Scratch, write_csv, write_json
from relume.core.images import resize, to_float
from relume.core.run import Run
from relume.data.store import Dataset
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.methods.optimise import infer, tuned
from relume.methods.optimise.config import variation
from relume.methods.optimise.optimise import Descent, forward_pass
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

RECIPE, TAP, SIZE, EVERY = "middle", "conv3", 128, 15
DECODER = "alexnet_conv3_128"
ADAM = {"rule": "adam", "warmup": 5, "cosine": True}
FIRST = {"steps": 150, "losses": {"tv": 20.0}, "optimiser": {**ADAM, "learning_rate": [[0, 0.3]]}}  # tuned for Adam
DECODED = tuned.decoded("alexnet_middle", "alexnet_conv", [TAP], SIZE)  # its image is the guide, too
WAYS: dict[str, dict[str, Any]] = {  # differences from the recipe
    "adam": FIRST,
    "adam_half": {**FIRST, "steps": 75},
    "adam_growth": {**FIRST, "sizes": [[0, 64], [90, SIZE]]},
    "lbfgs": {},
    "decoder_adam": {**DECODED, "steps": 90, "optimiser": {**ADAM, "learning_rate": [[0, 0.1]]}},
    "decoder_lbfgs": DECODED,
}
COLUMNS = ("method", "step", "seconds", "lpips_vgg", "lpips_vgg_std", "psnr", "objective", "n")


def scorer(store: WeightStore, originals: Tensor) -> Callable[[Tensor], Tensor]:
    name, taps = LPIPS_TAPS["vgg"]
    network, heads = load(name, store), heads_of("vgg", store.tensors("lpips_vgg"))

    @torch.no_grad()
    def seen(images: Tensor) -> list[Tensor]:
        with collect(network, taps) as tapped:
            return [*tapped(images).values()]

    wanted = seen(originals)
    return lambda images: lpips(seen(images), wanted, heads)


def race(dataset: Dataset, count: int, store: WeightStore, run: Run, work: Path) -> list[dict[str, Any]]:
    params, rows = read_params(Path("params.yaml")), dataset.select("val")[-count:]
    originals, recipe = to_float(dataset.images[rows]), params["recipes"][RECIPE]
    score, descents, spent = scorer(store, originals), dict[str, Descent](), dict[str, float]()
    fitted = None
    with ExitStack() as stack:
        forwards = {}
        for name, way in WAYS.items():
            decided = {"dataset": dataset.name, "split": "val", "count": None, "trace_every": EVERY}
            own = merge(merge(recipe, decided), way)
            config, _ = variation(params["invert_optimise"], params["losses"], own, name)
            given: dict[str, Any] = {
                "dataset": dataset,
                "store": store,
                "device": torch.device("cpu"),
                "scratch": Scratch(work / "scratch"),
            }
            made = infer.work(name=name, config=config, run=run, **given)
            vars(made)["guide"] = fitted = fitted or made.guide  # one fit serves all
            problem = infer._problem(made, rows)  # noqa: SLF001
            spent[name] = 0.0
            if name.startswith("decoder"):
                decoder, began = Decoder.pretrained(DECODER), time.process_time()
                features = {TAP: problem.targets[config.network][TAP]}
                start = decoder(features=features)
                problem = replace(problem, start=start, guide=resize(start, config.terms.guide.grid))
                spent[name] = time.process_time() - began
            descents[name] = Descent(problem, config)
            forwards[name] = stack.enter_context(forward_pass(problem))
            Descent(problem, config).advance(forwards[name], lambda report: None)  # warms up, untimed
        found, running = [], list(WAYS)
        while running:
            for name in list(running):
                descent, began = descents[name], time.process_time()
                descent.advance(forwards[name], lambda report: None)
                spent[name] += time.process_time() - began
                over = descent.step == descent.config.steps or descent.stopped()
                if over:
                    running.remove(name)
                if (over or descent.step % EVERY == 0) and bool(descent.best.objective.isfinite().all()):
                    images = descent.best.images
                    values, error = score(images), (images - originals).square().flatten(1).mean(1)
                    scores = [float(values.mean()), float(values.std()), float((-10 * error.log10()).mean())]
                    line = [name, descent.step, spent[name] / count, *scores, float(descent.best.objective.mean()), count]
                    found.append(dict(zip(COLUMNS, line, strict=True)))
                    click.echo(found[-1])
    return sorted(found, key=lambda row: (list(WAYS).index(row["method"]), row["step"]))


def reached(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Per way: its final score, and the first step with a score as low as Adam's last, with its seconds."""
    goal, told = [row for row in rows if row["method"] == "adam"][-1]["lpips_vgg"], {}
    for name in WAYS:
        own = [row for row in rows if row["method"] == name]
        first = next((row for row in own if row["lpips_vgg"] <= goal), None)
        told[name] = {
            "final": round(own[-1]["lpips_vgg"], 4),
            "psnr": round(own[-1]["psnr"], 2),
            "seconds": round(own[-1]["seconds"], 3),
            "equal_at": first and {"step": first["step"], "seconds": round(first["seconds"], 3)},
        }
    return told


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The photographs.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--count", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/results/quickest.csv"), show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
def main(folder: Path, work: Path, count: int, out: Path, weights: tuple[Path, ...]) -> None:
    torch.set_num_threads(1)
    began, at = time.perf_counter(), commit()
    dataset = prepare(folder, work / "images" / folder.resolve().name, SIZE, None, split_of)
    run = Run(seed=0, device="cpu", precision="float32", threads=1, micro_batch=count)
    rows = race(dataset, count, WeightStore(*weights), run, work)
    write_csv(out, COLUMNS, [{key: f"{row[key]:.6g}" for key in COLUMNS[1:]} | {"method": row["method"]} for row in rows])
    seconds = time.perf_counter() - began
    data = "of the split val; one thread"
    about = provenance("benchmarks.quickest", dataset, n=count, data=data, device=torch.device("cpu"), at=at, seconds=seconds)
    write_json(out.with_suffix(".json"), {**about, "ways": reached(rows)})
    for name, told in reached(rows).items():
        click.echo(f"{name}: {told}")


if __name__ == "__main__":
    main()
