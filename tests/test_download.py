"""Files of the web come whole and checked, or not at all. The web is a server on this machine."""

import gzip
import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from molorec import download
from molorec.download import WebFile
from molorec.errors import FetchError

_archive = io.BytesIO()
with zipfile.ZipFile(_archive, "w") as made:
    made.writestr(zipfile.ZipInfo("ml/x.txt"), "text " * 100)  # of a fixed time: several processes name tests by its MD5
ZIP, GZIP = _archive.getvalue(), gzip.compress(b"text " * 100, mtime=0)
MD5 = hashlib.md5(ZIP, usedforsecurity=False).hexdigest()


@pytest.fixture
def web():
    """Serves ``web.files``: path → (announced length or None, content). ``web.asked`` are the paths that were asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 - the name that the library calls
            server.asked.append(self.path)
            if self.path not in server.files:
                self.send_error(404)
                return
            length, content = server.files[self.path]
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked = {}, []
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def left_behind(home):
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("name", "content"), [("x.zip", ZIP), ("x.json.gz", GZIP)])
@pytest.mark.parametrize("said", [True, False])
def test_a_file_is_fetched_once_with_its_size_said(web, home, capsys, name, content, said):
    web.files["/" + name] = len(content) if said else None, content
    file = WebFile(name, (f"{web.address}/{name}",), MD5 if name == "x.zip" else "")
    path = download.fetch(file)
    assert path.read_bytes() == content and left_behind(home) == [path]
    err = capsys.readouterr().err.splitlines()
    assert f"fetching {web.address}/{name} ({'0.0 MB' if said else 'size unknown'}) into {home}" in err[0]
    assert download.fetch(file) == path and web.asked == [f"/{name}"]


def test_the_next_address_is_asked_where_one_has_nothing(web, capsys):
    web.files["/b/x.zip"] = len(ZIP), ZIP
    path = download.fetch(WebFile("x.zip", (f"{web.address}/a/x.zip", f"{web.address}/b/x.zip"), MD5), quiet=True)
    assert path.read_bytes() == ZIP and web.asked == ["/a/x.zip", "/b/x.zip"] and not capsys.readouterr().err


@pytest.mark.parametrize(("length", "content", "md5", "words"), [
    (len(ZIP), ZIP, "0" * 32, f"its MD5 is {MD5}, but 0000"),
    (len(ZIP), ZIP[:-30], "", "only .* of .* bytes came|IncompleteRead"),
    (None, ZIP[:-30], "", "no whole .zip file"),
    (None, b"<html>Sign in</html>", "", "no whole .zip file"),
    (None, ZIP.replace(b"text text", b"text test", 1), "", "damaged"),
    (2**60, ZIP, "", "MB fit"),
])
def test_what_is_not_the_whole_file_is_refused_and_leaves_nothing(web, home, length, content, md5, words):
    web.files["/x.zip"] = length, content
    with pytest.raises(FetchError, match=words) as caught:
        download.fetch(WebFile("x.zip", (f"{web.address}/x.zip",), md5))
    assert str(caught.value).startswith(f"x.zip could not be fetched ({web.address}/x.zip: ")
    assert left_behind(home) == [] and list((home / "downloads").iterdir()) == []


def test_half_a_gzip_file_is_refused(web, home):
    web.files["/x.gz"] = None, GZIP[:-4]
    with pytest.raises(FetchError, match="no whole .gz file"):
        download.fetch(WebFile("x.gz", (f"{web.address}/x.gz",)))
    assert left_behind(home) == []


def test_without_a_network_each_address_is_named_with_its_reason(home):
    with pytest.raises(FetchError, match=r"http://127.0.0.1:1/x.zip: .*refused.*; nonsense: unknown url"):
        download.fetch(WebFile("x.zip", ("http://127.0.0.1:1/x.zip", "nonsense")))
