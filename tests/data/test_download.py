"""Downloads from a server on this machine: mirrors, resumption, checksums."""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from define.data import download as download_module
from define.data.download import download
from define.data.prepare import prepare
from define.data.source import PublishedFile, TextFile, check, find_published
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


def test_download_then_cache(server, tmp_path):
    assert get(server, tmp_path, "good").read_bytes() == CONTENT
    assert get(server, tmp_path, "good") == tmp_path / "file"
    assert [request[:2] for request in server.requests] == [("good", None)]
    assert "Mozilla" in server.requests[0][2]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_a_known_checksum_any_whole_file_will_do(server, tmp_path):
    assert get(server, tmp_path, "absent", "short", checksum=None).read_bytes() == CONTENT
    (tmp_path / "file").write_bytes(b"other")
    assert get(server, tmp_path, "good", checksum=None).read_bytes() == b"other"


def test_published_files_are_downloaded_gzipped_or_not(server, tmp_path):
    packed = gzip.compress(CONTENT)
    server.contents["text.en.gz"] = packed
    text = PublishedFile(
        "text.en",
        (server.url("absent"), server.url("good")),
        (DIGEST,),
        "sha256:" + hashlib.sha256(packed).hexdigest(),
    )
    archive = PublishedFile("file", (server.url("good"),))
    found = find_published([text, archive], "folder", None, True, tmp_path, quiet=True)
    assert found == {
        "text.en": TextFile(tmp_path / "text.en.gz"),
        "file": TextFile(tmp_path / "file"),
    }
    digests = check({"text.en": (DIGEST,), "file": ()}, found)
    assert digests == dict.fromkeys(found, DIGEST.removeprefix("sha256:"))
    again = find_published([text, archive], "folder", None, False, tmp_path)
    assert again == found
    with pytest.raises(
        InputError, match=r"other\.en could not be downloaded .*\. Name a folder\.$"
    ):
        other = PublishedFile("other.en", (server.url("good"),))
        find_published([other], "folder", None, True, tmp_path, "Name a folder.", quiet=True)


def test_a_cached_file_with_a_wrong_checksum_is_fetched_anew(server, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    assert get(server, tmp_path, "good").read_bytes() == CONTENT


def test_the_next_mirror_takes_over(server, tmp_path):
    assert get(server, tmp_path, "absent", "bad", "good").read_bytes() == CONTENT
    mirrors = [request[0] for request in server.requests]
    assert mirrors == ["absent", "absent", "bad", "bad", "good"]


def test_an_interrupted_download_is_continued(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert get(server, tmp_path, "good").read_bytes() == CONTENT
    assert [request[1] for request in server.requests] == ["bytes=1000-"]


def test_a_cut_transfer_is_continued_by_itself(server, tmp_path):
    assert get(server, tmp_path, "short").read_bytes() == CONTENT
    assert [request[1] for request in server.requests] == [None, f"bytes={len(CONTENT) // 2}-"]


@pytest.mark.parametrize("mirror", ["good", "whole"])
@pytest.mark.parametrize("size", [10, len(CONTENT), len(CONTENT) + 5])
def test_a_useless_partial_file_does_no_harm(server, tmp_path, mirror, size):
    (tmp_path / "file.part").write_bytes(b"x" * size)
    assert get(server, tmp_path, mirror).read_bytes() == CONTENT


def test_wrong_checksum_everywhere(server, tmp_path):
    with pytest.raises(InputError) as raised:
        get(server, tmp_path, "bad")
    found = hashlib.sha256(b"x" + CONTENT[1:]).hexdigest()
    for part in ("file", DIGEST, found, server.url("bad"), "Use --source."):
        assert part in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_no_server_is_one_clear_message(tmp_path):
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


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_any_checksum_will_do(server, tmp_path, algorithm):
    digits = hashlib.new(algorithm, CONTENT).hexdigest()
    path = get(server, tmp_path, "bad", "good", checksum=f"{algorithm}:{digits}")
    assert path.read_bytes() == CONTENT
    with pytest.raises(InputError, match=f"expected {algorithm}:0, found {algorithm}:{digits}"):
        get(server, tmp_path, "good", checksum=f"{algorithm}:0")


def test_prepare_by_download(server, toy, change_toy, toy_source, tmp_path):
    server.contents = {path.name: path.read_bytes() for path in toy_source.iterdir()}
    change_toy(mirrors=(server.url("absent"), server.url("good")))
    data = tmp_path / "data"
    assert prepare("toy", data / "toy", quiet=True).types == 5
    assert sorted(path.name for path in data.iterdir()) == ["raw", "toy"]
    asked = len(server.requests)
    prepare("toy", data / "toy", quiet=True, force=True, download=False)
    prepare("toy", data / "other" / "toy", quiet=True, cache=data / "raw" / "toy")
    assert len(server.requests) == asked


def test_prepare_by_download_of_wrong_files_leaves_nothing(
    server, toy, change_toy, toy_source, tmp_path
):
    server.contents = {path.name: path.read_bytes() for path in toy_source.iterdir()}
    change_toy(mirrors=(server.url("bad"),))
    with pytest.raises(InputError, match=toy.checksums["toy.train.txt"][0]):
        prepare("toy", tmp_path / "data" / "toy", quiet=True)
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_prepare_by_download_of_an_archive(server, change_toy, toy_zip, toy_source, tmp_path):
    server.contents = {"toy.zip": toy_zip}
    change_toy(mirrors=tuple(server.url(mirror) for mirror in ("absent", "bad", "short")))
    data = tmp_path / "data"
    corpus = prepare("toy", data / "toy", quiet=True)
    assert [mirror for mirror, *_ in server.requests[-2:]] == ["short", "short"]
    assert server.requests[-1][1] == f"bytes={len(toy_zip) // 2}-"
    assert [path.name for path in (data / "raw" / "toy").iterdir()] == ["toy.zip"]
    plain = prepare("toy", tmp_path / "plain" / "toy", source=toy_source)
    assert corpus.meta == plain.meta
    asked = len(server.requests)
    prepare("toy", data / "toy", quiet=True, force=True)
    prepare("toy", data / "toy", quiet=True, force=True, download=False)
    assert len(server.requests) == asked


def test_prepare_by_download_of_a_wrong_archive_leaves_nothing(
    server, change_toy, toy_zip, tmp_path
):
    server.contents = {"toy.zip": toy_zip}
    change_toy(mirrors=(server.url("bad"),))
    with pytest.raises(InputError, match=r"toy.zip could not .* expected md5:.*--source"):
        prepare("toy", tmp_path / "data" / "toy", quiet=True)
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []
