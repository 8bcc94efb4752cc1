"""The page in headless Chromium: charts are drawn, the wipe wipes, tables sort, it fits a phone, axe finds no serious fault."""

import html
import json
import re
import shutil
import subprocess
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from relume.report.page import render
from tests.contract_files import GROUPS, write
from tests.masked_files import GROUP, write_masked
from tests.report_files import content_of, relate, write_maps, write_measures, write_model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--enable-logging=stderr",
)
SEEN = """<script>window.IntersectionObserver = class {
  constructor(told) { this.told = told; } observe(target) { this.told([{ isIntersecting: true, target }]); } unobserve() {} };
</script>"""
TABLE = "document.getElementById('table-feature-photos-32')"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: on Debian, apt-get install chromium"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All kinds of blocks; one of the two methods is an oracle."""
    root = write(tmp_path_factory.mktemp("browser"))
    write_measures(root)
    write_model(root, "deep")
    write_masked(root)
    write_maps(root)
    relate(root, "deep", oracle="true", family="decoder")
    return render(content_of(root, [*GROUPS, GROUP]))


def said(page: str, tmp_path: Path, script: str, *, width: int = 1280, flags: tuple[str, ...] = (), state: str = "") -> Any:
    """What `script` returns, run as an async function when the page has loaded. Messages in the console are faults."""
    told = (
        f"(async () => {{ {script} }})().then((told) => {{ document.getElementById('out').textContent = JSON.stringify(told); }})"
    )
    path = tmp_path / "page.html"
    ending = f"<pre id='out' hidden></pre><script>addEventListener('load', () => {{ {told} }})</script></body>"
    path.write_text(ending.join(page.rsplit("</body>", 1)))
    size = ("--virtual-time-budget=30000", f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}")
    command = [str(CHROMIUM), *FLAGS, *size, *flags, "--dump-dom", f"{path.as_uri()}{state}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'<pre id="out" hidden="">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def test_every_chart_is_drawn(page: str, tmp_path: Path) -> None:
    """A headless browser draws few frames, so all charts are said to be in view at once."""
    script = """
      const drawn = () => document.querySelectorAll('[data-chart] svg').length, boxes = document.querySelectorAll('[data-chart]');
      for (let left = 100; left && drawn() < boxes.length; left -= 1) await new Promise((done) => setTimeout(done, 200));
      return [drawn(), boxes.length];
    """
    first, last = said(
        page.replace('<script type="application/json"', f'{SEEN}<script type="application/json"', 1), tmp_path, script
    )
    assert first == last > 20


def test_the_wipe_draws_originals_over_what_came_back(page: str, tmp_path: Path) -> None:
    script = """
      const figure = document.querySelector('.hero'), range = figure.querySelector('.wipe input');
      const clip = () => getComputedStyle(figure.querySelector('.over')).clipPath;
      const before = clip();
      range.focus();
      range.value = 100;
      range.dispatchEvent(new Event('input'));
      return [before, clip(), range.getAttribute('aria-valuetext'), document.activeElement === range];
    """
    assert said(page, tmp_path, script) == ["inset(0px 100% 0px 0px)", "inset(0px 0% 0px 0px)", "100% original", True]


def test_tables_sort_and_addresses_open_folds(page: str, tmp_path: Path) -> None:
    script = f"""
      const table = {TABLE}, names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].lastChild.textContent);
      const button = [...table.tHead.querySelectorAll('button')].find((one) => one.textContent.includes('PSNR'));
      const best = names();
      button.click();
      return [table.closest('details').open, best, names(), button.parentElement.getAttribute('aria-sort'), button.tabIndex];
    """
    opened, best, worst, sorting, focusable = said(page, tmp_path, script, state="#tables")
    assert (opened, worst, sorting, focusable) == (True, best[::-1], "ascending", 0)


def test_it_fits_a_phone(page: str, tmp_path: Path) -> None:
    script = """
      for (const fold of document.querySelectorAll('details')) fold.open = true;
      const frame = document.createElement('iframe');
      frame.width = 360;
      frame.srcdoc = document.documentElement.outerHTML.replace(/<script[^]*?<\\/script>/g, '');
      document.body.append(frame);
      await new Promise((done) => { frame.onload = done; });
      return frame.contentDocument.documentElement.scrollWidth;
    """
    assert said(page, tmp_path, script) <= 360


@pytest.mark.parametrize("flags", [(), ("--blink-settings=preferredColorScheme=0",)], ids=["light", "dark"])
def test_axe_finds_no_serious_fault(page: str, tmp_path: Path, flags: tuple[str, ...]) -> None:
    if find_spec("axe_core_python") is None:
        pytest.skip("axe-core-python is not installed")
    axe = (files("axe_core_python") / "axe.min.js").read_text()
    script = """
      for (const fold of document.querySelectorAll('details.part')) fold.open = true;
      const found = await axe.run(document, { resultTypes: ['violations'] });
      const dark = matchMedia('(prefers-color-scheme: dark)').matches;
      const serious = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
      return [dark, serious.map((one) => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 300), one.nodes[0].any])];
    """
    dark, serious = said(page.replace("</main>", f"</main><script>{axe}</script>", 1), tmp_path, script, flags=flags)
    assert dark == bool(flags)
    assert serious == []
