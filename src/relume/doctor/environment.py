"""The doctor on Python, the pinned packages, the device, and the project's folder. Standard library only at import."""

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

from relume.doctor.findings import MENDS, Finding, lack, note, ok

KEY = ("torch", "torchvision", "numpy", "dvc", "mlflow", "timm", "open-clip-torch")
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)\s*(?:;\s*(.+))?$")

# In a process of its own: a torch and a torchvision that do not fit may take Python down with them.
PROBE = """
import json, torch
say = {"torch": torch.__version__, "threads": torch.get_num_threads(), "mps": torch.backends.mps.is_available()}
say["cuda"] = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
say["cuda"] = [f"{each.name}, {each.total_memory / 2**30:.0f} GiB" for each in say["cuda"]]
try:
    import torchvision
    say["torchvision"] = torchvision.__version__
except (ImportError, RuntimeError, AttributeError) as error:
    say["fault"] = f"{type(error).__name__}: {error}"
print(json.dumps(say))
"""


def python(root: Path) -> Iterator[Finding]:
    where = f"{platform.python_version()}, {sys.executable}"
    if not (3, 11) <= sys.version_info < (3, 15):
        yield lack("python", where, "make PYTHON=/path/to/python3.11 env", needed=True)
    elif Path(sys.prefix).resolve() != (root / ".venv").resolve():
        yield note("python", where, "the pinned packages lie in .venv: make env, then .venv/bin/relume doctor")
    else:
        yield ok("python", where)


def packages(root: Path) -> Iterator[Finding]:
    """What is installed against requirements.lock."""
    lock, manifest = root / "requirements.lock", root / "pyproject.toml"
    if not lock.exists() or not manifest.exists():
        remedy = "run in the project's folder; the clone has it, and `make lock` remakes it"
        yield lack("packages", "no requirements.lock here to compare with", remedy, needed=True)
        return
    pins = pinned(lock.read_text())
    here = {name: _installed(name) for name in pins}
    absent = sorted(name for name in pins if here[name] is None)
    other = sorted(f"{name} {here[name]} (pinned {pins[name]})" for name in pins if here[name] not in (None, pins[name]))
    if absent:
        tools = {_name(each) for each in tomllib.loads(manifest.read_text()).get("dependency-groups", {}).get("dev", [])}
        yield lack("packages missing", ", ".join(absent), MENDS, needed=not tools.issuperset(absent))
    if other:
        yield lack("packages differ", "; ".join(other), MENDS)
    if not absent and not other:
        versions = ", ".join(f"{name} {here[name]}" for name in KEY if name in here)
        yield ok("packages", f"{len(pins)} as pinned; {versions}")


def pinned(lock: str) -> dict[str, str]:
    """Name -> version, of the lines of a lock that hold for this Python and this machine."""
    from packaging.markers import Marker

    lines = (PINNED.match(line) for line in lock.splitlines())
    return {found[1]: found[2] for found in lines if found and (not found[3] or Marker(found[3]).evaluate())}


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def device(root: Path) -> Iterator[Finding]:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=root, timeout=120)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"Python ended with {done.returncode}"])[-1]
        yield lack("torch", why, MENDS, needed=True)
        return
    say = json.loads(done.stdout.splitlines()[-1])
    yield ok("processor", f"{platform.machine()}, {say['threads']} threads")
    if say["cuda"]:
        yield ok("cuda", "; ".join(say["cuda"]))
    elif shutil.which("nvidia-smi"):
        remedy = f"the driver is too old for torch {say['torch']}, or hides its GPUs: nvidia-smi, CUDA_VISIBLE_DEVICES"
        yield note("cuda", "a driver, but no GPU that torch can use", remedy)
    if say["mps"]:
        yield ok("mps", "Metal")
    if not say["cuda"] and not say["mps"]:
        yield note("accelerator", "none: the processor computes, which suffices for the embedded default")
    if "fault" in say:
        yield lack("torchvision", f"does not import beside torch {say['torch']}: {say['fault']}", MENDS, needed=True)
    else:
        yield ok("torchvision", f"{say['torchvision']} fits torch {say['torch']}")


def clone(root: Path) -> Iterator[Finding]:
    """Git's state."""
    if not shutil.which("git"):
        yield lack("git", "not installed", "install git", needed=True)
        return
    status = _git(root, "status", "--porcelain", "--branch")
    if status.returncode:
        remedy = "git clone the project, or git init here: DVC keeps its record in git"
        yield lack("git", status.stderr.strip().splitlines()[0], remedy, needed=True)
        return
    branch, *changes = status.stdout.splitlines()
    commit = _git(root, "rev-parse", "--short", "HEAD")
    at = branch.removeprefix("## ") + (f" at {commit.stdout.strip()}" if not commit.returncode else "")
    if changes:
        yield note(
            "git", f"{at}, {len(changes)} changed files", "results name the commit that made them: commit before you publish"
        )
    else:
        yield ok("git", f"{at}, nothing changed")


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # look, and leave the index alone
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, env=environment, timeout=30)


def folder(root: Path) -> Iterator[Finding]:
    """The pipeline, DVC's folder, and whose sources `import relume` gives."""
    import relume

    for name in ("dvc.yaml", ".dvc"):
        if not (root / name).exists():
            yield lack(name, f"not in {root}", "run in the project's folder: a clone has it", needed=True)
    source, given = root / "src" / "relume", [Path(each).resolve() for each in relume.__path__]
    if source.is_dir() and source.resolve() not in given:
        found = f"`import relume` gives {given[0]}, not this folder's (stages run this folder's all the same)"
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
        yield lack("params.yaml", str(error), "mend it: every stage stops at this", needed=True)
    else:
        yield ok("params.yaml", "every key and value is known")
