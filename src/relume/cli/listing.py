"""`relume list`: what can be named, and whether it is at hand."""

from collections.abc import Iterator
from pathlib import Path

from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.files import find_root, read_json

HERE, ABSENT = "here", "-"


def lines(kind: str, network: str | None, size: int | None) -> list[str]:
    """Columns: the name, whether it is here, and what it is."""
    if (network is None) == (kind == "taps"):
        raise UserError("relume list taps: needs a network, as in `relume list taps vgg16`; other lists take none")
    root = find_root(Path.cwd())
    rows = list(_taps(network, size) if network else KINDS[kind](root))
    if not rows:
        return [f"no {kind}" + ("" if (root / "dvc.yaml").exists() else f": {root} is not in a project with a dvc.yaml")]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{name:{widths[0]}}  {state:{widths[1]}}  {about}".rstrip() for name, state, about in rows]


Rows = Iterator[tuple[str, str, str]]  # name, whether it is here, what it is


def _networks(root: Path) -> Rows:
    from relume.networks.catalogue import NETWORKS
    from relume.networks.openclip import is_clip
    from relume.networks.sources import FILES, candidates, files

    for name, about in NETWORKS.items():
        prepared = (root / "models/weights" / name / "model.json").exists() or not FILES.get(name, (None,))
        found = prepared or (not is_clip(name) and any(one.path and one.path.exists() for one in candidates(files(name))))
        how = "" if found else "; `dvc repro weights` fetches it, once it is in weights.networks of params.yaml"
        yield name, HERE if found else ABSENT, f"{about.variant}, {about.size} px{how}"
    yield "<model>/<tag>", ABSENT, "image towers of open_clip; `dvc repro weights` fetches them"
    for package in ("timm", "torchvision", "open_clip", "<module>"):
        yield f"{package}:<name>", ABSENT, "with a file of weights, for `relume invert --weights` and relume.invert"


def _taps(network: str, size: int | None) -> Rows:
    from relume.networks.builders import is_source
    from relume.networks.catalogue import facts

    if is_source(network):
        from relume.api.inversion import layers

        for name, shape in layers(network, size=size, weights="random").items():
            yield name or "''", "", " x ".join(map(str, shape))
        return
    for name, tap in facts(network).taps.items():
        yield name, "", f"{tap.channels} channels" + (f", stride {tap.stride}" if tap.stride else ", no positions")


def _decoders(root: Path) -> Rows:
    from relume.methods.decoder.shipped import SHIPPED

    trained: set[str] = set()
    for folder in (SHIPPED, root / "models/decoder"):
        for path in sorted(folder.glob("*/model.json")):
            card, told = read_json(path), "ships" if folder == SHIPPED else HERE
            config, reached = card["config"], card.get("test", card["metrics"])["psnr"]
            trained.add(card["name"])
            yield card["name"], told, f"{config['network']} {'+'.join(config['taps'])}, {card['size']} px, {reached:.2f} dB"
    for name, stated in _project(root).get("train_decoder", {}).get("decoders", {}).items():
        if name not in trained:
            yield name, ABSENT, f"{stated['network']} {'+'.join(stated['taps'])}; `dvc repro train_decoder@{name}` trains it"


def _recipes(root: Path) -> Rows:
    from relume.methods.optimise.tuned import RECIPES

    for name, recipe in RECIPES.items():
        weights = ", ".join(f"{term} x {weight:g}" for term, weight in recipe["losses"].items())
        yield name, HERE, weights


def _datasets(root: Path) -> Rows:
    for name, stated in _project(root).get("prepare", {}).get("datasets", {}).items():
        manifest = root / "data/images" / name / "manifest.json"
        about = f"source {stated['source']}, {stated['pixels']} px"
        if manifest.exists():
            yield name, HERE, f"{about}, {read_json(manifest)['counts']['all']} images"
        else:
            yield name, ABSENT, f"{about}; `dvc repro prepare@{name}` makes it"


def _presets(root: Path) -> Rows:
    for path in sorted((root / "presets").glob("*.yaml")):
        first = path.read_text().partition("\n")[0].removeprefix("#").strip()
        yield path.stem, HERE, f"{first}; `make exp PRESET={path.stem}`"


def _project(root: Path) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    return read_params(root / "params.yaml") if (root / "params.yaml").exists() else {}


KINDS = {
    "networks": _networks,
    "decoders": _decoders,
    "recipes": _recipes,
    "datasets": _datasets,
    "presets": _presets,
}
