"""How far metrics can be trusted: how well they agree, and whether they put known degradations in order."""

from collections.abc import Iterator

from relume.report.blocks import Block, Chart, Part, Text
from relume.report.charts import heat
from relume.report.columns import column, number
from relume.report.data import Table, grouped
from relume.report.leaderboards import TASKS

CAPTION = "Do two metrics order pictures alike? 1 is the same order, \N{MINUS SIGN}1 the reverse."
CORRELATED = {"picture": "over single pictures", "method": "over the means of methods"}


def part(correlations: Table, self_test: Table) -> Part | None:
    blocks: list[Block] = [*([Text(sentences=[_ordered(self_test)])] if self_test else []), *_matrices(correlations)]
    lead = "Two tests of the metrics: do they order pictures alike, and do they order pictures that were spoilt in known steps?"
    return Part(id="metrics", title="Reliability of the metrics", lead=lead, blocks=blocks) if blocks else None


def _matrices(correlations: Table) -> Iterator[Chart]:
    groups = grouped(correlations, lambda row: tuple(row[name] for name in ("task", "dataset", "size", "level")))
    for (task, dataset, size, level), rows in groups.items():
        order = [column(name).title for name in dict.fromkeys(row[side] for row in rows for side in ("metric_a", "metric_b"))]
        title = f"{TASKS.get(task, task)}, {dataset} at {size} px: rank correlation (Spearman) {CORRELATED[level]}"
        yield Chart(title=title, spec=heat(list(_cells(rows)), order), caption=CAPTION, height=28 * len(order), wide=True)


def _cells(rows: Table) -> Iterator[dict[str, object]]:
    """Both halves of the matrix."""
    for row in rows:
        rho = number(row["spearman"])
        if rho is not None and row["metric_a"] != row["metric_b"]:
            a, b = (column(row[side]).title for side in ("metric_a", "metric_b"))
            yield from ({"a": a, "b": b, "rho": round(rho, 2)}, {"a": b, "b": a, "rho": round(rho, 2)})


def _ordered(rows: Table) -> str:
    ranked = [row for row in rows if row["ordered"] and row["degradation"] != "none"]
    tested = {(row["metric"], row["degradation"]): row["ordered"] for row in ranked}
    wrong = [f"{column(metric).title}: {kind}" for (metric, kind), ordered in tested.items() if ordered == "false"]
    text = f"{len(tested) - len(wrong)} of {len(tested)} degradation series are in order"
    return f"{text}; exceptions: {', '.join(wrong)}." if wrong else f"{text}."
