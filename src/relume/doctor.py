"""What is here, what is lacking, and what to do about it. Standard library only: it must run where packages are missing."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TextIO

State = Literal["ok", "note", "lack"]
COLOURS: dict[State, str] = {"ok": "32", "note": "33", "lack": "31"}
MENDS = "rm -f .venv/relume.state; make env"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's. `needed`: without it `make repro` cannot end well."""

    area: str = ""
    name: str
    state: State
    found: str
    remedy: str = ""
    needed: bool = False
    looked: tuple[str, ...] = ()  # where, in order, for things that may come from several places


Check = Callable[[Path], Iterable[Finding]]


def ok(name: str, found: str) -> Finding:
    return Finding(name=name, state="ok", found=found)


def note(name: str, found: str, remedy: str = "", *, looked: tuple[str, ...] = ()) -> Finding:
    return Finding(name=name, state="note", found=found, remedy=remedy, looked=looked)


def lack(name: str, found: str, remedy: str, *, needed: bool = False, looked: tuple[str, ...] = ()) -> Finding:
    return Finding(name=name, state="lack", found=found, remedy=remedy, needed=needed, looked=looked)


def find_root(start: Path) -> Path:
    """The nearest folder upwards that holds a pipeline; `start` itself where none does."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / "dvc.yaml").exists()), start)


def examine(root: Path, *, stale: bool = False) -> list[Finding]:
    """All findings, area by area. `stale` also asks DVC what would run, which takes some seconds."""
    from relume import doctor_environment as environment
    from relume import doctor_inputs as inputs
    from relume import doctor_services as services

    before: list[tuple[str, Check]] = [("environment", environment.python), ("environment", environment.packages)]
    after: list[tuple[str, Check]] = [
        ("project", environment.clone),
        ("project", environment.folder),
        ("project", environment.parameters),
        *([("project", services.stale)] if stale else []),
        ("weights", inputs.weights),
        ("datasets", inputs.datasets),
        ("sharing", services.remote),
        ("sharing", services.cache),
        ("tracking", services.tracking),
        ("disk", services.disk),
    ]
    with contextlib.chdir(root), ThreadPoolExecutor(1) as pool:
        device = pool.submit(_guarded, "device", environment.device, root)  # waits for a process that imports torch
        found = [[finding for area, check in checks for finding in _guarded(area, check, root)] for checks in (before, after)]
        return [*found[0], *device.result(), *found[1]]


def _guarded(area: str, check: Check, root: Path) -> list[Finding]:
    """A check that fails is itself a finding: one broken package must not hide what the other checks see."""
    try:
        found = list(check(root))
    except ImportError as error:
        found = [lack(check.__name__, f"not examined: {error}", MENDS, needed=True)]
    except Exception as error:  # whatever it is, it is told, not hidden
        found = [lack(check.__name__, f"not examined: {type(error).__name__}: {error}", "mend what the message names")]
    return [replace(finding, area=area) for finding in found]


def ready(findings: Iterable[Finding]) -> bool:
    """Nothing that `make repro` needs is lacking."""
    return not any(finding.needed and finding.state == "lack" for finding in findings)


def show(findings: Sequence[Finding], out: TextIO) -> None:
    """For people; in colour on a terminal only."""
    colour = out.isatty() and "NO_COLOR" not in os.environ
    area = ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            print(f"\n{area}" if finding is not findings[0] else area, file=out)
        state = f"\x1b[{COLOURS[finding.state]}m{finding.state:4}\x1b[0m" if colour else f"{finding.state:4}"
        print(f"  {state}  {finding.name:20}  {_indented(finding.found)}", file=out)
        if finding.state != "ok":
            for place in finding.looked:
                print(f"{'':30}looked: {place}", file=out)
            if finding.remedy:
                print(f"{'':30}-> {_indented(finding.remedy)}", file=out)
    lacks = [finding for finding in findings if finding.state == "lack"]
    needed = sum(finding.needed for finding in lacks)
    print(f"\n{len(lacks)} lacking, {needed} of them needed by `make repro`" if lacks else "\nnothing is lacking", file=out)


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{'':30}")


def as_json(root: Path, findings: Sequence[Finding]) -> str:
    """For machines: {"root", "ready", "findings": [the fields of Finding]}."""
    return json.dumps({"root": str(root), "ready": ready(findings), "findings": [asdict(each) for each in findings]}, indent=2)
