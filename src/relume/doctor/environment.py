"""Checks of Python, the pinned packages, the device and the project's folder. Imports only the standard library."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from relume.doctor.findings import REINSTALL, Finding, lack, note, ok

KEY = ("torch", "torchvision", "numpy", "dvc", "mlflow", "timm", "open-clip-torch")
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)\s*(?:;\s*(.+))?$")

# runs in its own process: incompatible versions of torch and torchvision may crash Python
PROBE = """
import json, torch
info = {"torch": torch.__version__, "threads": torch.get_num_threads(), "mps": torch.backends.mps.is_available()}
info["cuda"] = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
info["cuda"] = [f"{each.name}, {each.total_memory / 2**30:.0f} GiB" for each in info["cuda"]]
try:
    import torchvision
    info["torchvision"] = torchvision.__version__
except (ImportError, RuntimeError, AttributeError) as error:
    info["fault"] = f"{type(error).__name__}: {error}"
print(json.dumps(info))
"""


def python(root: Path) -> Iterator[Finding]:
    where = f"{platform.python_version()}, {sys.executable}"
    if not (3, 11) <= sys.version_info < (3, 15):
        yield lack("python", where, "make PYTHON=/path/to/python3.11 env", needed=True)
    elif Path(sys.prefix).resolve() != (root / ".venv").resolve():
        yield note("python", where, "the pinned packages are in .venv: make env, then .venv/bin/relume doctor")
    else:
        yield ok("python", where)


def packages(root: Path) -> Iterator[Finding]:
    """Compares the installed packages with requirements.lock."""
    lock, manifest = root / "requirements.lock", root / "pyproject.toml"
    if not lock.exists() or not manifest.exists():
        remedy = "run in the project's folder; `make lock` writes it"
        yield lack("packages", "requirements.lock not found", remedy, needed=True)
        return
    pins = pinned(lock.read_text())
    installed = {name: _installed(name) for name in pins}
    absent = sorted(name for name in pins if installed[name] is None)
    other = sorted(
        f"{name} {installed[name]} (pinned {pins[name]})" for name in pins if installed[name] not in (None, pins[name])
    )
    if absent:
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name

        groups = tomllib.loads(manifest.read_text()).get("dependency-groups", {})
        tools = {canonicalize_name(Requirement(each).name) for each in groups.get("dev", [])}
        yield lack("packages missing", ", ".join(absent), REINSTALL, needed=not tools.issuperset(absent))
    if other:
        yield lack("packages differ", "; ".join(other), REINSTALL)
    if not absent and not other:
        versions = ", ".join(f"{name} {installed[name]}" for name in KEY if name in installed)
        yield ok("packages", f"{len(pins)} as pinned; {versions}")


def pinned(lock: str) -> dict[str, str]:
    """Name -> version, of the lines whose markers apply here."""
    from packaging.markers import Marker

    lines = (PINNED.match(line) for line in lock.splitlines())
    return {found[1]: found[2] for found in lines if found and (not found[3] or Marker(found[3]).evaluate())}


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def device(root: Path) -> Iterator[Finding]:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=root, timeout=120)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield lack("torch", why, REINSTALL, needed=True)
        return
    info = json.loads(done.stdout.splitlines()[-1])
    yield ok("processor", f"{platform.machine()}, {info['threads']} threads")
    if info["cuda"]:
        yield ok("cuda", "; ".join(info["cuda"]))
    elif shutil.which("nvidia-smi"):
        remedy = f"the driver is too old for torch {info['torch']}, or its GPUs are hidden: see nvidia-smi, CUDA_VISIBLE_DEVICES"
        yield note("cuda", "a driver is installed, but torch finds no GPU", remedy)
    if info["mps"]:
        yield ok("mps", "Metal")
    if not info["cuda"] and not info["mps"]:
        yield note("accelerator", "none: computes on the CPU, which is enough for the default pipeline")
    if "fault" in info:
        yield lack("torchvision", f"cannot be imported with torch {info['torch']}: {info['fault']}", REINSTALL, needed=True)
    else:
        yield ok("torchvision", f"{info['torchvision']} fits torch {info['torch']}")


def clone(root: Path) -> Iterator[Finding]:
    """The state of the git repository."""
    if not shutil.which("git"):
        yield lack("git", "not installed", "install git", needed=True)
        return
    status = _git(root, "status", "--porcelain", "--branch")
    if status.returncode:
        remedy = "git clone the project, or git init: DVC needs git"
        yield lack("git", status.stderr.strip().splitlines()[0], remedy, needed=True)
        return
    branch, *changes = status.stdout.splitlines()
    commit = _git(root, "rev-parse", "--short", "HEAD")
    at = branch.removeprefix("## ") + (f" at {commit.stdout.strip()}" if not commit.returncode else "")
    if changes:
        yield note("git", f"{at}, {len(changes)} changed files", "results record their commit: commit before you publish")
    else:
        yield ok("git", f"{at}, no changes")


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # do not write the index
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, env=environment, timeout=30)


def folder(root: Path) -> Iterator[Finding]:
    """dvc.yaml, .dvc, and the sources that `import relume` uses."""
    import relume

    for name in ("dvc.yaml", ".dvc"):
        if not (root / name).exists():
            yield lack(name, f"not in {root}", "run in the project's folder", needed=True)
    source, imported = root / "src" / "relume", [Path(each).resolve() for each in relume.__path__]
    if source.is_dir() and source.resolve() not in imported:
        found = f"`import relume` uses {imported[0]}, not this folder (stages use this folder)"
        yield note("sources", found, "make env here, and run .venv/bin/relume")
    elif source.is_dir():
        yield ok("sources", "src/relume of this folder")


def parameters(root: Path) -> Iterator[Finding]:
    from relume.core.config import read_params
    from relume.core.errors import UserError
    from relume.params import check

    try:
        check(read_params(root / "params.yaml"))
    except UserError as error:
        yield lack("params.yaml", str(error), "fix it: every stage fails", needed=True)
    else:
        yield ok("params.yaml", "valid")
