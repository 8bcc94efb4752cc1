"""From a section of `params.yaml` to a frozen, keyword-only dataclass; every fault is named by its full key.

pydantic does the checking: strict types (an integer may stand for a float, nothing else is converted), unknown and missing
keys are errors, ranges stand in `Field(ge=…, lt=…)`. The document goes in as JSON so that a YAML list may fill a tuple.
"""

import dataclasses
import json
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, cast, dataclass_transform, get_args, get_origin

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from relume.core.errors import UserError, one_of

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def config(cls: type[T]) -> type[T]:
    """Class decorator for a section's dataclass; checks across fields: `raise ValueError("key: fault")` in `__post_init__`."""
    return cast(type[T], dataclass(frozen=True, kw_only=True, config=STRICT)(cls))


def read_params(path: Path) -> dict[str, Any]:
    """The whole parameter file as a mapping."""
    try:
        loaded = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: a mapping of sections is wanted, not {type(loaded).__name__}")
    return loaded


def build(cls: type[T], value: object, path: str) -> T:
    """`value` (parsed YAML) as a `cls`; `path` is the section's full key, for messages."""
    try:
        return TypeAdapter(cls).validate_json(json.dumps(value))
    except ValidationError as error:
        lines = [f"params: {_explain(cls, value, path, fault)}" for fault in error.errors()]
        raise UserError("\n".join(dict.fromkeys(lines))) from None
    except TypeError as error:
        raise UserError(f"params: {path}: keys are text and values are numbers, text, lists or maps ({error})") from None


def _explain(cls: type, value: object, path: str, fault: Any) -> str:
    keys = [str(part) for part in fault["loc"]]
    where = ".".join([path, *keys])
    if fault["type"] == "unexpected_keyword_argument":
        return f"{where}: unknown key; {one_of(_fields_at(cls, keys[:-1]), keys[-1])}"
    if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{where}: missing"
    if fault["type"] == "value_error":  # raised by a `__post_init__`, which begins with the key
        return f"{where}.{fault['msg'].removeprefix('Value error, ')}"
    given = fault["input"]
    hint = ""
    if isinstance(given, str) and fault["type"] in ("float_type", "int_type") and _is_number(given):
        hint = " (YAML reads this as text: write 1.0e-3, with a point)"
    return f"{where}: {fault['msg']}, got {given!r}{hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fields_at(cls: Any, keys: list[str]) -> list[str]:
    """The field names of the dataclass that stands at `keys` below `cls`, as far as annotations tell."""
    for key in keys:
        if dataclasses.is_dataclass(cls):
            cls = next((field.type for field in dataclasses.fields(cls) if field.name == key), None)
        else:  # a key of dict[str, X], an index of tuple[X, ...]
            cls = get_args(cls)[-1] if get_origin(cls) is dict else next(iter(get_args(cls)), None)
        if isinstance(cls, UnionType):  # X | None
            cls = next((choice for choice in get_args(cls) if dataclasses.is_dataclass(choice)), None)
    return [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
