"""Downloads against a server of our own: whole, resumed, cut, altered, missing, unreachable."""

import hashlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relume.core import download
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


def test_a_file_comes_whole_and_once(server: Any, place: Path) -> None:
    assert fetch(server.url, place, sha256=SHA256, md5=MD5) == place
    assert place.read_bytes() == DATA
    fetch(server.url, place, sha256=SHA256[:8])  # a prefix, as in torch's names
    assert server.asked == [None]
    assert [path.name for path in place.parent.glob("*") if not path.name.endswith(".lock")] == ["set.tar"]


def test_a_cut_is_gone_on_with_in_the_same_run(server: Any, place: Path) -> None:
    server.cuts = [300_000, 300_000]
    fetch(server.url, place, sha256=SHA256)
    assert place.read_bytes() == DATA
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]


def test_what_an_earlier_run_left_is_gone_on_with(server: Any, place: Path) -> None:
    place.parent.mkdir()
    place.with_name(".set.tar.part").write_bytes(DATA[:1000])
    fetch(server.url, place, md5=MD5)
    assert place.read_bytes() == DATA
    assert server.asked == ["bytes=1000-"]


def test_a_part_that_is_whole_already_only_takes_its_name(server: Any, place: Path) -> None:
    place.parent.mkdir()
    place.with_name(".set.tar.part").write_bytes(DATA)
    fetch(server.url, place, md5=MD5)
    assert place.read_bytes() == DATA


def test_a_part_of_another_file_is_fetched_anew(server: Any, place: Path) -> None:
    place.parent.mkdir()
    place.with_name(".set.tar.part").write_bytes(b"x" * 1000)
    fetch(server.url, place, md5=MD5)
    assert place.read_bytes() == DATA
    assert server.asked == ["bytes=1000-", None]


def test_a_server_without_ranges_starts_again(server: Any, place: Path) -> None:
    server.ranges, server.cuts = False, [1000]
    place.parent.mkdir()
    place.with_name(".set.tar.part").write_bytes(DATA[:500])
    fetch(server.url, place, sha256=SHA256)
    assert place.read_bytes() == DATA


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
    message = str(caught.value)
    for words in ("set.tar is missing", f"its sha256 is {SHA256}", "the toy set", server.url, "0" * 64, f"put at {place}"):
        assert words in message
    assert not place.exists()
    assert not place.with_name(".set.tar.part").exists()


def test_a_missing_page(server: Any, place: Path) -> None:
    with pytest.raises(UserError, match="the server answers 404 Not Found"):
        fetch(server.url.replace("set.tar", "other"), place)


def test_no_network(place: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(UserError, match="no connection .*refused"):
        fetch(f"http://127.0.0.1:{port}/set.tar", place, md5=MD5)


def test_a_silent_server_is_given_up(server: Any, place: Path) -> None:
    server.sleep = 2.0
    with pytest.raises(UserError, match="no connection .*timed out"):
        fetch(server.url, place, timeout=0.2)


def test_a_file_that_is_here_but_altered_is_named(place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(b"other")
    with pytest.raises(UserError, match=f"{place} is truncated or altered: its md5 is .*remove it"):
        fetch("http://127.0.0.1:9/set.tar", place, md5=MD5)
    with pytest.raises(UserError, match="its sha256 is .*, expected 00; ask the owner"):
        check(place, sha256="00", hint="ask the owner")


def test_a_full_disk_is_seen_beforehand(server: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="needs 1 MiB, its disk has 0 MiB free"):
        fetch(server.url, place)


def test_an_unwritable_place(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write .*file/set.tar: "):
        fetch(server.url, tmp_path / "file" / "set.tar")


def test_two_processes_fetch_once(server: Any, place: Path) -> None:
    server.sleep = 0.2
    threads = [threading.Thread(target=fetch, args=(server.url, place), kwargs={"md5": MD5}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.read_bytes() == DATA
    assert server.asked == [None]


def test_limits_are_short() -> None:
    assert download.TIMEOUT <= 30
    assert download.CUTS <= 5
