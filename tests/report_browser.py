"""The page in a real browser: headless Chromium, its console watched."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: on Debian, apt-get install chromium")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom"),
]


def dom(page: str, tmp_path: Path, *, state: str = "", script: str = "", width: int = 0) -> str:
    """The page as a browser has made it; with `width`, inside a frame of that many pixels. Console messages are faults."""
    path = tmp_path / "page.html"
    if width:
        held = html.escape(page, quote=True)
        path.write_text(
            f'<iframe width="{width}" height="800" srcdoc="{held}"></iframe><pre id="out"></pre><script>{script}</script>'
        )
    else:
        path.write_text(page.replace("</body>", f"<pre id='out'></pre><script>{script}</script></body>"))
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"{path.as_uri()}{state}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


def says(document: str) -> list[str]:
    """What a test's script has left in the page's `out`, parts between bars."""
    found = re.search(r'<pre id="out">(.*?)</pre>', document)
    assert found is not None
    return html.unescape(found[1]).split(" | ")
