"""From parsed YAML to a dataclass: what is right comes through, and every fault is named by its full key."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from relume.core.config import build, config, entries, read_params
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


def test_what_is_right_comes_through() -> None:
    shapes = {"a": {"kind": "round", "radius": 2}, "b": {"kind": "level", "width": 4}}
    built = build(Outer, sound(rate=0, schedule=[[0, 0.1], [9, 1]], weights={"tv": 1}, shapes=shapes), "outer")
    assert (built.rate, type(built.rate)) == (0.0, float)  # an integer may stand for a float
    assert built.schedule == ((0, 0.1), (9, 1.0))
    assert built.inner == Inner(steps=5, pair=(1, 2.0))
    assert built.shapes == {"a": Round(kind="round", radius=2.0), "b": Flat(kind="level", width=4)}


def test_entries_are_laid_over_what_they_share() -> None:
    section = {"shared": {"steps": 5, "pair": [1, 2.0]}, "models": {"a": {}, "b": {"steps": 7}}}
    found = entries(Inner, section, "outer")
    assert {name: one.steps for name, one in found.items()} == {"a": 5, "b": 7}
    section["models"] = {"a": {"steps": 0}, "b": {}, "c": {"pairs": 1}}
    with pytest.raises(UserError, match=r"(?s)outer\.models\.a\.steps: .*outer\.models\.c\.pairs: unknown key") as caught:
        entries(Inner, section, "outer")
    assert "models.b" not in str(caught.value)


def test_a_section_is_frozen() -> None:
    with pytest.raises(AttributeError):
        build(Outer, sound(), "outer").rate = 0.1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rote": 1.0}, ["outer.rote: unknown key", "did you mean 'rate'", "allowed: ", "inner"]),
        ({"inner": {"steps": 5}}, ["outer.inner.pair: missing"]),
        ({"inner": {"steps": 5, "pair": [1, 2.0], "step": 3}}, ["outer.inner.step: unknown key", "allowed: pair, steps"]),
        ({"maybe": {"steps": 5, "pair": [1, 2.0], "x": 3}}, ["outer.maybe.x: unknown key", "allowed: pair, steps"]),
        ({"inners": {"a": {"steps": 1, "pear": 1}}}, ["outer.inners.a.pear: unknown key; did you mean 'pair'"]),
        ({"rate": "half"}, ["outer.rate: ", "valid number", "got 'half'"]),
        ({"rate": "1e-3"}, ["outer.rate: ", "got '1e-3'"]),
        ({"rate": True}, ["outer.rate: "]),
        ({"rate": 1.0}, ["outer.rate: ", "less than 1", "got 1.0"]),
        ({"rate": None}, ["outer.rate: ", "got None"]),
        ({"name": "sgd"}, ["outer.name: ", "'adam' or 'lbfgs'", "got 'sgd'"]),
        ({"on": "yes"}, ["outer.on: ", "valid boolean"]),
        ({"inner": {"steps": 2.5, "pair": [1, 2.0]}}, ["outer.inner.steps: ", "valid integer", "got 2.5"]),
        ({"inner": {"steps": 500, "pair": [1, 2.0]}}, ["outer.inner.steps: ", "less than or equal to 100"]),
        ({"inner": 3}, ["outer.inner: ", "got 3"]),
        ({"inner": {"steps": 5, "pair": [1, "x"]}}, ["outer.inner.pair.1: ", "got 'x'"]),
        ({"inner": {"steps": 5, "pair": [1]}}, ["outer.inner.pair.1: missing"]),
        ({"schedule": [[0, 0.1], ["a", 1.0]]}, ["outer.schedule.1.0: ", "got 'a'"]),
        ({"weights": {"tv": "much"}}, ["outer.weights.tv: ", "got 'much'"]),
        ({"weights": [1]}, ["outer.weights: "]),
    ],
)
def test_a_fault_is_named(changes: dict[str, Any], words: list[str]) -> None:
    message = fault(**changes)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"kind": "round", "radius": -1}, "outer.shapes.a.radius: Input should be greater than 0, got -1"),
        ({"kind": "round"}, "outer.shapes.a.radius: missing"),
        (
            {"kind": "flat", "width": 1, "hight": 2},
            "outer.shapes.a.hight: unknown key; did you mean 'height'? allowed: height, kind, width",
        ),
        ({"kind": "level", "width": 1}, "outer.shapes.a.height: 3 is more than width 1"),
        ({"kind": "rond"}, "outer.shapes.a.kind: unknown 'rond'; did you mean 'round'? allowed: flat, level, round"),
        ({"kind": 3}, "outer.shapes.a.kind: unknown 3; allowed: flat, level, round"),
        ({"radius": 1}, "outer.shapes.a.kind: missing; allowed: flat, level, round"),
        (7, "outer.shapes.a: Input should be an object, got 7"),
    ],
)
def test_a_variant_is_told_by_its_tag_which_no_path_shows(shape: Any, message: str) -> None:
    assert fault(shapes={"a": shape}) == f"params: {message}"


def test_variants_in_lists_and_single_fields() -> None:
    assert "outer.row.1.radius: missing" in fault(row=[{"kind": "level", "width": 4}, {"kind": "round"}])
    assert "outer.one.with: unknown key; did you mean 'width'" in fault(one={"kind": "flat", "with": 4})
    assert "outer.one.kind: unknown 'x'" in fault(one={"kind": "x"})


def test_all_faults_of_a_section_are_told_once_each() -> None:
    lines = fault(rate="x", on=3, inner={"steps": 0, "pair": [1, 1.0]}).splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["outer.rate", "outer.on", "outer.inner.steps"]


def test_a_section_of_another_kind() -> None:
    with pytest.raises(UserError, match="^params: outer: "):
        build(Outer, [1], "outer")
    with pytest.raises(UserError, match="keys must be strings"):
        build(Outer, {"rate": object()}, "outer")


def test_the_parameter_file_is_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match="is missing: run from the project's root"):
        read_params(path)
    path.write_text("a: [1")
    with pytest.raises(UserError, match="is not valid YAML"):
        read_params(path)
    path.write_text("- a")
    with pytest.raises(UserError, match="must be a mapping of sections, got list"):
        read_params(path)
    path.write_text("a: {b: 1}")
    assert read_params(path) == {"a": {"b": 1}}
    path.write_text("a: [1e-3, 5e-05, 2.5E+2, 1, e5]")
    assert read_params(path) == {"a": [1.0e-3, 5.0e-5, 250.0, 1, "e5"]}, "as DVC reads them"
