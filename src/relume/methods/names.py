"""What trained models may be called. `params` alone uses this."""

from collections.abc import Iterable, Mapping


def between(models: Mapping[str, Iterable[str]]) -> Iterable[str]:
    """`models`: lists of one kind each, by their keys. Whatever its kind, a model's seconds are `metrics/training/<name>.csv`."""
    owners: dict[str, str] = {}
    for key, names in models.items():
        for name in names:
            if name in owners:
                yield f"{key}.{name}: the name belongs to a model of {owners[name]}"
            owners.setdefault(name, key)
