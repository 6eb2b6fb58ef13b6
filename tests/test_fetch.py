"""Wheels come whole and verified, or not at all. pip is replaced throughout."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from molorec import fetch
from molorec.config import Wheel
from molorec.errors import FetchError

CONTENT = b"a wheel"
PINNED = Wheel("toys==1.0", hashlib.sha256(CONTENT).hexdigest(), 0.1)


class Pip:
    """Stands for ``subprocess.run``: writes ``files`` into the folder it is given."""

    def __init__(self, files=(), code=0, words=""):
        self.files, self.code, self.words, self.calls = dict(files), code, words, []

    def __call__(self, command, **_):
        self.calls.append(command)
        for name, content in self.files.items():
            (Path(command[command.index("--dest") + 1]) / name).write_bytes(content)
        return subprocess.CompletedProcess(command, self.code, "", self.words)


@pytest.fixture
def pip(monkeypatch):
    def replace(**how):
        made = Pip(**how)
        monkeypatch.setattr(fetch.subprocess, "run", made)
        return made

    return replace


def left_behind(home):
    return [path for path in home.rglob("*") if path.is_file()] + list(home.rglob(".fetch-*"))


def test_a_wheel_is_fetched_once(pip, home):
    asked = pip(files={"toys-1.0-py3-none-any.whl": CONTENT})
    path = fetch.wheel(PINNED)
    assert path.read_bytes() == CONTENT and left_behind(home) == [path]
    assert fetch.wheel(PINNED) == path
    assert len(asked.calls) == 1


def test_pip_is_asked_for_the_pinned_file_alone(pip):
    asked = pip(files={"toys-1.0-py3-none-any.whl": CONTENT})
    fetch.wheel(PINNED)
    assert {"download", "--no-deps", "--only-binary=:all:", "toys==1.0"} <= set(asked.calls[0])


def test_offline_is_said_in_words_and_leaves_nothing(pip, home):
    pip(code=1, words="WARNING: retrying\nERROR: no matching distribution\n\n")
    with pytest.raises(FetchError, match=r"toys==1.0 could not be fetched.*no matching distribution.*online") as caught:
        fetch.wheel(PINNED)
    assert caught.value.exit_code == 1
    assert left_behind(home) == []


def test_pip_without_a_word_is_still_a_message(pip):
    pip(code=1)
    with pytest.raises(FetchError, match="no message"):
        fetch.wheel(PINNED)


def test_a_file_with_another_hash_is_not_kept(pip, home):
    pip(files={"toys-1.0-py3-none-any.whl": b"something else"})
    with pytest.raises(FetchError, match="nothing was kept"):
        fetch.wheel(PINNED)
    assert left_behind(home) == []


@pytest.mark.parametrize("files", [{}, {"a.whl": CONTENT, "b.whl": CONTENT}])
def test_anything_but_one_wheel_is_refused(pip, home, files):
    pip(files=files)
    with pytest.raises(FetchError, match="instead of one wheel"):
        fetch.wheel(PINNED)
    assert left_behind(home) == []


def test_an_interrupted_download_leaves_nothing(monkeypatch, home):
    def interrupted(command, **_):
        (Path(command[command.index("--dest") + 1]) / "toys.whl").write_bytes(CONTENT[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch.wheel(PINNED)
    assert left_behind(home) == []


def test_quiet_says_nothing(pip, capsys):
    pip(files={"toys-1.0-py3-none-any.whl": CONTENT})
    fetch.wheel(PINNED, quiet=True)
    assert capsys.readouterr() == ("", "")
