"""A table to take along is written whole, or a word says why not."""

import errno
from pathlib import Path

import pytest

from molorec.errors import MolorecError
from molorec.ui import downloads


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.TABLES, "folder", tmp_path / "tables")
    return tmp_path / "tables"


def test_a_text_comes_back_as_it_was_under_a_plain_name():
    path = Path(downloads.saved("a table/of <b>ü</b>.csv", "\ufeffa\r\nü\r\n"))
    assert path.read_bytes().decode() == "\ufeffa\r\nü\r\n"
    assert path.name == "a-table-of-b-b-.csv"


def test_nobody_can_guess_where_it_lies():
    one, other = (Path(downloads.saved("a.csv", "x")) for _ in range(2))
    assert one.parent != other.parent and len(one.parent.name) >= 20


def test_a_full_disk_is_an_error_in_words_and_leaves_nothing(folder, fail_on):
    fail_on(Path, "write_text", 1, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(MolorecError, match=r"a\.csv could not be written.*No space left.*room"):
        downloads.saved("a.csv", "x")
    assert not list(folder.iterdir())
    assert Path(downloads.saved("a.csv", "x")).read_text() == "x"
