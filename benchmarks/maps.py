"""Which feature maps matter, for decoders that a study has trained on photographs.

    python -m benchmarks.maps --folder PHOTOS --work FOLDER --out docs/results/maps.csv

`benchmarks.decoders` leaves decoders and photographs in the work folder. The measurement is that of the stage `maps`, with its
section of params.yaml: channels are ranked on training photographs and measured on test photographs. Writes the table, a `.json`
beside it, and a sheet of images per decoder, for all decoders of one tap or for those that are named.
"""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks.common import commit, provenance
from benchmarks.inversion import DRAWS
from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.files import read_json, write_json
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.data.store import Dataset
from relume.evaluation.config import Maps
from relume.evaluation.maps import Bench
from relume.evaluation.maps_table import TABLE, Draws, write
from relume.evaluation.perceptual import extractor
from relume.methods.decoder.infer import codecs
from relume.networks.catalogue import facts
from relume.networks.weights import WeightStore
from relume.training.models import CARD


def trained(models: Path) -> list[str]:
    """Names of the decoders of one tap, by network, from shallow to deep."""
    cards = [read_json(path)["config"] | {"name": path.parent.name} for path in sorted(models.glob(f"*/{CARD}"))]
    single = [card for card in cards if len(card["taps"]) == 1]
    if not single:
        raise UserError(f"--work: {models} holds no decoder of one tap: benchmarks.decoders trains them")
    places = {card["name"]: (card["network"], list(facts(card["network"]).taps).index(card["taps"][0])) for card in single}
    return sorted(places, key=lambda name: (*places[name], name))


def bench_of(params: dict[str, Any], images: Path, decoders: Sequence[str], store: WeightStore) -> Bench:
    dataset = Dataset.open(images)
    own = {"dataset": dataset.name, "decoders": list(decoders)}
    run, config = build(Run, params["run"], "run"), build(Maps, params["maps"] | own, "maps")
    device = device_of(run)
    return Bench(
        dataset=dataset,
        config=config,
        extractor=extractor(config.metrics, [], store, device),
        seed=run.seed,
        micro_batch=run.micro_batch,
        device=device,
    )


def conduct(bench: Bench, work: Path, store: WeightStore) -> int:
    """Writes tables and sheets to `maps/` of the work folder and returns the number of measured pictures."""
    names, config = bench.config.decoders, bench.config
    subjects = codecs([work / "models" / "decoder" / name for name in names], bench.dataset, store, bench.device)
    pictures = len(bench.dataset.select(config.split, config.count))
    draws = Draws(seed=DRAWS.seed, resamples=DRAWS.resamples, level=DRAWS.level)
    with tqdm(total=pictures * len(names), desc="maps", unit="picture") as bar:
        write(work / "maps", subjects, bench, draws, bar.update)
    return pictures


def publish(found: Path, out: Path, about: dict[str, object], decoders: Sequence[str]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found / TABLE, out)
    for name in decoders:
        shutil.copyfile(found / f"{name}.jpg", out.with_name(f"{out.stem}_{name}.jpg"))
    write_json(out.with_suffix(".json"), about)


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="The photographs of the study.")
@click.option("--work", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The study's folder.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The table.")
@click.option("--decoder", "decoders", multiple=True, metavar="NAME", help="Only this decoder; may be repeated.")
@click.option("--count", type=click.IntRange(min=1), help="Only the first test photographs.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of params.yaml's.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Instead of params.yaml's.")
def main(
    folder: Path,
    work: Path,
    out: Path,
    decoders: tuple[str, ...],
    count: int | None,
    weights: tuple[Path, ...],
    device: str | None,
    micro_batch: int | None,
) -> None:
    start, at = time.perf_counter(), commit()
    try:
        params = read_params(Path("params.yaml"))
        params["maps"] |= {"count": count, "split": "test"}
        params["run"] |= {key: value for key, value in (("device", device), ("micro_batch", micro_batch)) if value}
        names, store = decoders or trained(work / "models" / "decoder"), WeightStore(*weights)
        deterministic()
        bench = bench_of(params, work / "images" / folder.resolve().name, names, store)
        n = conduct(bench, work, store)
        data = f"of the split test of {len(bench.dataset.index)}; maps ranked on {bench.config.pictures} training photographs"
        seconds = time.perf_counter() - start
        about = provenance("benchmarks.maps", bench.dataset, n=n, data=data, device=bench.device, at=at, seconds=seconds)
        publish(work / "maps", out, about, names)
    except UserError as error:
        click.secho(f"maps: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
