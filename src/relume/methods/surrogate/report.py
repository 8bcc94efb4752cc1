"""Surrogate embeddings in the report: their cosine similarity to the true embedding, with baselines."""

from collections.abc import Iterator
from typing import Any

from relume.core.files import read_json
from relume.report.blocks import Part, table
from relume.report.columns import Column, text
from relume.report.images import Drawing
from relume.report.labels import place

COLUMNS = [
    *(text("name", "Surrogate"), text("input", "From"), text("target", "To"), Column(name="n", title="n", digits=0)),
    Column(name="similarity", title="Predicted", better="higher"),
    *(Column(name="floor_nearest", title="Nearest training picture", better="higher"),),
    Column(name="floor_mean", title="Mean embedding", better="higher"),
]
LEAD = "A surrogate predicts what another network would see: its mean cosine similarity to the true embedding."


def parts(drawing: Drawing) -> Iterator[Part]:
    rows = [_row(read_json(path)) for path in sorted(drawing.data.folders.models.glob("surrogate/*/model.json"))]
    blocks = [table("surrogates", "Surrogate embeddings", COLUMNS, rows, note="Means over validation pictures.")] if rows else []
    yield Part(id="surrogates", title="Surrogate embeddings", lead=LEAD, blocks=blocks)


def _row(card: dict[str, Any]) -> dict[str, str]:
    config, metrics = card["config"], card["metrics"]
    return {
        "name": card["name"],
        "input": place(config["network"], "+".join(config["taps"])),
        "target": place(config["target"]["network"], config["target"]["tap"]),
        "n": str(card["data"]["val"]),
        **{name: str(metrics[name]) for name in ("similarity", "floor_nearest", "floor_mean")},
    }
