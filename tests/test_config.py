"""From parsed YAML to a dataclass: every fault names its full key."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from relume.core.config import build, config, read_params
from relume.core.errors import UserError


@config
class Round:
    kind: Literal["round"]
    radius: float = Field(gt=0)


@config
class Flat:
    kind: Literal["flat", "level"]
    width: int
    height: int = 3

    def __post_init__(self) -> None:
        if self.height > self.width:
            raise ValueError(f"height: {self.height} is more than width {self.width}")


Shape = Annotated[Round | Flat, Field(discriminator="kind")]


@config
class Inner:
    steps: int = Field(ge=1, le=100)
    pair: tuple[int, float]


@config
class Outer:
    rate: float = Field(ge=0, lt=1)
    name: Literal["adam", "lbfgs"]
    on: bool
    inner: Inner
    maybe: Inner | None = None
    schedule: tuple[tuple[int, float], ...] = ()
    weights: dict[str, float] = Field(default_factory=dict)
    inners: dict[str, Inner] = Field(default_factory=dict)
    shapes: dict[str, Shape] = Field(default_factory=dict)
    row: tuple[Shape, ...] = ()
    one: Round | Flat | None = Field(default=None, discriminator="kind")


def sound(**changes: Any) -> dict[str, Any]:
    return {"rate": 0.5, "name": "adam", "on": True, "inner": {"steps": 5, "pair": [1, 2.0]}} | changes


def fault(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        build(Outer, sound(**changes), "outer")
    return str(caught.value)


def test_valid_section() -> None:
    shapes = {"a": {"kind": "round", "radius": 2}, "b": {"kind": "level", "width": 4}}
    built = build(Outer, sound(rate=0, schedule=[[0, 0.1], [9, 1]], weights={"tv": 1}, shapes=shapes), "outer")
    assert (built.rate, type(built.rate)) == (0.0, float)  # an integer may stand for a float
    assert built.schedule == ((0, 0.1), (9, 1.0))
    assert built.inner == Inner(steps=5, pair=(1, 2.0))
    with pytest.raises(AttributeError):
        built.rate = 0.1  # type: ignore[misc]
    assert built.shapes == {"a": Round(kind="round", radius=2.0), "b": Flat(kind="level", width=4)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rote": 1.0}, ["rote: unknown key", "did you mean 'rate'", "allowed: ", "inner"]),
        ({"inner": {"steps": 5}}, ["inner.pair: missing"]),
        ({"inner": {"steps": 5, "pair": [1, 2.0], "step": 3}}, ["inner.step: unknown key", "allowed: pair, steps"]),
        ({"maybe": {"steps": 5, "pair": [1, 2.0], "x": 3}}, ["maybe.x: unknown key", "allowed: pair, steps"]),
        ({"inners": {"a": {"steps": 1, "pear": 1}}}, ["inners.a.pear: unknown key; did you mean 'pair'"]),
        *(({"rate": value}, ["rate: ", f"got {value!r}"]) for value in ("half", "1e-3", True, 1.0, None)),
        ({"name": "sgd"}, ["name: ", "'adam' or 'lbfgs'", "got 'sgd'"]),
        ({"on": "yes"}, ["on: "]),
        ({"inner": {"steps": 2.5, "pair": [1, 2.0]}}, ["inner.steps: ", "got 2.5"]),
        ({"inner": {"steps": 500, "pair": [1, 2.0]}}, ["inner.steps: ", "100"]),
        ({"inner": 3}, ["inner: ", "got 3"]),
        ({"inner": {"steps": 5, "pair": [1, "x"]}}, ["inner.pair.1: ", "got 'x'"]),
        ({"inner": {"steps": 5, "pair": [1]}}, ["inner.pair.1: missing"]),
        ({"schedule": [[0, 0.1], ["a", 1.0]]}, ["schedule.1.0: ", "got 'a'"]),
        ({"weights": {"tv": "much"}}, ["weights.tv: ", "got 'much'"]),
        ({"weights": [1]}, ["weights: "]),
        ({"row": [{"kind": "level", "width": 4}, {"kind": "round"}]}, ["row.1.radius: missing"]),
        ({"one": {"kind": "flat", "with": 4}}, ["one.with: unknown key; did you mean 'width'"]),
        ({"one": {"kind": "x"}}, ["one.kind: unknown 'x'"]),
    ],
)
def test_faults(changes: dict[str, Any], words: list[str]) -> None:
    message = fault(**changes)
    assert f"params: outer.{words[0]}" in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({"kind": "round", "radius": -1}, ".radius: .*got -1"),
        ({"kind": "round"}, ".radius: missing"),
        ({"kind": "flat", "width": 1, "hight": 2}, ".hight: unknown key; did you mean 'height'. allowed: height, kind, width"),
        ({"kind": "level", "width": 1}, ".height: 3 is more than width 1"),
        ({"kind": "rond"}, ".kind: unknown 'rond'; did you mean 'round'. allowed: flat, level, round"),
        ({"kind": 3}, ".kind: unknown 3; allowed: flat, level, round"),
        ({"radius": 1}, ".kind: missing; allowed: flat, level, round"),
        (7, ": .*got 7"),
    ],
)
def test_variant_faults(shape: Any, told: str) -> None:
    assert re.fullmatch(f"params: outer.shapes.a{told}", fault(shapes={"a": shape}))


def test_all_faults_are_reported_once() -> None:
    lines = fault(rate="x", on=3, inner={"steps": 0, "pair": [1, 1.0]}).splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["outer.rate", "outer.on", "outer.inner.steps"]


def test_section_of_another_type() -> None:
    with pytest.raises(UserError, match="^params: outer: "):
        build(Outer, [1], "outer")
    with pytest.raises(UserError, match="keys must be strings"):
        build(Outer, {"rate": object()}, "outer")


def test_read_params(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match="is missing"):
        read_params(path)
    path.write_text("a: [1")
    with pytest.raises(UserError, match="is not valid YAML"):
        read_params(path)
    path.write_text("- a")
    with pytest.raises(UserError, match="list"):
        read_params(path)
    path.write_text("a: {b: 1}")
    assert read_params(path) == {"a": {"b": 1}}
    path.write_text("a: [1e-3, 5e-05, 2.5E+2, 1, e5]")
    assert read_params(path) == {"a": [1.0e-3, 5.0e-5, 250.0, 1, "e5"]}, "as DVC reads them"
