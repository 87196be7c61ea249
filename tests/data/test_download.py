"""Downloads from a server on this machine: mirrors, resumption, checksums."""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from define.data import download as download_module
from define.data.download import download
from define.data.source import Places, PublishedFile, TextFile, check
from define.data.text.prepare import prepare
from define.errors import InputError

CONTENT = bytes(range(256)) * 1000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """/good/ serves and resumes, /whole/ never resumes, /short/ hangs up after half, /bad/ lies."""

    def do_GET(self):
        mirror, name = self.path.strip("/").split("/")
        self.server.requests.append((mirror, self.headers["Range"], self.headers["User-Agent"]))
        content = self.server.contents.get(name)
        if mirror == "absent" or content is None:
            self.send_error(404)
            return
        if mirror == "bad":
            content = b"x" + content[1:]
        start = 0
        if self.headers["Range"] and mirror != "whole":
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) // 2 if mirror == "short" and start == 0 else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A running server; `server.url(mirror)` is a URL prefix, `server.requests` what was asked."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.requests, running.contents = [], {"file": CONTENT}
    running.url = lambda mirror: f"http://127.0.0.1:{running.server_port}/{mirror}/"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def get(server, cache, *mirrors, checksum=DIGEST):
    urls = tuple(server.url(mirror) for mirror in mirrors)
    return download("file", checksum, urls, cache, "Use --source.", quiet=True)


def test_the_next_mirror_takes_over_and_the_cache_is_used(server, tmp_path):
    assert get(server, tmp_path, "absent", "bad", "good").read_bytes() == CONTENT
    asked = [request[:2] for request in server.requests]
    assert asked == [(mirror, None) for mirror in ("absent", "absent", "bad", "bad", "good")]
    assert "Mozilla" in server.requests[0][2]
    assert get(server, tmp_path, "good") == tmp_path / "file" and len(server.requests) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "file").write_bytes(b"old")
    assert get(server, tmp_path, "good").read_bytes() == CONTENT


def test_without_a_known_checksum_any_whole_file_will_do(server, tmp_path):
    assert get(server, tmp_path, "absent", "short", checksum=None).read_bytes() == CONTENT
    (tmp_path / "file").write_bytes(b"other")
    assert get(server, tmp_path, "good", checksum=None).read_bytes() == b"other"


@pytest.mark.parametrize(
    ("mirror", "part", "asked"),
    [
        ("good", CONTENT[:1000], ["bytes=1000-"]),
        ("short", b"", [None, f"bytes={len(CONTENT) // 2}-"]),
        ("good", b"x" * 10, None),  # a useless partial file does no harm
        ("whole", b"x" * 10, None),
        ("good", b"x" * (len(CONTENT) + 5), None),
    ],
)
def test_a_partial_file_is_continued(server, tmp_path, mirror, part, asked):
    if part:
        (tmp_path / "file.part").write_bytes(part)
    assert get(server, tmp_path, mirror).read_bytes() == CONTENT
    assert asked is None or [request[1] for request in server.requests] == asked


def test_failures_are_one_clear_message(server, tmp_path):
    with pytest.raises(InputError) as raised:
        get(server, tmp_path, "bad")
    found = hashlib.sha256(b"x" + CONTENT[1:]).hexdigest()
    for part in ("file", DIGEST, found, server.url("bad"), "Use --source."):
        assert part in str(raised.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"127.0.0.1:9/file: .*refused.*Use --source."):
        download("file", DIGEST, ("http://127.0.0.1:9/",), tmp_path, "Use --source.", quiet=True)


def test_ctrl_c_keeps_the_partial_file_for_the_next_call(server, tmp_path, monkeypatch):
    class Interrupting(download_module.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download_module, "tqdm", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            get(server, tmp_path, "good")
    assert [path.name for path in tmp_path.iterdir()] == ["file.part"]
    assert get(server, tmp_path, "good").read_bytes() == CONTENT
    assert server.requests[-1][1].startswith("bytes=")


def test_published_files_are_downloaded_gzipped_or_not(server, tmp_path):
    packed = gzip.compress(CONTENT)
    server.contents["text.en.gz"] = packed
    mirrors = (server.url("absent"), server.url("good"))
    gzip_sum = "sha256:" + hashlib.sha256(packed).hexdigest()
    files = [
        PublishedFile("text.en", mirrors, (DIGEST,), gzip_sum),
        PublishedFile("file", (server.url("good"),)),
    ]
    places = Places("name", None, True, tmp_path, "Name a folder.", quiet=True)
    found = places.find(files)
    assert found == {
        "text.en": TextFile(tmp_path / "text.en.gz"),
        "file": TextFile(tmp_path / "file"),
    }
    digests = check({"text.en": (DIGEST,), "file": ()}, found)
    assert digests == dict.fromkeys(found, DIGEST.removeprefix("sha256:"))
    assert Places("name", None, False, tmp_path).find(files) == found
    with pytest.raises(InputError, match=r"other could not be downloaded .*\. Name a folder\.$"):
        places.find([PublishedFile("other", mirrors)])


@pytest.mark.parametrize("archive", [False, True])
def test_prepare_by_download(server, toy, change_toy, toy_zip, toy_source, tmp_path, archive):
    server.contents = {path.name: path.read_bytes() for path in toy_source.iterdir()}
    server.contents["toy.zip"] = toy_zip
    if not archive:
        change_toy(archive=None)
    data = tmp_path / "data"
    change_toy(mirrors=(server.url("bad"),))
    with pytest.raises(InputError, match=r"expected (md5|sha256):.*--source"):
        prepare("toy", data / "toy", quiet=True)
    assert [path for path in data.rglob("*") if path.is_file()] == []
    change_toy(mirrors=tuple(server.url(mirror) for mirror in ("absent", "short")))
    corpus = prepare("toy", data / "toy", quiet=True)
    assert corpus.meta == prepare("toy", tmp_path / "plain" / "toy", source=toy_source).meta
    expected = {"toy.zip"} if archive else set(toy.files.values())
    assert {path.name for path in (data / "raw" / "toy").iterdir()} == expected
    asked = len(server.requests)
    prepare("toy", data / "toy", quiet=True, force=True)
    prepare("toy", data / "toy", quiet=True, force=True, download=False)
    prepare("toy", data / "other" / "toy", quiet=True, cache=data / "raw" / "toy")
    assert len(server.requests) == asked
