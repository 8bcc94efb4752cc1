"""The page in headless Chromium, its console watched. `dom` runs a script in it; `tab` has hands: keys and fingers."""

import html
import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def browser(test: Any) -> Any:
    found = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: on Debian, apt-get install chromium")
    return pytest.mark.slow(found(test))


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


KEYS = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "Home": (36, ""), "End": (35, "")}
KEYS |= {"ArrowLeft": (37, ""), "ArrowUp": (38, ""), "ArrowRight": (39, ""), "ArrowDown": (40, "")}
PATIENCE = 60.0  # seconds
FAULTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


class Tab:
    """A page behind Chromium's debugging pipe: messages are JSON, a zero byte after each."""

    def __init__(self, send: int, receive: int, address: str) -> None:
        self._send, self._receive, self._buffer, self._number = send, receive, b"", 0
        self._session: dict[str, str] = {}
        self.faults: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Runtime", "Log", "Page"):
            self._call(f"{domain}.enable")
        self._call("Page.navigate", url=address)
        deadline = time.monotonic() + PATIENCE
        while self.value("location.href == 'about:blank' || document.readyState != 'complete'"):
            assert time.monotonic() < deadline, "the page did not load"
            time.sleep(0.05)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                ready = select.select([self._receive], [], [], PATIENCE)[0]
                more = os.read(self._receive, 1 << 16) if ready else b""
                assert more, f"the browser has not answered {method}"
                self._buffer += more
            told, self._buffer = self._buffer.split(b"\0", 1)
            answer: dict[str, Any] = json.loads(told)
            if answer.get("method") in FAULTS:
                self.faults.append(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def value(self, expression: str) -> Any:
        return self._call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def press(self, *keys: str) -> None:
        for key in keys:
            code, text = KEYS[key] if key in KEYS else (ord(key.upper()), key)
            common = {"key": key, "windowsVirtualKeyCode": code}
            self._call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
            self._call("Input.dispatchKeyEvent", type="keyUp", **common)

    def drag(self, *points: tuple[float, float]) -> None:
        """One finger, down at the first point, up at the last."""
        for number, (x, y) in enumerate(points):
            self._call("Input.dispatchTouchEvent", type="touchMove" if number else "touchStart", touchPoints=[{"x": x, "y": y}])
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


@contextmanager
def tab(page: str, tmp_path: Path) -> Iterator[Tab]:
    """Closed at the end, with a look at its console."""
    path = tmp_path / "hands.html"
    path.write_text(page)
    flags = [flag for flag in FLAGS if not flag.startswith(("--dump", "--virtual", "--enable-logging"))]
    (theirs, send), (receive, other) = os.pipe(), os.pipe()
    plumbing = f'exec "$0" "$@" 3<&{theirs} 4>&{other} 2>/dev/null'
    flags += ["--remote-debugging-pipe", "--touch-events=enabled", f"--user-data-dir={tmp_path / 'hands'}"]
    with subprocess.Popen(["bash", "-c", plumbing, str(CHROMIUM), *flags], pass_fds=(theirs, other)) as process:
        os.close(theirs)
        os.close(other)
        try:
            found = Tab(send, receive, path.as_uri())
            yield found
            assert found.faults == []
        finally:
            process.terminate()
            os.close(send)
            os.close(receive)
