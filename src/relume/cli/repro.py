"""Stages side by side: `dvc repro`, but independent stages run at once. DVC itself runs one after the other.

One process holds DVC's project. It does with every stage what `dvc repro` does, in DVC's own functions and under DVC's own locks
(treeverse/dvc: `Stage.reproduce`); only the commands run beside each other. `dvc.lock` takes seconds to write, so several entries
are written together; a stage whose entry is lost, when this process is killed, comes from DVC's run cache.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relume.core.errors import UserError
from relume.core.files import read_json, sweep, write_json

SECONDS = Path(".dvc") / "tmp" / "relume" / "seconds.json"  # stage -> seconds of wall and processor and MiB, as it last ran
WRITE_EVERY = 20.0  # seconds between two writes of dvc.lock
GRACE = 10.0  # seconds that a stopped stage has before it is killed


@dataclass(kw_only=True, eq=False)
class Job:
    """A stage whose command runs."""

    stage: Any
    process: subprocess.Popen[bytes]
    log: Path | None
    locks: ExitStack
    begun: float = field(default_factory=time.monotonic)
    cpu: float = 0.0
    memory: float = 0.0  # MiB, at its peak

    def ended(self) -> bool:
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if not pid:
            return False
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        return True

    def stop(self, signum: int) -> None:
        try:
            os.killpg(self.process.pid, signum)
        except ProcessLookupError:
            return  # it has ended


class Runner:
    """Brings `targets` and what they need up to date."""

    def __init__(self, targets: Sequence[str], *, jobs: int, force: bool, echo: Callable[[str], object]) -> None:
        from dvc.repo import Repo
        from dvc.repo import lock_repo as locked

        logging.getLogger("dvc").setLevel(logging.WARNING)
        self._repo, self._locked = Repo(_wait_for_lock=True), locked
        self._root = Path(self._repo.root_dir)
        self._targets, self._jobs, self._force, self._echo = list(targets), jobs, force, echo
        self._running: list[Job] = []
        self._unwritten: list[Any] = []
        self._written = time.monotonic()
        self._failed: tuple[Any, str, Path | None] | None = None  # the first stage that has failed, why, what it has written
        self._signal = 0
        self._done = self._total = 0
        self._seconds: dict[str, list[float]] = read_json(self._root / SECONDS) if (self._root / SECONDS).exists() else {}

    def run(self) -> int:
        """Exit code: 0, 1 where a stage has failed, 128 + signal where one has stopped the run."""
        with _signals(self._stop), self._repo.scm_context(quiet=True):
            try:
                with self._locked(self._repo):
                    self._mend()
                    needs = self._plan()
                if not needs:
                    self._echo("Nothing to run: every stage is up to date.")
                    return 0
                self._total = len(needs)
                self._walk(needs)
            finally:
                self._end()
        if self._signal:
            self._echo(f"Stopped by {signal.Signals(self._signal).name}. The same command goes on from here.")
            return 128 + self._signal
        return 1 if self._failed else 0

    def _stop(self, signum: int, _: object) -> None:
        self._signal = signum

    def _mend(self) -> None:
        """DVC, killed while it writes this file, leaves it empty, and then refuses every command."""
        file = Path(self._repo.tmp_dir) / "rwlock"
        for wait in (0.5, 0.0):  # another DVC may be writing it just now
            try:
                json.loads(file.read_text())
                return
            except FileNotFoundError:
                return
            except ValueError:
                time.sleep(wait)
        file.unlink(missing_ok=True)
        self._echo(f"{file} was damaged when DVC was killed, and is removed.")

    def _plan(self) -> dict[Any, set[Any]]:
        """Stages that are stale or below a stale one, longest way to the end first -> those of them that each waits for."""
        from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

        graph = get_active_graph(self._repo.index.graph)
        wanted = collect_stages(self._repo, self._targets) if self._targets else None  # it parses dvc.lock a second time
        needs: dict[Any, set[Any]] = {}
        for stage in plan_repro(graph, wanted):
            above = {other for other in graph.successors(stage) if other in needs}
            if self._force or above or stage.changed():
                needs[stage] = above
        known = [taken[0] for taken in self._seconds.values()]
        usual = sum(known) / len(known) if known else 1.0
        way: dict[Any, float] = {}
        for stage in reversed(needs):
            below = [way[other] for other, above in needs.items() if stage in above]
            way[stage] = self._seconds.get(stage.addressing, [usual])[0] + max(below, default=0.0)
        return {stage: needs[stage] for stage in sorted(needs, key=lambda stage: -way[stage])}

    def _walk(self, needs: dict[Any, set[Any]]) -> None:
        left = dict(needs)
        while (left and not self._failed and not self._signal) or (self._running and not self._signal):
            ended = [job for job in self._running if job.ended()]
            ready = [stage for stage, above in left.items() if not above & (left.keys() | {job.stage for job in self._running})]
            free = 0 if self._failed else self._jobs - len(self._running) + len(ended)
            if not ended and not (ready and free):
                time.sleep(0.05)
                continue
            with self._locked(self._repo):
                for job in ended:
                    self._finish(job)
                if time.monotonic() - self._written > WRITE_EVERY:
                    self._write()
                if not ended and not self._failed:
                    del left[ready[0]]
                    self._try(self._begin, ready[0])
        with self._locked(self._repo):
            for job in [job for job in self._running if job.ended()]:  # what has ended before a signal is not lost
                self._finish(job)

    def _try(self, step: Callable[[Any], None], stage: Any, log: Path | None = None) -> bool:
        from dvc.exceptions import DvcException

        try:
            step(stage)
        except DvcException as error:  # a dependency that nothing makes, an output that the command has not written
            self._fail(stage, str(error), log)
            return False
        return True

    def _begin(self, stage: Any) -> None:
        """As `Stage.reproduce` up to the command."""
        from dvc.rwlock import rwlock
        from dvc.stage.cache import RunCacheNotFoundError

        if not self._force and not stage.changed():
            self._tell(stage, "unchanged")
            return
        if not stage.cmd or stage.frozen:
            if stage.reproduce(force=self._force):
                stage.dump(update_pipeline=False)
            self._tell(stage, "checked")
            return
        stage.remove_outs(ignore_remove=False, force=False)
        for path in (Path(out.fs_path) for out in stage.outs):
            if path.parent.is_dir():
                sweep(path)
        try:
            if self._force:
                raise RunCacheNotFoundError(stage)
            self._repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            stage.save_deps()
        else:
            self._save(stage)
            self._tell(stage, "from the run cache")
            return
        locks = ExitStack()
        reads, writes = ([item.fs_path for item in items] for items in (stage.deps, stage.outs))
        hard = self._repo.config["core"].get("hardlink_lock", False)
        name = f"relume repro {stage.addressing}"
        locks.enter_context(rwlock(self._repo.tmp_dir, self._repo.fs, name, reads, writes, hard))
        self._running.append(self._start(stage, locks))

    def _start(self, stage: Any, locks: ExitStack) -> Job:
        from dvc.stage.run import get_executable, prepare_kwargs

        lines = stage.cmd if isinstance(stage.cmd, list) else stage.cmd.splitlines()
        options = prepare_kwargs(stage) | {"shell": True, "executable": get_executable(), "start_new_session": True}
        log = None
        if self._jobs > 1:
            log = self._root / SECONDS.parent / f"{stage.addressing.replace(os.sep, '_')}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as file:
                process = subprocess.Popen(
                    " && ".join(lines), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, **options
                )
        else:
            process = subprocess.Popen(" && ".join(lines), stdin=subprocess.DEVNULL, **options)
        self._echo(f"        {stage.addressing}: running")
        return Job(stage=stage, process=process, log=log, locks=locks)

    def _finish(self, job: Job) -> None:
        """As `Stage.reproduce` after the command."""
        self._running.remove(job)
        job.locks.close()
        seconds = time.monotonic() - job.begun
        if code := job.process.returncode:
            self._fail(job.stage, f"exit code {code} after {seconds:.0f} s", job.log)
        elif self._try(self._save, job.stage, job.log):
            self._seconds[job.stage.addressing] = [round(seconds, 2), round(job.cpu, 2), round(job.memory)]
            self._tell(job.stage, f"{seconds:.0f} s")
            self._show(job.log)

    def _fail(self, stage: Any, why: str, log: Path | None) -> None:
        self._failed = self._failed or (stage, why, log)
        self._echo(f"        {stage.addressing}: FAILED, {why}")

    def _save(self, stage: Any) -> None:
        stage.save(run_cache=all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs))
        stage.commit()
        self._unwritten.append(stage)

    def _write(self) -> None:
        for file in {stage.dvcfile for stage in self._unwritten}:
            file.dump_stages([stage for stage in self._unwritten if stage.dvcfile == file], update_pipeline=False)
        self._unwritten, self._written = [], time.monotonic()
        write_json(self._root / SECONDS, self._seconds)

    def _end(self) -> None:
        """Nothing is left running, locked or unwritten."""
        for signum, wait in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
            for job in self._running:
                job.stop(signum)
            until = time.monotonic() + (wait or 0)
            while wait and any(job.process.poll() is None for job in self._running) and time.monotonic() < until:
                time.sleep(0.05)
        for job in self._running:
            job.process.wait()
            job.locks.close()
        if self._unwritten:
            with self._locked(self._repo):
                self._write()
        if self._failed:
            stage, why, log = self._failed
            self._show(log)
            self._echo(f"{stage.addressing} has FAILED: {why}")

    def _tell(self, stage: Any, what: str) -> None:
        self._done += 1
        self._echo(f"[{self._done:>2}/{self._total}] {stage.addressing}: {what}")

    def _show(self, log: Path | None) -> None:
        """What the stage has written, without the states of progress bars that were overwritten."""
        text = b"" if log is None else log.read_bytes()  # as text a lone \\r would end a line
        for line in text.decode(errors="replace").split("\n"):
            if last := line.rstrip("\r").rpartition("\r")[2].rstrip():
                self._echo(f"        {last}")


def repro(targets: Sequence[str], *, jobs: int | None, force: bool, echo: Callable[[str], object]) -> int:
    """Run what is stale; the exit code."""
    from dvc.exceptions import DvcException

    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # `python` is this one
    try:
        return Runner(targets, jobs=jobs or default_jobs(), force=force, echo=echo).run()
    except DvcException as error:
        raise UserError(str(error)) from error


def default_jobs() -> int:
    """As many stages as this process may use processors: a stage computes on one thread. More than 8 seldom are independent."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


@contextmanager
def _signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Signals are noted and looked at between steps, so that none cuts through a write of DVC's."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(kind, handler) for kind in kinds]
    try:
        yield
    finally:
        for kind, old in zip(kinds, before, strict=True):
            signal.signal(kind, old)
