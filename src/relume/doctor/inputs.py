"""The doctor on what the pipeline starts from: weights and datasets, what is here, and where each was looked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.files import read_json
from relume.data.config import Folder, ImagenetVal, Photos, Prepare, Source
from relume.doctor.findings import Finding, lack, note, ok
from relume.networks.config import Weights
from relume.networks.pins import PINS


def _section(root: Path, cls: type, key: str) -> Any:
    """The section, or None where it cannot be had: the check of `params.yaml` says why."""
    try:
        return build(cls, read_params(root / "params.yaml").get(key), key)
    except UserError:
        return None


def weights(root: Path) -> Iterator[Finding]:
    wanted = _section(root, Weights, "weights")
    if wanted is None:
        yield note("weights", "not examined: params.yaml does not say which are wanted")
        return
    for name in wanted.networks:
        yield _brought(root / "models" / "weights" / name, name) or _sources(name)
    cards = (root / "models" / "weights").glob("**/model.json")
    if others := sorted({str(read_json(card)["name"]) for card in cards} - set(wanted.networks)):
        yield ok("also here", ", ".join(others))


def _brought(folder: Path, name: str) -> Finding | None:
    """What the stage `weights` left; None where it did not run."""
    card = folder / "model.json"
    if not card.exists() or not (folder / "model.safetensors").exists():
        return None
    about = read_json(card)
    if name in PINS and about["sha256"] != PINS[name]:
        return lack(name, f"models/weights/{name} is of another version than the pinned", "make repro brings the pinned one")
    source = about.get("source") or {}
    return ok(name, f"models/weights/{name}, made from {source.get('name', 'nothing')}")


def _sources(name: str) -> Finding:
    """Where the stage `weights` would take it from: the order is the one it keeps."""
    from relume.networks.sources import candidates, download_path, files

    wanted = files(name)
    if not wanted:
        return note(name, "not brought yet, and comes from nowhere: it has no weights", "make repro")
    looked: list[str] = []
    for candidate in candidates(wanted):
        if candidate.path is not None and candidate.path.is_file():
            return note(name, f"not brought yet; here is {candidate.path}", "make repro brings it")
        looked.append(candidate.why or f"{candidate.path}: not there")
    addresses = [file for file in wanted if file.url]
    if addresses:
        remedy = f"make repro downloads {addresses[0].url}; without a network, put that file at {download_path(addresses[0])}"
    else:
        remedy = f"install what carries it: {', '.join(file.requirement for file in wanted)}"
    return lack(name, "nowhere on this machine", remedy, needed=not addresses, looked=tuple(looked))


def datasets(root: Path) -> Iterator[Finding]:
    prepare = _section(root, Prepare, "prepare")
    if prepare is None:
        yield note("datasets", "not examined: params.yaml does not say which are wanted")
        return
    for name, source in prepare.datasets.items():
        manifest = root / "data" / "images" / name / "manifest.json"
        if manifest.exists():
            counts = read_json(manifest)["counts"]
            splits = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test") if split in counts)
            yield ok(name, f"data/images/{name}: {splits} pictures of {source.pixels} px")
        else:
            yield _original(name, source)


def _original(name: str, source: Source) -> Finding:
    """Where the stage `prepare` would take the dataset from."""
    from relume.data.locate import find_local, find_parts, folders

    if isinstance(source, Photos):
        return note(name, "not prepared yet; made from pictures that the packages carry", "make repro")
    file = source.path if isinstance(source, Folder) else source.archive
    if isinstance(source, Folder) and Path(file).exists():
        return note(name, f"not prepared yet; here is {file}", "make repro")
    here = (find_parts(file)[:1] if "*" in file else []) or [found for found in [find_local(file)] if found]
    if here:
        return note(name, f"not prepared yet; here is {here[0]}", "make repro")
    fetched = not isinstance(source, Folder | ImagenetVal)
    do = "make repro downloads it; without a network, put" if fetched else "its owner hands it out after registration: put"
    remedy = f"{'put' if isinstance(source, Folder) else do} {file} into data/sources, or its folder into RELUME_SOURCES"
    looked = tuple(f"{folder / file}: not there" for folder in folders())
    return lack(name, f"{file} is not on this machine", remedy, needed=not fetched, looked=looked)
