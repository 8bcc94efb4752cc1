"""Downloads against a server of our own: whole, resumed, cut, altered, missing, unreachable."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from relume.core.download import check, fetch
from relume.core.errors import UserError

DATA = bytes(range(256)) * 4096  # 1 MiB
SHA256, MD5 = hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """`cuts`: after so many bytes each answer ends (0: it is whole); `ranges`: whether it can go on in the middle."""

    daemon_threads = True
    cuts: list[int] = []
    ranges = True
    sleep = 0.0
    data = DATA

    def handle_error(self, *arguments: Any) -> None:
        """A client that hangs up is what some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.tar"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range"))  # type: ignore[attr-defined]
        time.sleep(self.server.sleep)
        if self.path != "/set.tar":
            return self.send_error(404)
        given, data = self.headers.get("Range"), self.server.data
        start = int(given.removeprefix("bytes=").removesuffix("-")) if given and self.server.ranges else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else 0
        self.wfile.write(data[start:][: cut or None])
        return None

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    server = Server(("127.0.0.1", 0), Handler)
    server.cuts, server.asked = [], []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "sources" / "set.tar"


def test_a_file_comes_whole_and_once_and_an_altered_one_is_named(server: Any, place: Path) -> None:
    assert fetch(server.url, place, sha256=SHA256, md5=MD5) == place
    assert place.read_bytes() == DATA
    fetch(server.url, place, sha256=SHA256[:8])  # a prefix, as in torch's names
    assert server.asked == [None]
    assert [path.name for path in place.parent.glob("*") if not path.name.endswith(".lock")] == ["set.tar"]
    place.write_bytes(b"other")
    with pytest.raises(UserError, match=f"{place}.* md5"):
        fetch("http://127.0.0.1:9/set.tar", place, md5=MD5)
    with pytest.raises(UserError, match="sha256 .*ask the owner"):
        check(place, sha256="00", hint="ask the owner")


def test_a_cut_is_gone_on_with_and_a_server_without_ranges_starts_again(server: Any, place: Path) -> None:
    server.cuts = [300_000, 300_000]
    fetch(server.url, place, sha256=SHA256)
    assert place.read_bytes() == DATA
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]
    server.ranges, server.cuts = False, [1000]
    place.unlink()
    place.with_name(".set.tar.part").write_bytes(DATA[:500])
    fetch(server.url, place, sha256=SHA256)
    assert place.read_bytes() == DATA


@pytest.mark.parametrize(
    ("left", "asked"),
    [(DATA[:1000], ["bytes=1000-"]), (DATA, ["bytes=1048576-"]), (b"x" * 1000, ["bytes=1000-", None])],
    ids=["a part", "all of it", "a part of another file"],
)
def test_what_an_earlier_run_left_is_gone_on_with(server: Any, place: Path, left: bytes, asked: list[str | None]) -> None:
    place.parent.mkdir()
    place.with_name(".set.tar.part").write_bytes(left)
    fetch(server.url, place, md5=MD5)
    assert place.read_bytes() == DATA
    assert server.asked == asked


def test_no_storm_of_retries(server: Any, place: Path) -> None:
    server.cuts = [1000] * 50
    with pytest.raises(UserError, match="cut 5 times"):
        fetch(server.url, place, sha256=SHA256)
    assert len(server.asked) == 5
    assert not place.exists()
    server.cuts = []
    fetch(server.url, place, sha256=SHA256)
    assert server.asked[-1] == "bytes=5000-"


def test_a_wrong_checksum_leaves_nothing_and_says_everything(server: Any, place: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch(server.url, place, sha256="0" * 64, describe="the toy set")
    assert all(words in str(caught.value) for words in (SHA256, "the toy set", server.url, "0" * 64, str(place)))
    assert not place.exists()
    assert not place.with_name(".set.tar.part").exists()


def test_a_missing_page_no_network_and_a_silent_server(server: Any, dead: int, place: Path) -> None:
    with pytest.raises(UserError, match="404"):
        fetch(server.url.replace("set.tar", "other"), place)
    with pytest.raises(UserError, match="no connection .*refused"):
        fetch(f"http://127.0.0.1:{dead}/set.tar", place, md5=MD5)
    server.sleep = 1.0
    with pytest.raises(UserError, match="no connection .*timed out"):
        fetch(server.url, place, timeout=0.2)


def test_two_processes_fetch_once(server: Any, place: Path) -> None:
    server.sleep = 0.2
    threads = [threading.Thread(target=fetch, args=(server.url, place), kwargs={"md5": MD5}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.read_bytes() == DATA
    assert server.asked == [None]
