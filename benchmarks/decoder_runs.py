"""The long part of a study of decoders: each is trained once, kept and applied; refinements start from its images."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.runs import PACED, Bench, is_there, seconds_of
from benchmarks.shipped import halved
from benchmarks.trainings import trained_once
from relume.core.code import digest_of
from relume.core.files import digest
from relume.core.results import write_group
from relume.core.runtime import describe
from relume.methods.decoder.config import DecoderConfig, InvertDecoder
from relume.methods.decoder.infer import decode
from relume.methods.decoder.model import TrainedDecoder, read_decoder
from relume.methods.decoder.train import DecoderTrainer
from relume.networks.network import load
from relume.training.trainer import Setup

LEARNS = ("relume.methods.decoder.train", "relume.training.loop", "relume.training.models")  # what a training runs


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A trained decoder and its reconstructions."""

    name: str
    digest: str
    all_seconds: float  # of decoding, without training
    card: dict[str, Any]  # the model's
    kept: bool  # the model comes from an earlier call

    @property
    def folder(self) -> str:
        return group_of(self.name)

    @property
    def record(self) -> dict[str, Any]:
        """Seconds of its training."""
        training = self.card["config"]["training"]
        about = {key: self.card[key] for key in ("parameters", "best_step", "seconds", "device")}
        return {"steps": training["steps"], "batch": training["batch"], "train": self.card["data"]["train"], **about}


def group_of(name: str) -> str:
    return f"decoders_{name}"


def taught(bench: Bench, name: str, config: DecoderConfig) -> tuple[dict[str, Any], bool]:
    """The trained decoder's card, and whether an earlier call trained it from the same inputs."""
    key = digest([name, asdict(config), {**bench.common, "code": digest_of(LEARNS)}])
    own = Setup(name=name, config=config, run=bench.run, dataset=bench.dataset, store=bench.store, device=bench.device)
    folder = bench.root / "models" / "decoder" / name
    return trained_once(bench.root, folder, key, lambda: DecoderTrainer(own), device=bench.device)


def decoded(bench: Bench, name: str, config: DecoderConfig, count: int | None, ship: Path | None) -> Decoded:
    """The decoder, trained if missing, and a group of its reconstructions of the split. `ship`: a folder for its float16
    copy, which then decodes."""
    about, kept = taught(bench, name, config)
    folder = bench.root / "models" / "decoder" / name
    if ship is not None:
        folder = halved(folder, ship)
    wanted = InvertDecoder(dataset=bench.dataset.name, split=bench.split, count=count, decoders=(name,))
    key = digest([name, about["digest"], asdict(wanted), bench.common, ship is not None])
    group = bench.group(group_of(name))
    if not is_there(group, key):
        own = read_decoder(folder, bench.device)
        _decode(bench, own, wanted, {"config": asdict(wanted), "digest": key, "device": describe(bench.device)})
    return Decoded(name=name, digest=key, all_seconds=seconds_of(group), card=about, kept=kept)


def _decode(bench: Bench, own: TrainedDecoder, wanted: InvertDecoder, method: dict[str, Any]) -> None:
    """Timed by its quickest batch, so that other processes do not decide between methods."""
    name = own.name
    networks = {own.network: load(own.network, bench.store, bench.device)}
    made = partial(decode, [own], bench.dataset, networks=networks, device=bench.device, micro_batch=bench.run.micro_batch)
    pictures, rows, _ = made(wanted)
    few = replace(wanted, count=min(bench.run.micro_batch, len(rows)))
    taken = [made(few)[2][0]["seconds"] for _ in range(PACED)]
    seconds = min(float(str(one)) for one in taken) / (few.count or 1) * len(rows)
    timing = [{"method": name, "step": 0, "seconds": seconds}]
    write_group(bench.group(group_of(name)), images=pictures, rows=rows, timing=timing, method=method)
