"""Which ports can be had, and that this machine is reached without the network's proxy."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from molorec import port
from molorec.errors import MolorecError


@pytest.fixture
def behind_a_proxy(monkeypatch):
    """An environment whose proxy is not there."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def server():
    """The address of a server on this machine that answers."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_this_machine_is_reached_past_a_proxy(behind_a_proxy, server):
    with pytest.raises(httpx.ConnectError):
        httpx.get(server)
    port.past_proxies()
    port.past_proxies()
    assert httpx.get(server).status_code == 204


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(MolorecError, match="is taken"):
        port.check_free(other.getsockname()[1])
