"""What sections ask of prepared pictures: a dataset, a split, a number. `params` and its like alone use this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import one_of

SPLITS = ("test", "val", "train")


def there(dataset: Any, split: str) -> int | None:
    """How many pictures `prepare` makes; None where the parameters do not tell."""
    count: int | None = getattr(dataset, split)
    return None if count is None else count + getattr(dataset, f"dead_leaves_{split}", 0)


def asked(path: str, section: Any, datasets: Mapping[str, Any]) -> Iterable[str]:
    """Dataset, split and count exist, as far as the parameters tell."""
    if section.dataset not in datasets:
        yield f"{path}.dataset: {section.dataset!r} is not prepared; {one_of(datasets, section.dataset)}"
        return
    if section.split not in SPLITS:
        yield f"{path}.split: unknown split {section.split!r}; {one_of(SPLITS, section.split)}"
        return
    known = there(datasets[section.dataset], section.split)
    if known == 0:
        yield f"{path}.split: prepare.datasets.{section.dataset} has no pictures in {section.split}"
    elif section.count is not None and known is not None and section.count > known:
        yield f"{path}.count: {section.count} pictures of {section.split} are wanted; prepare makes {known}"


def enough(path: str, section: Any, group: str, earlier: Any, datasets: Mapping[str, Any]) -> Iterable[str]:
    """An earlier group holds every picture for which the section wants one of it."""
    if earlier.split != section.split:
        yield f"{path}: {group} is of split {earlier.split}, and pictures of {section.split} are wanted"
        return
    if earlier.count is None or section.dataset not in datasets:
        return
    wanted = section.count or there(datasets[section.dataset], section.split)
    if wanted is None or wanted > earlier.count:
        many = "all" if section.count is None else section.count
        yield f"{path}: {group} has the first {earlier.count} pictures of {earlier.split}, and {many} are wanted"
