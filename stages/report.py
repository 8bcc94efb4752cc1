"""Write the page, the PDF and the overview from the outputs of the earlier stages."""

from pathlib import Path
from typing import Annotated

from relume.core.files import write_csv, write_text
from relume.core.stage import StageContext, stage
from relume.report import depths, families
from relume.report.config import Report
from relume.report.data import Folders, read
from relume.report.images import Drawing, overview
from relume.report.page import content, render, vega
from relume.report.paper import write_paper


@stage("report")
def main(
    context: StageContext,
    metrics: Annotated[Path, "Folder of the tables and of methods/."],
    reconstructions: Annotated[Path, "Folder of the groups."],
    images: Annotated[Path, "Folder of the datasets."],
    features: Annotated[Path, "Folder of their features."],
    models: Annotated[Path, "Folder of the models, kind by kind."],
    samples: Annotated[Path, "Folder of the generators' samples."],
    out: Annotated[Path, "Folder of the page, the PDF, tables for plots."],
) -> None:
    classifier = context.plain("evaluate.classifier") or ""
    folders = Folders(
        metrics=metrics, reconstructions=reconstructions, images=images, features=features, models=models, samples=samples
    )
    data = read(folders, context.plain("compare.groups"), families.labels(), classifier)
    count = context.section(Report, "report").pictures
    found = content(Drawing(data=data, level=f"{context.plain('compare.level'):.0%}", count=count))
    write_text(out / "index.html", render(found))
    write_text(out / "vega.js", vega())
    write_paper(out / "report.pdf", found)
    write_csv(
        out / "depth.csv", depths.COLUMNS, [row for one in found.stories for row in depths.rows(one.networks, data.families)]
    )
    for part in found.parts:
        for name, (columns, rows) in part.tables.items():
            write_csv(out / f"{name}.csv", columns, rows)
    for story in found.stories:
        lines = [(name, below, [found.drawing.sheets.image(tile) for tile in tiles]) for name, below, tiles in story.overview()]
        overview(out / "overview.jpg", lines)


if __name__ == "__main__":
    main()
