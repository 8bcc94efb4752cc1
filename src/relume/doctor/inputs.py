"""Checks of weights and datasets: what is here, and which places were searched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.files import read_json
from relume.data.config import Folder, ImagenetVal, Photos, Prepare, Source
from relume.doctor.findings import Finding, lack, note, ok
from relume.networks.config import Weights
from relume.networks.sources import PINS


def _section(root: Path, cls: type, key: str) -> Any:
    """The section, or None if it is invalid: the check of `params.yaml` says why."""
    try:
        return build(cls, read_params(root / "params.yaml").get(key), key)
    except UserError:
        return None


def weights(root: Path) -> Iterator[Finding]:
    section = _section(root, Weights, "weights")
    if section is None:
        yield note("weights", "not checked: params.yaml is invalid")
        return
    for name in section.networks:
        yield _fetched(root / "models" / "weights" / name, name) or _sources(name)
    cards = (root / "models" / "weights").glob("**/model.json")
    if others := sorted({str(read_json(card)["name"]) for card in cards} - set(section.networks)):
        yield ok("also here", ", ".join(others))


def _fetched(folder: Path, name: str) -> Finding | None:
    """The output of the stage `weights`; None if there is none."""
    card = folder / "model.json"
    if not card.exists() or not (folder / "model.safetensors").exists():
        return None
    about = read_json(card)
    if name in PINS and about["sha256"] != PINS[name]:
        return lack(name, f"models/weights/{name} is not the pinned version", "make repro fetches the pinned one")
    source = about.get("source") or {}
    return ok(name, f"models/weights/{name}, from {source.get('name', 'no file')}")


def _sources(name: str) -> Finding:
    """The source that the stage `weights` would use."""
    from relume.networks.sources import candidates, download_path, files

    sources = files(name)
    if not sources:
        return note(name, "not fetched yet; it has no weights", "make repro")
    looked: list[str] = []
    for candidate in candidates(sources):
        if candidate.path is not None and candidate.path.is_file():
            return note(name, f"not fetched yet; found {candidate.path}", "make repro fetches it")
        looked.append(candidate.why or f"{candidate.path}: not found")
    addresses = [file for file in sources if file.url]
    if addresses:
        remedy = f"make repro downloads {addresses[0].url}; offline, put that file at {download_path(addresses[0])}"
    else:
        remedy = f"install {', '.join(file.requirement for file in sources)}"
    return lack(name, "not on this machine", remedy, needed=not addresses, looked=tuple(looked))


def datasets(root: Path) -> Iterator[Finding]:
    prepare = _section(root, Prepare, "prepare")
    if prepare is None:
        yield note("datasets", "not checked: params.yaml is invalid")
        return
    for name, source in prepare.datasets.items():
        manifest = root / "data" / "images" / name / "manifest.json"
        if manifest.exists():
            counts = read_json(manifest)["counts"]
            splits = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test") if split in counts)
            yield ok(name, f"data/images/{name}: {splits} images of {source.pixels} px")
        else:
            yield _original(name, source)


def _original(name: str, source: Source) -> Finding:
    """The source that the stage `prepare` would use."""
    from relume.data.locate import find_local, find_parts, folders

    if isinstance(source, Photos):
        return note(name, "not prepared yet; made from photographs in Python packages", "make repro")
    file = source.path if isinstance(source, Folder) else source.archive
    if isinstance(source, Folder) and Path(file).exists():
        return note(name, f"not prepared yet; found {file}", "make repro")
    local = (find_parts(file)[:1] if "*" in file else []) or [found for found in [find_local(file)] if found]
    if local:
        return note(name, f"not prepared yet; found {local[0]}", "make repro")
    fetched = not isinstance(source, Folder | ImagenetVal)
    do = "make repro downloads it; offline, put" if fetched else "its owner requires registration: put"
    remedy = f"{'put' if isinstance(source, Folder) else do} {file} into data/sources or into a folder of RELUME_SOURCES"
    looked = tuple(f"{folder / file}: not found" for folder in folders())
    return lack(name, f"{file} is not on this machine", remedy, needed=not fetched, looked=looked)
