"""What further networks see: re-identification by hand, ties, candidates, and which networks a method has seen."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import write_json
from relume.evaluation.comparison import Draws, leaderboard, summary
from relume.evaluation.config import Evaluate
from relume.evaluation.evidence import IDENTITY, Cell
from relume.evaluation.metrics import METHOD, METRICS, SETS
from relume.evaluation.seen import Witness
from relume.evaluation.views import candidates, gallery, open_views
from tests.evaluation_files import write_dataset

REID = {"networks": [["efficientnet_lite0", "pool"], ["vgg16_conv", "conv5_3"]]}


def test_ranks_by_hand_among_what_is_held_out(tmp_path: Path) -> None:
    """Four candidates at right angles around their mean (1, 1): the angle to each of them is known."""
    found = gallery(torch.tensor([[2.0, 1.0], [1.0, 2.0], [0.0, 1.0], [1.0, 0.0]]), [5, 6, 7, 8], list("abcd"))
    x = torch.tensor([[3.0, 1.5], [1.0, 9.0], [0.5, 0.5]])  # 14 degrees above the first; on the second; between the last two
    assert found.rank(x[:1].expand(4, 2), [5, 6, 7, 8]).tolist() == [1, 2, 4, 3]
    assert found.rank(x[1:2], [6]).tolist() == [1]
    assert found.rank(x[2:].expand(2, 2), [7, 8]).tolist() == [2, 2]  # a tie is not found
    data = write_dataset(tmp_path / "toy")
    assert candidates(data, [0, 1], None) == list(range(8))
    assert candidates(data, [1, 3], 4) == [0, 1, 2, 3]
    assert candidates(data, [7, 8], 2) == [7, 8]  # all that are scored, also of the training split
    with pytest.raises(UserError, match="toy|one"):
        candidates(write_dataset(tmp_path / "one", splits=("test",), each=1), [0], None)


def test_a_match_is_above_what_one_in_a_hundred_unrelated_pairs_pass() -> None:
    """21 sources with two equal pictures each: pairs of a source do not count."""
    sources = [str(at // 2) for at in range(42)]
    features = torch.randn(21, 4, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, 0)
    found = gallery(features, range(42), sources)
    apart = torch.tensor([[a != b for b in sources] for a in sources]).triu(1)
    cosines = (found.units @ found.units.T)[apart]
    assert found.pairs == len(cosines) == 840
    assert 0 < (cosines > found.threshold).sum() <= 8
    x = torch.stack([features[3], found.mean - (features[8] - found.mean)])  # the original itself, and its opposite
    assert found.match(x, [3, 8]).tolist() == [1, 0]
    few = gallery(features[:6], range(6), sources[:6])
    assert few.pairs == 12
    assert few.match(x, [3, 5]).isnan().all()


def test_each_view_measures_what_it_says(tmp_path: Path) -> None:
    """With features that are told instead of seen: (0, 0), (1, 0), (0, 3) … by row."""
    data = write_dataset(tmp_path / "toy")
    asked = {"metrics": ["psnr"], "reid": {"networks": [["alexnet_conv", "conv5"]], "candidates": 4}, "clip": "clip_vit_l_14"}
    config = build(Evaluate, {**asked, "other_taps": [["vgg16_conv", "pool"]], "classifier": "efficientnet_lite0"}, "evaluate")
    told = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, -1.0]])
    views = open_views(
        config, data, [0, 1], look=lambda place, rows: told[list(rows)], scales={("vgg16_conv", "pool"): {"pool": 2.0}}
    )
    y, x = told[:2], torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    measured = {view.name: view.measure(x, y, [0, 1]).tolist() for view in views}
    assert all(map(math.isnan, measured.pop("reid_match_alexnet_conv5")))  # of four pairs
    assert measured == {
        "feature_error_vgg16_pool": [10.0, 2.0],  # (4 + 16) / 2, 4 / 2
        "clip_cosine": pytest.approx([0.6, 1.0]),
        "top1_agreement": [0.0, 1.0],
        "top5_agreement": [1.0, 1.0],  # of two classes
        "reid_rank_alexnet_conv5": [2.0, 1.0],  # less the mean (0, 0.5): (3, 3.5) is nearer to (0, 2.5) than to (1, -0.5)
        "reid_n": [4.0, 4.0],
        "reid_pairs": [4.0, 4.0],  # of different sources
    }
    assert {(view.network, view.tap) for view in views if view.name == "clip_cosine"} == {("clip_vit_l_14", "pool")}


SQUEEZE = {"losses": {"lpips": 1.0}, "measures": {"lpips": {"network": "squeeze"}}}
TERMS = {"lpips": {"network": "vgg"}, "ref": {"networks": {"resnet18": {"pool": 1.0}}}}


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    cards: dict[str, Any] = {
        "decoder/plain": {"network": "alexnet_conv", "losses": {"lpips": 0.0}, "measures": {"lpips": {"network": "vgg"}}},
        "decoder/sharp": {"network": "alexnet_conv", "losses": {"lpips": 0.1}, "measures": {"lpips": {"network": "vgg"}}},
        "gan/style": {"metric_network": {"network": "efficientnet_lite0"}, "losses": {}},
        "mapper/mapper": {"network": "resnet50", "generator": "models/gan/style"},
        "landscape/theta": {"generator": "models/gan/style", **SQUEEZE},
        "surrogate/guess": {"network": "alexnet_conv", "target": {"network": "resnet34"}},
    }
    for name, config in cards.items():
        write_json(tmp_path / name / "model.json", {"config": config})
    own: dict[str, Any] = {"network": "alexnet_conv", "terms": TERMS}
    latents = {"generator": "models/gan/style", "mapper": "models/mapper/mapper", "losses": {"lpips": 1.0}, "base": own}
    none = "data/none"
    begun = {"start": "data/reconstructions/decoders", "reference": "data/reconstructions/latents", "surrogate": none}
    lent = {
        "start": none,
        "reference": "data/reconstructions/decoders",
        "surrogate": "models/surrogate/guess",
        "weights": "models/weights",
    }
    configs = {
        "decoders": {"decoders": ["plain", "sharp"]},
        "steered": own | begun | {"losses": {"feature": 1.0, "ref": 0.0}},
        "referred": own | lent | {"losses": {"feature": 1.0, "ref": 0.5, "surrogate": 1.0}},
        "latents": latents | {"methods": {"a": {}, "b": {"network": "resnet101"}}},
        "pictures": {"landscape": "models/landscape/theta", "methods": {"p": {}}},
    }
    methods = {name: {"config": config} for name, config in configs.items()}
    rows = {
        "decoders": [("plain", "alexnet_conv", "conv5"), ("sharp", "alexnet_conv", "conv3")],
        "steered": [("steered", "alexnet_conv", "conv3")],
        "referred": [("referred", "alexnet_conv", "conv5")],
        "latents": [("a", "alexnet_conv", "conv5"), ("b", "alexnet_conv", "conv5")],
        "pictures": [("p", "", "")],
    }
    return Witness(methods=methods, rows=rows, models=tmp_path)


@pytest.mark.parametrize(
    ("group", "method", "networks"),
    [
        ("decoders", "plain", "alexnet"),  # a loss of weight 0 has taught nothing
        ("decoders", "sharp", "alexnet vgg16"),
        ("steered", "steered", "alexnet vgg16"),  # it begins at the decoder of conv3; its reference has no weight
        ("referred", "referred", "alexnet vgg16 resnet18 resnet34"),  # the decoders', the term's, the surrogate's target
        ("latents", "a", "alexnet vgg16 resnet50 efficientnet_lite0"),  # the generator was chosen by EfficientNet
        ("latents", "b", "alexnet vgg16 resnet50 efficientnet_lite0 resnet101"),
        ("pictures", "p", "efficientnet_lite0 squeezenet1_1"),
    ],
)
def test_what_a_method_has_seen(witness: Witness, group: str, method: str, networks: str) -> None:
    assert witness.seen(group, method) == set(networks.split())


def cell(seen: set[str], ranks: dict[str, list[float]]) -> Cell:
    identity = dict.fromkeys(IDENTITY, "") | {"method": "m", "family": "optimise", "task": "feature", "dataset": "toy"}
    values = {name: np.array(one, float) for name, one in ranks.items()} | {"psnr": np.array([20.0, 22, 24, 26])}
    values |= {name: np.full(4, np.nan) for name in METRICS if name not in values} | {
        "reid_n": np.full(4, 40.0),
        "reid_pairs": np.full(4, 700.0),
    }
    spreads = dict.fromkeys(METRICS, math.nan) | {"psnr": 0.5}
    plain = {"ids": ["0", "1", "2", "3"], "sources": ["a", "a", "b", "b"], "seconds": None, "device": ""}
    return Cell(identity=identity | {"size": "32"}, values=values, spreads=spreads, seen=frozenset(seen), **plain)


def test_tables_ask_the_first_judge_that_was_not_seen_and_hold_distances_of_sets() -> None:
    views = [metric for metric, _ in build(Evaluate, {"metrics": ["psnr"], "reid": REID}, "evaluate").views]
    ranks = {"reid_rank_efficientnet_lite0_pool": [1, 2, 3, 1], "reid_rank_vgg16_conv5_3": [1, 1, 1, 7]}
    ranks |= {"reid_match_efficientnet_lite0_pool": [1, 0, 0, 0], "reid_match_vgg16_conv5_3": [math.nan] * 4}  # too few pairs
    draws = Draws(seed=0, resamples=1000, level=0.95)
    cells = [cell(seen, ranks) for seen in ({"alexnet"}, {"efficientnet_lite0"}, {"efficientnet_lite0", "vgg16"})]
    first, second, none = leaderboard(cells, draws, views=views)
    assert (first["reid_top1"], first["reid_net"], first["reid_n"]) == (0.5, "efficientnet_lite0_pool", 40)
    assert (second["reid_top1"], second["reid_net"]) == (0.75, "vgg16_conv5_3")
    assert (first["reid_match"], first["reid_pairs"]) == (0.25, 700)
    assert "reid_match" not in second
    assert second["reid_top1_lo"] < 0.75 <= second["reid_top1_hi"]
    assert first["psnr_restarts_sd"] == 0.5
    assert not {"reid_top1", "reid_net", "reid_n"} & none.keys()
    assert summary(cells[:1], views)["toy"]["m"]["reid_match"] == 0.25
    absent = cell({"alexnet"}, {"reid_rank_efficientnet_lite0_pool": [math.nan] * 4, "reid_rank_vgg16_conv5_3": [1, 1, 2, 2]})
    assert leaderboard([absent], draws, views=views)[0]["reid_net"] == "vgg16_conv5_3"
    told = dict.fromkeys(SETS, "") | {"name": "m", "dataset": "toy", "net": "net_pool@128", "kid": "0.25"}
    draws = Draws(seed=0, resamples=1000, level=0.95)
    sets = [
        {**told, "kind": "gan", "kid": "7"},
        {**told, "kind": METHOD},
        {**told, "kind": METHOD, "dataset": "other", "kid": "8"},
    ]
    row = leaderboard([cell(set(), {})], draws, sets=sets)[0]
    assert (row["fd_net"], row["fd"], row["kid"]) == ("net_pool@128", "", "0.25")
