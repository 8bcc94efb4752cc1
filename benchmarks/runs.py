"""The inversions of a study: run in order; each is a group and is reused while its inputs are the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks import study
from benchmarks.study import Job, Study
from relume.core.errors import UserError
from relume.core.files import Scratch, digest, read_csv
from relume.core.results import TIMING_FILE, Group, read_group, run_folder, write_group
from relume.core.run import Run
from relume.core.runtime import describe
from relume.data.store import Dataset
from relume.methods.optimise.infer import Work, invert, seconds_per_step, work
from relume.networks.weights import WeightStore

PACED = 8  # the quickest of so many steps is the pace
INVERTS = ("relume.methods.optimise.infer",)  # code that an inversion runs


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Inputs shared by all inversions of a study."""

    root: Path  # the work folder
    run: Run
    dataset: Dataset
    split: str
    store: WeightStore
    device: torch.device
    code: str  # digest of the code of inversions

    @property
    def common(self) -> dict[str, Any]:
        """What every result depends on, without the device, which every group states."""
        run = {key: value for key, value in asdict(self.run).items() if key != "device"}
        return {"run": run, "size": self.dataset.size, "photographs": self.dataset.manifest["index_sha256"], "code": self.code}

    def group(self, folder: str) -> Path:
        return self.root / "reconstructions" / folder


class Earlier(Protocol):
    """What a job depends on in its start and reference."""

    @property
    def digest(self) -> str: ...

    @property
    def all_seconds(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished job."""

    job: Job
    digest: str
    steps: int
    seconds: float  # of this inversion alone
    fixed: float  # the part that does not depend on the number of steps
    upstream: float  # of its start and reference
    device: str
    kept: bool  # from an earlier call

    @property
    def all_seconds(self) -> float:
        return self.seconds + self.upstream


def run_all(bench: Bench, wanted: Study, planned: Sequence[Job]) -> Iterator[Done]:
    """Runs the cases in order: the methods of each, and last the one whose seconds are limited to another's."""
    for case in wanted.cases:
        done: dict[str, Done] = {}
        for job in (job for job in planned if job.case == case):
            done[job.method] = run_one(bench, job, done)
        if wanted.seconds and (fitted := equal_seconds(done, *wanted.seconds.equal)):
            done[fitted.method] = run_one(bench, fitted, done)
        yield from done.values()


def run_one(bench: Bench, job: Job, before: Mapping[str, Earlier]) -> Done:
    """The job's group, reused if it was made from the same inputs."""
    needed = [before[name] for name in dict.fromkeys((job.start, job.reference)) if name]
    made_from = {"config": asdict(job.config), "needed": [other.digest for other in needed]}
    key = digest([job.method, made_from, bench.common])
    folder = bench.group(job.folder)
    kept = is_there(folder, key)
    if not kept:
        _invert(bench, job, key, {**made_from, "digest": key, "device": describe(bench.device)})
    return Done(
        job=job,
        digest=key,
        steps=job.config.steps,
        seconds=seconds_of(folder),
        fixed=fixed_of(folder),
        upstream=sum(other.all_seconds for other in needed),
        device=read_group(folder).method["device"],
        kept=kept,
    )


def is_there(folder: Path, key: str) -> bool:
    return (folder / "index.csv").exists() and read_group(folder).method.get("digest") == key


def _invert(bench: Bench, job: Job, key: str, method: dict[str, Any]) -> None:
    def group(name: str) -> Group | None:
        return read_group(bench.group(f"{job.case}_{name}")) if name else None

    scratch = Scratch(bench.root / "scratch" / digest([key, describe(bench.device), torch.__version__]))
    prepared = work(
        name=job.method,
        config=job.config,
        run=bench.run,
        dataset=bench.dataset,
        store=bench.store,
        device=bench.device,
        scratch=scratch,
        start=group(job.start),
        reference=group(job.reference),
    )
    pictures, rows, trace, _ = invert(prepared)
    timing = undisturbed(prepared, len({row.id for row in rows}))
    write_group(bench.group(job.folder), images=pictures, rows=rows, trace=trace, timing=timing, method=method)
    scratch.clear()


def undisturbed(prepared: Work, pictures: int) -> list[dict[str, Any]]:
    """The method's seconds at the pace of its quickest steps, so that other processes do not decide between methods.

    What is learned before the first step counts as it is; looks at the clean picture, for keeping the best, do not.
    """
    (_, fit), steps = prepared.guide, prepared.config.steps
    whole = fit + seconds_per_step(prepared, PACED) * pictures * steps
    return [{"method": prepared.name, "step": step, "seconds": seconds} for step, seconds in ((0, fit), (steps, whole))]


def seconds_of(folder: Path) -> float:
    return max(float(row["seconds"]) for row in read_csv(run_folder(folder) / TIMING_FILE))


def fixed_of(folder: Path) -> float:
    """The part that does not depend on the number of steps."""
    return min(float(row["seconds"]) for row in read_csv(run_folder(folder) / TIMING_FILE))


def equal_seconds(done: Mapping[str, Done], slow: str, fast: str) -> Job | None:
    """`slow` with as many steps as fit into `fast`'s seconds; None if it was not slower, or one of them lacks this case."""
    if slow not in done or fast not in done or done[slow].all_seconds <= done[fast].all_seconds:
        return None
    a, b = done[slow], done[fast]
    left = b.all_seconds - a.upstream - a.fixed
    if left <= 0 or a.device != b.device:
        why = "what it begins with takes longer already" if left <= 0 else f"they ran on {a.device} and on {b.device}"
        raise UserError(f"study.seconds.equal: {a.job.folder} cannot run in the seconds of {fast}: {why}")
    return study.shortened(a.job, left / (a.seconds - a.fixed))
