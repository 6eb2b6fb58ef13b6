"""The app's start: whatever is missing is one line, not a trace."""

import os
import socket

import pytest

import app
from molorec import fetch
from molorec.errors import CatalogError
from tests.test_fetch import Pip


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def start(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        app.main(["--port", free_port(), *words])
    said = capsys.readouterr().err
    assert said.strip().splitlines()[-1].startswith("error: ") and "Traceback" not in said
    return ended.value.code, said


def test_without_a_network_it_says_what_is_needed_and_ends(monkeypatch, capsys):
    monkeypatch.setattr(fetch.subprocess, "run", Pip(code=1, words="ERROR: Could not find a version (from versions: none)"))
    code, said = start(capsys)
    assert code == 1 and "could not be fetched" in said and "Is this machine online?" in said


def test_a_file_that_is_not_the_pinned_one_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(fetch.subprocess, "run", Pip(files={"moved.whl": b"something else"}))
    code, said = start(capsys)
    assert code == 1 and "is not the file that MoLoRec was built with" in said


@pytest.mark.parametrize(("error", "words"), [(OSError(28, "No space left on device"), "No space left"),
                                              (CatalogError("the catalogue cannot be used"), "cannot be used")])
def test_a_base_model_that_cannot_be_loaded_is_said(monkeypatch, capsys, error, words):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(app, "ensure_movielens", lambda catalog: None)
    monkeypatch.setattr(app.Engine, "start", fails)
    code, said = start(capsys)
    assert code == 1 and words in said


def test_an_unknown_profile_is_bad_input(monkeypatch, capsys):
    monkeypatch.setattr(app, "ensure_movielens", lambda catalog: None)
    code, said = start(capsys, "--profile", "huge")
    assert code == 2 and "no profile 'huge'" in said


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, said = start(capsys, "--port", port)
    assert code == 1 and f"port {port} is taken" in said and "give another --port" in said


def test_the_networks_proxy_is_not_asked_for_the_app_itself(monkeypatch):
    direct = []

    class Page:
        def launch(self, **_):
            direct.append(os.environ["no_proxy"].split(","))

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setattr(app, "ensure_movielens", lambda catalog: None)
    monkeypatch.setattr(app.Engine, "start", lambda *_, **__: None)
    monkeypatch.setattr(app.page, "build", lambda _: Page())
    app.main(["--port", free_port(), "--host", "127.0.0.2"])
    assert direct == [["example.org", "localhost", "127.0.0.1", "::1", "127.0.0.2"]]


@pytest.mark.parametrize("host", ["nonsense.invalid", "192.0.2.1", "a" * 70])
def test_what_is_no_address_of_this_machine_is_bad_input(capsys, host):
    code, said = start(capsys, "--host", host)
    assert code == 2 and f"--host '{host}' is no address" in said


@pytest.mark.parametrize("port", ["0", "99999", "-1", "x", "²"])
def test_what_is_no_port_is_bad_input(capsys, port):
    with pytest.raises(SystemExit) as ended:
        app.main([f"--port={port}"])
    assert ended.value.code == 2 and "from 1 to 65535" in capsys.readouterr().err
