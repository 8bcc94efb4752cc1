"""A whole group: starts, references, restarts, oracles, previews, the dry run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import resize, to_float, to_uint8
from relume.core.results import Group, Row, read_group, write_group
from relume.core.sheet import grid
from relume.methods.optimise import infer as group
from relume.methods.optimise.targets import reconstructions
from tests.inversion_files import LOSSES, RUN, SIZE, found, settings, work_in

STILL = {"optimiser": {"learning_rate": [[0, 1.0e-9]]}, "steps": 1}


@pytest.fixture(autouse=True)
def random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "load", found)


def saved(folder: Path, made: group.Work) -> Group:
    images, rows, trace, timing = group.invert(made)
    write_group(folder, images=images, rows=rows, trace=trace, timing=timing, method={})
    return read_group(folder)


def begun(made: group.Work, rows: list[int]) -> Tensor:
    return group._problem(made, rows).start


def test_restart_with_the_lowest_objective_is_selected(default_params: dict[str, Any], tmp_path: Path) -> None:
    images, rows, _, _ = group.invert(work_in(tmp_path, settings(default_params, restarts=2, init={"std": 0.2})))
    assert [row.restart for row in rows] == [0, 1] * 4
    assert [row.id for row in rows] == [f"test{number}" for number in (0, 0, 1, 1, 2, 2, 3, 3)]
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first.objective != second.objective
        assert min((first, second), key=lambda row: row.objective or 0).selected
        assert first.selected != second.selected
    assert images.shape == (8, SIZE, SIZE, 3)


def test_micro_batches_give_the_same_images(default_params: dict[str, Any], tmp_path: Path) -> None:
    """Seeds depend on the id: three images in two shards equal one per shard; restarts have their own noise."""
    config = settings(default_params, init={"std": 0.2}, count=3)
    whole = group.invert(work_in(tmp_path, config))
    narrow = group.invert(work_in(tmp_path / "narrow", config, run=replace(RUN, micro_batch=1)))
    assert np.abs(whole[0].astype(int) - narrow[0]).max() <= 1
    starts = begun(work_in(tmp_path, settings(default_params, init={"std": 0.2}, restarts=3)), [0, 1])
    assert len({tuple(row.flatten().tolist()) for row in starts}) == 6
    alone = begun(work_in(tmp_path, settings(default_params, init={"std": 0.2})), [1])
    assert torch.equal(alone[0], starts[3])


def test_start_from_a_group(default_params: dict[str, Any], tmp_path: Path) -> None:
    """Its selected restarts, unchanged."""
    first = saved(tmp_path / "first", work_in(tmp_path, settings(default_params, restarts=2, init={"std": 0.2})))
    second = work_in(tmp_path / "second", settings(default_params, init={"std": 0.0}, **STILL), start=first)
    chosen = [place for place, row in enumerate(first.index) if row["selected"] == "true"]
    assert torch.equal(begun(second, [0, 1, 2, 3]), to_float(first.images[chosen]))
    images, rows, _, _ = group.invert(second)
    assert {row.family for row in rows} == {"hybrid"}
    assert np.abs(images.astype(int) - first.images[chosen]).max() <= 1
    own = settings(default_params, terms={"guide": {"grid": 8}})
    guided = work_in(tmp_path, own, losses=LOSSES | {"guide": 1.0}, start=first)
    guide = group._problem(guided, [0]).guide
    assert guide is not None
    assert torch.equal(guide, resize(to_float(first.images[chosen[:1]]), 8)), "the start is the guide"
    small = work_in(tmp_path / "second", settings(default_params, init={"std": 0.0}, sizes=[[0, 24]]), start=first)
    assert begun(small, [0]).shape == (1, 3, 24, 24)
    half = Group(**{**vars(first), "index": first.index[:4]})
    with pytest.raises(UserError, match="has no image for test2, test3: it cannot be the start of toy"):
        begun(work_in(tmp_path, settings(default_params), start=half), [0, 1, 2, 3])


def test_method_of_a_group_is_selected_by_taps(default_params: dict[str, Any]) -> None:
    config = settings(default_params)
    own = {"method": "own", "network": config.network, "tap": "+".join(config.taps)}
    index = [{**own, "method": "other", "tap": "conv1"}, own, {**own, "method": "third", "network": "vgg16_conv"}, own]
    several = Group(name="a", images=np.arange(4), index=index, folder=Path("a"))
    taken = group.select_method(several, config, "toy")
    assert (taken.images.tolist(), taken.index) == ([1, 3], [own, own])
    alone = replace(several, index=index[:1])
    assert group.select_method(alone, config, "toy") is alone
    for rest in ([index[0], index[2]], [own, {**own, "method": "twin"}]):
        with pytest.raises(UserError, match="a has several methods .*: toy needs exactly one"):
            group.select_method(replace(several, index=rest), config, "toy")


def test_reference_is_all_restarts_of_a_group(default_params: dict[str, Any], tmp_path: Path) -> None:
    first = saved(tmp_path / "first", work_in(tmp_path, settings(default_params, restarts=3, init={"std": 0.2})))
    config = settings(default_params, terms={"ref": {"networks": {"vgg16_conv": {"conv2_2": 1.0}}}}, restarts=2)
    losses = {"feature": 1.0, "ref": 1.0}
    made = work_in(tmp_path / "second", config, losses=losses, reference=first)
    references = group._problem(made, [1, 3]).references["vgg16_conv"]["conv2_2"]
    assert references.shape[:2] == (4, 3)
    assert torch.equal(references[0], references[1])
    one = made.provider._extract(to_float(first.images[9:12]), {"vgg16_conv": ("conv2_2",)})["vgg16_conv"]["conv2_2"]
    torch.testing.assert_close(references[2], one)
    assert {row["term"] for row in group.invert(made)[2]} >= {"ref", "feature"}
    with pytest.raises(UserError, match=r"losses\.ref: the recipe needs `reference`"):
        group.invert(work_in(tmp_path / "third", config, losses=losses))


def test_reconstructions_by_id() -> None:
    def of(*names: str) -> Group:
        return Group(name="a", images=np.zeros(0), index=[{"id": name} for name in names], folder=Path("a"))

    assert reconstructions(of("x", "y", "x", "z", "y"), ["y", "x"]) == [[1, 4], [0, 2]]
    with pytest.raises(UserError, match="a has no image for q: it cannot be a reference"):
        reconstructions(of("x"), ["x", "q"])
    with pytest.raises(UserError, match=r"a has \[1, 2\] reconstructions per image"):
        reconstructions(of("x", "y", "x"), ["x", "y"])


def test_initial_images(default_params: dict[str, Any], tmp_path: Path) -> None:
    def start(base: str) -> tuple[group.Work, Tensor]:
        config = settings(default_params, init={"base": base, "std": 0.0}, terms={"guide": {"grid": 4, "reach": 1}})
        made = work_in(tmp_path, config)
        return made, begun(made, [0, 1])

    made, guided = start("guide")
    learned, _ = made.guide
    assert learned is not None
    features = made.provider.features([0, 1], {"alexnet_conv": ("conv2",)})["alexnet_conv"]
    read = learned.read(features)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(guided, SIZE // 4), read, atol=0.1, rtol=0)
    assert torch.equal(start("grey")[1], torch.full((2, 3, SIZE, SIZE), 0.5))


def test_oracle_terms_mark_every_row(default_params: dict[str, Any], tmp_path: Path) -> None:
    config = settings(default_params, steps=1)
    assert {row.oracle for row in group.invert(work_in(tmp_path / "plain", config))[1]} == {False}
    assert {row.oracle for row in group.invert(work_in(tmp_path / "oracle", config, losses={"pixel": 1.0}))[1]} == {True}
    assert work_in(tmp_path / "plain", config).provider.originals([0], work_in(tmp_path, config).objective) is None


def test_rows_trace_and_timing(default_params: dict[str, Any], tmp_path: Path) -> None:
    config = settings(default_params, trace_every=2)
    told: list[tuple[int, dict[str, float]]] = []
    made = work_in(tmp_path, config, watch=lambda step, values, sheet: told.append((step, dict(values))))
    _, rows, trace, timing = group.invert(made)
    wanted: dict[str, Any] = {"method": "toy", "family": "optimise", "task": "feature", "oracle": False, "id": "test0"}
    wanted |= {"dataset": "toy", "size": SIZE, "network": "alexnet_conv", "tap": "conv2", "objective": rows[0].objective}
    assert rows[0] == Row(**wanted)
    assert [step for step, _ in told] == [0, 2, 4, 5, 5, 7, 9, 10]
    assert {row["term"] for row in trace} == {"objective", *LOSSES, "learning_rate", "size"}
    last = {row["term"]: row["value"] for row in trace if row["step"] == 5}
    assert last["objective"] == pytest.approx(np.mean([row.objective for row in rows]))
    assert last["objective"] == pytest.approx(sum(weight * last[name] for name, weight in LOSSES.items()))
    assert last["size"] == SIZE
    assert last["tv"] == pytest.approx((told[3][1]["tv"] + told[7][1]["tv"]) / 2)
    assert all(values["scaled/tv"] == pytest.approx(0.1 * values["tv"]) for _, values in told)
    assert [row["step"] for row in timing] == [0, 2, 4, 5]
    seconds = [row["seconds"] for row in timing]
    assert 0 < seconds[0] <= seconds[1] <= seconds[2] <= seconds[3]


def test_preview_sheets(default_params: dict[str, Any], tmp_path: Path) -> None:
    for frames, steps in ((2, {0, 2, 4}), (4, {0, 4}), (0, set())):
        shown: dict[int, np.ndarray] = {}
        config = settings(default_params, count=2, init={"std": 0.0}, steps=4)
        watch = lambda step, values, sheet, shown=shown: shown.update({} if sheet is None else {step: sheet})  # noqa: E731
        images = group.invert(work_in(tmp_path / str(frames), config, frames=frames, watch=watch))[0]
        assert shown.keys() == steps
        assert not steps or np.array_equal(shown[4], grid(images[None]))


def test_dry_run_writes_nothing(default_params: dict[str, Any], tmp_path: Path) -> None:
    changes = {"sizes": [[0, 32], [100, SIZE]], "switches": [[9, {"kind": "pixels", "box": "sigmoid"}]]}
    config = settings(default_params, restarts=2, steps=300, **changes)
    made = work_in(tmp_path, config)
    told = group.dry_run_report(made)
    assert told.startswith("toy: 4 images x 2 restarts x 300 steps, about ")
    assert told.endswith("terms: feature x 1, tv x 0.1, alpha_norm x 0.01")
    assert not (tmp_path / "scratch").exists()
    oracle = group.dry_run_report(work_in(tmp_path, config, losses={"pixel": 1.0}))
    assert oracle.endswith("pixel x 1; an oracle: it uses the original images")


def test_images_are_nearest_to_their_originals(default_params: dict[str, Any], tmp_path: Path) -> None:
    """A few steps from grey are already nearer to the own original than to another."""
    config = settings(default_params, taps={"conv1": 1.0}, steps=25, optimiser={"learning_rate": [[0, 0.3]]})
    made = work_in(tmp_path, config, losses={"feature": 1.0})
    images = to_float(group.invert(made)[0])
    truth = to_float(made.provider.dataset.images[made.provider.dataset.select("test")])
    errors = (images[:, None] - truth[None]).square().mean((2, 3, 4))
    assert errors.argmin(1).tolist() == [0, 1, 2, 3]
    assert np.array_equal(to_uint8(images), group.invert(work_in(tmp_path, config, losses={"feature": 1.0}))[0])


def test_pace_is_of_the_last_size(default_params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides, plain = [], group.Descent.advance

    def advance(self: group.Descent, *given: Any) -> None:
        plain(self, *given)
        sides.append(self.at[1])

    monkeypatch.setattr(group.Descent, "advance", advance)
    group.seconds_per_step(work_in(tmp_path, settings(default_params, sizes=[[0, 8], [2, 12]], steps=4)), steps=2)
    assert sides == [12, 12, 12]
