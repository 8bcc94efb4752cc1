"""Runs the checks of `relume doctor`. Imports only the standard library, because packages may be missing."""

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal, TextIO

State = Literal["ok", "note", "lack"]
COLOURS: dict[State, str] = {"ok": "32", "note": "33", "lack": "31"}
REINSTALL = "rm -f .venv/relume.state; make env"


@dataclass(frozen=True)
class Finding:
    """The result of a check. `needed`: `make repro` fails without it."""

    state: State
    name: str
    found: str
    remedy: str = ""
    needed: bool = False
    looked: tuple[str, ...] = ()  # places that were searched, in order
    area: str = ""


ok, note, lack = partial(Finding, "ok"), partial(Finding, "note"), partial(Finding, "lack")

# area, module, function: (root) -> findings. Imported by name, so that a missing import fails only the checks of its module.
QUICK = (("environment", "environment", "python"), ("environment", "environment", "packages"))
DEVICE = ("device", "environment", "device")
REST = (
    ("project", "environment", "clone"),
    ("project", "environment", "folder"),
    ("project", "environment", "parameters"),
    ("weights", "inputs", "weights"),
    ("datasets", "inputs", "datasets"),
    ("sharing", "services", "remote"),
    ("sharing", "services", "cache"),
    ("tracking", "services", "tracking"),
    ("disk", "services", "disk"),
)
STALE = ("stages", "services", "stale")


def examine(root: Path, *, stale: bool = False) -> list[Finding]:
    """All findings by area. `stale` also lists stale stages, which takes some seconds."""
    with contextlib.chdir(root), ThreadPoolExecutor(2) as pool:  # both run a process, which takes seconds
        device = pool.submit(guarded, *DEVICE, root)
        stages = pool.submit(guarded, *STALE, root) if stale else None
        first, rest = ([finding for check in checks for finding in guarded(*check, root)] for checks in (QUICK, REST))
        return [*first, *device.result(), *rest, *(stages.result() if stages else [])]


def guarded(area: str, module: str, name: str, root: Path) -> list[Finding]:
    """Turns an exception into a finding, so that the other checks still run."""
    try:
        found = list(getattr(import_module(f"relume.doctor.{module}"), name)(root))
    except ImportError as error:
        found = [lack(name, f"not checked: {error}", REINSTALL, needed=True)]
    except Exception as error:  # shown as a finding
        found = [lack(name, f"not checked: {type(error).__name__}: {error}", "fix the error")]
    return [replace(finding, area=area) for finding in found]


def ready(findings: Iterable[Finding]) -> bool:
    """True if `make repro` has all that it needs."""
    return not any(finding.needed and finding.state == "lack" for finding in findings)


def show(findings: Sequence[Finding], out: TextIO) -> None:
    """Prints the findings; in colour on a terminal."""
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
                print(f"{'':30}searched: {place}", file=out)
            if finding.remedy:
                print(f"{'':30}-> {_indented(finding.remedy)}", file=out)
    lacks = [finding for finding in findings if finding.state == "lack"]
    needed = sum(finding.needed for finding in lacks)
    print(f"\n{len(lacks)} missing, {needed} of them needed by `make repro`" if lacks else "\nnothing is missing", file=out)


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{'':30}")


def as_json(root: Path, findings: Sequence[Finding]) -> str:
    """JSON: {"root", "ready", "findings": [the fields of Finding]}."""
    return json.dumps({"root": str(root), "ready": ready(findings), "findings": [asdict(each) for each in findings]}, indent=2)
