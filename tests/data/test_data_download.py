"""Downloads from a local server: whole, resumed, refused, damaged."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from medrobust.data.sets.download import download
from medrobust.errors import UserError

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000).astype(np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """What it sends can be changed between requests."""

    content = CONTENT
    ranges = True
    cut: int | None = None  # bytes after which the connection breaks

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.npz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.path != "/file.npz":
            self.send_error(404)
            return
        start = int(wanted.split("=")[1].rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.cut])

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_whole_file_once(server, tmp_path):
    seen: list[tuple[int, int]] = []
    path = download(server.url, tmp_path / "x" / "f", md5=MD5, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    download(server.url, path, md5=MD5)
    assert server.asked == [None]
    path.write_bytes(b"damaged")
    assert download(server.url, path, md5=MD5).read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["f"]


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.cut = 1_200_000
    with pytest.raises(UserError, match="Run again to go on"):
        download(server.url, tmp_path / "f", md5=MD5)
    assert not (tmp_path / "f").exists()
    got = (tmp_path / "f.part").stat().st_size
    assert got == 1_200_000
    server.cut = None
    assert download(server.url, tmp_path / "f", md5=MD5).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={got}-"]


def test_a_complete_part_needs_nothing_more(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "f", md5=MD5).read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything(server, tmp_path):
    server.ranges = False
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    assert download(server.url, tmp_path / "f", sha256=hashlib.sha256(CONTENT).hexdigest()).read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_starts_again(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"x" * 1_000_000)
    assert download(server.url, tmp_path / "f", md5=MD5).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000000-", None]


def test_wrong_checksum_and_size_leave_nothing(server, tmp_path):
    with pytest.raises(UserError, match="has the md5"):
        download(server.url, tmp_path / "f", md5="0" * 32)
    with pytest.raises(UserError, match=r"has 3000000 bytes, not 17"):
        download(server.url, tmp_path / "f", size=17)
    assert not list(tmp_path.iterdir())


def test_missing_file_and_unreachable_server(server, tmp_path):
    with pytest.raises(UserError, match="the server answers 404"):
        download(server.url + "x", tmp_path / "f")
    with pytest.raises(UserError, match="cannot be downloaded"):
        download("http://127.0.0.1:9/f", tmp_path / "f", timeout=2)
    assert not list(tmp_path.iterdir())
