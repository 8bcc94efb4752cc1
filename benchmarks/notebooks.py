"""Runs the notebooks in docs/notebooks and stores their outputs.

    python -m benchmarks.notebooks              # all; half an hour on one core
    python -m benchmarks.notebooks own_cnn      # looks for CIFAR-10 in data/sources, else downloads it

Times and warnings are left out and pictures become JPEGs, so that a notebook stays small.
"""

import base64
import io
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "docs/notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
def main(names: tuple[str, ...]) -> None:
    for name in names or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "data").symlink_to(Path("data").resolve())
            notebook = executed(name, Path(folder))
        nbformat.write(kept(notebook), FOLDER / f"{name}.ipynb")
        click.echo(name)


def executed(name: str, folder: Path, values: Mapping[str, Any] | None = None) -> nbformat.NotebookNode:
    """The notebook after a run in `folder`. `values`: of the names that its first cell of code assigns, instead of its own."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    whole = first.source
    if values:
        first.source += "\n" + "\n".join(f"{key} = {value!r}" for key, value in values.items())
    NotebookClient(notebook, timeout=1200, record_timing=False, resources={"metadata": {"path": str(folder)}}).execute()
    first.source = whole
    return notebook


def kept(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without parts that differ from run to run."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for data in (output.get("data", {}) for output in cell.outputs):
                data.pop("text/html", None)
                if png := data.pop("image/png", None):
                    buffer = io.BytesIO()
                    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").save(buffer, "JPEG", quality=85)
                    data["image/jpeg"] = base64.b64encode(buffer.getvalue()).decode()
                    data["text/plain"] = re.sub(r" at 0x\w+", "", data["text/plain"])
    return notebook


if __name__ == "__main__":
    main()
