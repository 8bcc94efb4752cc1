"""The report on paper: equal bytes, pages that hold what is on them, tables that go on, columns that fit."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relume.report.data import read
from relume.report.pdf import write_pdf
from relume.report.pdf_layout import (
    BOTTOM,
    GAP,
    HEIGHT,
    SMALLEST,
    TEXT_WIDTH,
    USUAL,
    PdfColumn,
    fit_columns,
    pdf_writer,
    split_columns,
    width,
    wrapped,
)
from tests.contract_files import GROUPS, write
from tests.report_files import folders, write_measures

WRITE = "import sys; from pathlib import Path; from tests.test_report_pdf import made; made(Path(sys.argv[1]))"


def made(root: Path) -> Path:
    write_pdf(root / "report.pdf", read(folders(root), GROUPS), 0.95, {})
    return root / "report.pdf"


def pages(path: Path) -> int:
    return len(re.findall(rb"/Type /Page\b", path.read_bytes()))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write(tmp_path_factory.mktemp("pdf"))
    write_measures(root)
    return root


def test_equal_files_give_equal_bytes_and_text_is_text(root: Path, tmp_path: Path) -> None:
    """In another process, with other hashes of texts, at another place."""
    first = made(root)
    shutil.copytree(root, tmp_path / "other", ignore=shutil.ignore_patterns("report.pdf"))
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", WRITE, str(tmp_path / "other")], check=True, env=environment, timeout=300)
    assert first.read_bytes() == (tmp_path / "other/report.pdf").read_bytes()
    assert b"CreationDate" not in first.read_bytes()
    assert first.read_bytes().startswith(b"%PDF-")
    assert b"/Subtype /TrueType" in first.read_bytes() or b"/CIDFontType2" in first.read_bytes()
    assert b"/Subtype /Type3" not in first.read_bytes()
    assert 2 <= pages(first) <= 8


def test_lines_break_at_spaces_and_in_long_names() -> None:
    assert wrapped("a long_name", width("a long_", 10) + 0.01, 10) == ["a long_", "name"]
    assert wrapped("one two", width("one", 10) + 0.01, 10) == ["one", "two"]
    assert wrapped("short", 100, 10) == ["short"]
    assert "".join(wrapped("some_very_long_name of it", 30, 10)).replace(" ", "") == "some_very_long_nameofit"


def test_columns_shrink_then_wrap_but_numbers_stay() -> None:
    heads = [PdfColumn(title="text"), PdfColumn(title="value", number=True)]
    size, widths = fit_columns(heads, [["short", "1.00"]])
    assert size == USUAL
    assert widths == [max(width("short", size), width("text", size)), width("value", size)]
    size, widths = fit_columns(heads, [["word " * 60, "1.00"]])
    assert size == SMALLEST
    assert sum(widths) + GAP <= TEXT_WIDTH + 1e-6
    assert widths[1] == width("value", size)


def test_too_many_columns_are_two_tables_that_both_name_the_rows() -> None:
    heads = [PdfColumn(title="method"), *(PdfColumn(title=f"a rather long column {number}", number=True) for number in range(12))]
    tables = split_columns(heads, [["x", *["0.123"] * 12]], 1)
    assert len(tables) > 1
    assert all(table[0] == 0 for table in tables)
    assert [at for table in tables for at in table[1:]] == [*range(1, 13)]
    for table in tables:
        assert sum(width(heads[at].title, SMALLEST) + GAP for at in table) <= TEXT_WIDTH + GAP


def test_a_long_table_goes_on_over_pages_and_stays_on_them(tmp_path: Path) -> None:
    reached = []
    with pdf_writer(tmp_path / "long.pdf", "long") as sheet:
        for rows in (10, 90):
            sheet.table(
                "A table",
                [PdfColumn(title="n", number=True), PdfColumn(title="text")],
                [[str(row), "text"] for row in range(rows)],
            )
            reached.append(sheet.y)
        sheet.heading("Not alone", keep=HEIGHT)
        reached.append(sheet.y)
    assert all(y < HEIGHT - BOTTOM + 20 for y in reached)
    assert pages(tmp_path / "long.pdf") == 3


def test_nothing_is_left_where_it_fails(tmp_path: Path) -> None:
    foreign = [["a cell too many"] * 2]
    with pytest.raises(ValueError, match="zip"), pdf_writer(tmp_path / "half.pdf", "half") as sheet:
        sheet.table("A table", [PdfColumn(title="one")], foreign)
    assert list(tmp_path.iterdir()) == []
