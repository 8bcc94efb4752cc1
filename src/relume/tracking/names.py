"""Names of runs for people, by the registry. No family is named here."""

from relume.core.results import Group
from relume.methods.registry import FAMILIES
from relume.report.labels import BASELINE, place

LABELS = {BASELINE: "baselines", **{key: label for family in FAMILIES for key, label in family.labels.items()}}


def of_group(group: Group) -> str:
    """`deep (Optimisation, AlexNet conv5)`; of several methods, how many."""
    methods = dict.fromkeys((row["method"], row["family"], row["network"], row["tap"]) for row in group.index)
    _, family, network, tap = next((one for one in methods if one[1] != BASELINE), next(iter(methods)))
    what = place(network, tap) if len(methods) == 1 else f"{len(methods)} methods"
    return f"{group.name} ({', '.join(filter(None, (LABELS.get(family, family), what)))})"
