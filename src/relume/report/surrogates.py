"""Surrogate embeddings: their cosine similarity to the true embedding, beside baselines without a surrogate."""

from pathlib import Path
from typing import Any

from relume.core.files import read_json
from relume.report.columns import Column

TITLE = "Surrogate embeddings: mean cosine similarity to the true embedding, on validation images"
COLUMNS = [
    Column(name="name", title="Surrogate", text=True),
    Column(name="input", title="From", text=True),
    Column(name="target", title="To", text=True),
    Column(name="n", title="n", digits=0),
    Column(name="similarity", title="Predicted", better="higher"),
    Column(name="floor_nearest", title="Nearest training image", better="higher"),
    Column(name="floor_mean", title="Mean embedding", better="higher"),
]


def table(models: Path) -> list[dict[str, str]]:
    """A row per trained surrogate below `models`/surrogate."""
    return [_row(read_json(path)) for path in sorted(models.glob("surrogate/*/model.json"))]


def _row(card: dict[str, Any]) -> dict[str, str]:
    config, metrics = card["config"], card["metrics"]
    return {
        "name": card["name"],
        "input": f"{config['network']} {'+'.join(config['taps'])}",
        "target": f"{config['target']['network']} {config['target']['tap']}",
        "n": str(card["data"]["val"]),
        **{name: str(metrics[name]) for name in ("similarity", "floor_nearest", "floor_mean")},
    }
