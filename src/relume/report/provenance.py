"""The command that makes each group."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Commands = Mapping[tuple[str, str], str]  # the parent folder and the folder: ("reconstructions", "floors")


def commands(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> Commands:
    """From the parsed `dvc.yaml` and `params.yaml` the command that makes each group and model."""
    return {
        (above, folder): f"dvc repro {stage}"
        for name, entry in pipeline.get("stages", {}).items()
        for stage, outs in _items(name, entry, params)
        for above, folder in (Path(out).parts[1:3] for out in outs if len(Path(out).parts) > 2)
    }


def _items(name: str, entry: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """A stage, or the items of its `foreach`, with their outs."""
    outs = [out if isinstance(out, str) else next(iter(out)) for out in entry.get("do", entry).get("outs", [])]
    if "foreach" not in entry:
        yield name, outs
        return
    items: Any = params
    for key in str(entry["foreach"]).removeprefix("${").removesuffix("}").split("."):
        items = items.get(key, {})
    for item in items:
        yield f"{name}@{item}", [out.replace("${key}", str(item)).replace("${item}", str(item)) for out in outs]
