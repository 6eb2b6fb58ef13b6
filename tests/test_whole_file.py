"""A text file is there whole or not at all."""

import os
import stat
import threading

import pytest

from molorec import whole_file


def test_the_text_is_there_and_nothing_else_is(tmp_path):
    path = tmp_path / "new" / "λ.json"
    assert whole_file.write(path, "ä\n") == path
    assert path.read_bytes() == "ä\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_whom_the_umask_lets_read_it_may(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        path = whole_file.write(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_was_there_stays_if_writing_fails(tmp_path, monkeypatch):
    path = whole_file.write(tmp_path / "kept", "old")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        whole_file.write(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_text_that_is_no_unicode_leaves_no_half_of_it(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        whole_file.write(tmp_path / "x", "good \ud800")
    assert not list(tmp_path.iterdir())


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    whole_file.write(pipe, "λ\n")
    reader.join(10)
    assert read == ["λ\n"] and stat.S_ISFIFO(pipe.stat().st_mode)
