"""Defences of stored features: levels and noise as told, and attacks that find or lose what a defence leaves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from relume.data.store import Dataset
from relume.evaluation.config import Defend, Place
from relume.evaluation.defences import Bench, Spread, Stored, study
from relume.evaluation.statistics import Draws
from tests.decoder_files import CPU
from tests.evaluation_files import write_dataset

SPREAD = Spread(mean=torch.tensor([1.0, 0.0]), sd=torch.tensor([1.0, 2.0]))


def test_noise_and_levels_are_in_units_of_the_spread() -> None:
    x = torch.tensor([[0.9, 5.0], [1.1, -0.1]])
    assert SPREAD.quantised(x, 1).tolist() == [[0.0, 2.0], [2.0, -2.0]], "one standard deviation below or above the mean"
    assert SPREAD.quantised(x, 2).tolist() == [[0.5, 3.0], [1.5, -1.0]]
    assert (SPREAD.quantised(x[1:], 12) - x[1:]).abs().max() < 2e-3
    assert SPREAD.quantised(torch.zeros(1, 2), 3).shape == (1, 2)
    assert SPREAD.noisy(x, 2.0, torch.ones(2, 2)) == pytest.approx(x + 2 * 2.5**0.5)


class Told:
    """Features are the pictures' pixels."""

    def embed(self, place: Place, rows: Sequence[int], pixels: Callable[[list[int]], Tensor], *_: Any) -> Tensor:
        return pixels(list(rows)).flatten(1)


def shares(data: Dataset, decode: Callable[[Tensor], Tensor] | None = None) -> dict[tuple[object, ...], Any]:
    plain: dict[str, Any] = {"dataset": "toy", "split": "test", "count": None, "embeddings": (), "pictures": 4}
    bench = Bench(
        dataset=data, config=Defend(**plain, noise=(100.0,), bits=(8, 1)), extractor=Told(), candidates=None,  # type: ignore[arg-type]
        draws=Draws(seed=0, resamples=1000, level=0.95), seed=0, micro_batch=3, device=CPU,
    )  # fmt: skip
    place = ("alexnet_conv", "conv1")
    rows = study(Stored(place=place, decoder="d", decode=decode, extractor=place if decode else None), bench)
    return {(row["defence"], row["strength"], row["measure"]): row for row in rows}


def test_an_attack_finds_what_the_defence_leaves(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "toy", size=8)
    found = shares(data)
    assert {measure for *_, measure in found} == {"embedding", "retrieval"}
    assert {found[name]["value"] for name in (("none", 0, "embedding"), ("bits", 8, "embedding"))} == {1}
    assert found["noise", 100, "embedding"]["value"] < 1
    assert found["none", 0, "embedding"]["chance"] == 1 / found["none", 0, "retrieval"]["n"]
    made = shares(data, lambda features: features.unflatten(1, (3, 8, 8)).clamp(0, 1))
    assert made["none", 0, "picture"]["value"] == 1
    grey = shares(data, lambda features: torch.full((len(features), 3, 8, 8), 0.5))
    assert grey["none", 0, "picture"]["value"] < 1
