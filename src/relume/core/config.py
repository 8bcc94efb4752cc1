"""Builds a frozen dataclass from a section of `params.yaml`; errors name the full key. pydantic checks strict types (an integer
is accepted for a float), keys and ranges. Sections are validated as JSON, which accepts a list for a tuple."""

import dataclasses
import json
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, cast, dataclass_transform, get_args, get_origin

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from relume.core.errors import UserError, one_of

T = TypeVar("T")
RENAMED = {  # keys of the last release
    "size": "pixels",
    "eye": "metric_network",
    "duel": "objective",
    "judges": "networks",
    "walkers": "per_batch",
    "turned": "rotated",
    "loss": "losses",
    "shake": "w_noise",
    "unlike_noise": "noise_reg",
}
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def config(cls: type[T]) -> type[T]:
    """Class decorator for a section's dataclass. Checks across fields raise ValueError("key: fault") in `__post_init__`."""
    return cast(type[T], dataclass(frozen=True, kw_only=True, config=STRICT)(cls))


class Loader(yaml.SafeLoader):
    """A safe loader that reads 1e-3 as a number, as DVC and YAML 1.2 do."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789"))


def parse(text: str) -> Any:
    return yaml.load(text, Loader)  # noqa: S506  Loader is safe


def read_params(path: Path) -> dict[str, Any]:
    """The whole parameter file as a mapping."""
    try:
        loaded = parse(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: must be a mapping of sections, got {type(loaded).__name__}")
    return loaded


def merge(base: Mapping[str, Any], differences: Mapping[str, Any], listed: Container[str] = ()) -> dict[str, Any]:
    """Merges mappings key by key. Other values replace the base's, as do the values of keys in `listed` and mappings of another
    `kind`."""
    result = dict(base)
    for key, value in differences.items():
        old = base.get(key)
        alike = isinstance(value, dict) and isinstance(old, dict) and value.get("kind", old.get("kind")) == old.get("kind")
        result[key] = merge(old, value, listed) if alike and key not in listed else value  # type: ignore[arg-type]
    return result


def entry(cls: type[T], shared: Mapping[str, Any], own: Mapping[str, Any], path: str) -> T:
    """`own` merged into `shared`, as a `cls`; `path` is the full key of `own`."""
    return build(cls, merge(shared, own), path)


def build(cls: type[T], value: object, path: str) -> T:
    """`value` (parsed YAML) as a `cls`; `path` is the section's full key, for messages."""
    try:
        return TypeAdapter(cls).validate_json(json.dumps(value))
    except ValidationError as error:
        lines = [f"params: {_explain(cls, path, fault)}" for fault in error.errors()]
        raise UserError("\n".join(dict.fromkeys(lines))) from None
    except TypeError as error:
        raise UserError(
            f"params: {path}: keys must be strings; values must be numbers, strings, lists or mappings ({error})"
        ) from None


def _explain(cls: type, path: str, fault: Any) -> str:
    keys, annotation = _locate(cls, fault["loc"])
    where, given = ".".join([path, *keys]), fault["input"]
    if fault["type"] == "unexpected_keyword_argument":
        _, parent = _locate(cls, fault["loc"][:-1])
        if keys[-1] == "datasets":  # removed in this release
            return f"{where}: unknown key; `dataset` at the top of the file states it"
        if (new := RENAMED.get(keys[-1])) in (known := _fields(parent)):
            return f"{where}: unknown key; renamed to {new}"
        return f"{where}: unknown key; {one_of(known, keys[-1])}"
    if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{where}: missing"
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):  # of the key that selects the variant
        tag, variants = _variants(annotation)
        if tag not in given:
            return f"{where}.{tag}: missing; {one_of(variants)}"
        return f"{where}.{tag}: unknown {given[tag]!r}; {one_of(variants, str(given[tag]))}"
    if fault["type"] == "value_error":  # raised by a `__post_init__`, whose message starts with the key
        return f"{where}.{fault['msg'].removeprefix('Value error, ')}"
    return f"{where}: {fault['msg'].replace('a valid array', 'a list')}, got {given!r}"


def _locate(annotation: Any, loc: Sequence[Any]) -> tuple[list[str], Any]:
    """The keys as in the file, and the annotation of the last one. pydantic's path also contains the tags of variants."""
    keys: list[str] = []
    for part in loc:
        _, variants = _variants(annotation)
        if variants:
            annotation = variants.get(part)
        else:
            keys.append(str(part))
            annotation = _below(annotation, part)
    return keys, annotation


def _below(annotation: Any, key: Any) -> Any:
    """The annotation of a field of a dataclass, a value of a mapping, an entry of a list or tuple; None if unknown."""
    annotation = _present(annotation)
    if dataclasses.is_dataclass(annotation):
        field = getattr(annotation, "__pydantic_fields__", {}).get(key)
        return field and (Annotated[field.annotation, field] if field.discriminator else field.annotation)
    choices = get_args(annotation)
    if get_origin(annotation) is tuple and isinstance(key, int) and key < len(choices) and choices[-1] is not Ellipsis:
        return choices[key]
    return choices[-1] if get_origin(annotation) is dict else next(iter(choices), None)


def _present(annotation: Any) -> Any:
    """X of `X | None`."""
    if isinstance(annotation, UnionType):
        return next((choice for choice in get_args(annotation) if choice is not NoneType), None)
    return annotation


def _variants(annotation: Any) -> tuple[str, dict[str, Any]]:
    """Of `Annotated[A | B, Field(discriminator="kind")]`: the key, and its values with their dataclasses."""
    for note in getattr(annotation, "__metadata__", ()):
        if tag := getattr(note, "discriminator", None):
            classes = [choice for choice in get_args(get_args(annotation)[0]) if choice is not NoneType]
            return tag, {value: cls for cls in classes for value in get_args(cls.__pydantic_fields__[tag].annotation)}
    return "", {}


def _fields(annotation: Any) -> list[str]:
    cls = _present(annotation)
    return [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
