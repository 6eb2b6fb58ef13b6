"""Downloads stay few."""

from pathlib import Path

import pytest

from molorec.errors import MolorecError
from molorec.ui import compare, landscape, results, share
from molorec.ui import shelf as module
from molorec.ui.shelf import Shelf, plain


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return Shelf("downloads", files=3, size=100)


def put(shelf, size, name="a.txt"):
    return shelf.put(name, lambda path: path.write_bytes(b"x" * size))


def kept(shelf):
    return sorted(path.stat().st_size for path in shelf.folder.glob("*/*"))


def test_files_of_one_name_do_not_meet(shelf):
    one, other = put(shelf, 1), put(shelf, 2)
    assert one != other and kept(shelf) == [1, 2] and one.endswith("/a.txt")


def test_nobody_can_guess_where_a_file_lies(shelf):
    folders = {Path(put(shelf, 1)).parent.name for _ in range(3)}
    assert len(folders) == 3 and all(len(name) >= 20 for name in folders)


def test_the_oldest_go_when_there_are_too_many(shelf):
    for size in (1, 2, 3, 4, 5):
        put(shelf, size)
    assert kept(shelf) == [3, 4, 5]


def test_the_oldest_go_when_they_are_too_large_but_never_the_newest(shelf):
    put(shelf, 60)
    put(shelf, 50)
    assert kept(shelf) == [50]
    put(shelf, 500)
    assert kept(shelf) == [500]


def test_a_file_that_cannot_be_written_leaves_nothing(shelf):
    def full(path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    with pytest.raises(MolorecError, match="no space left"):
        shelf.put("a.txt", full)
    with pytest.raises(KeyError):
        shelf.put("a.txt", lambda path: {}["x"])
    assert list(shelf.folder.iterdir()) == []


@pytest.mark.parametrize(("name", "found"), [
    ("molorec-toybox-warm-ndcg1.csv", "molorec-toybox-warm-ndcg1.csv"), ("../../etc/passwd", "etc-passwd"), ("ü", "file"),
    ("", "file"), ("a <b>.json", "a-b-.json"), ("no ending", "no-ending"), ("x" * 300 + ".csv", "x" * 116 + ".csv"),
])
def test_a_file_name_is_plain_and_keeps_its_ending(name, found):
    assert plain(name) == found


def test_a_text_is_kept_as_it_is_under_a_plain_name(shelf):
    path = shelf.put_text("a/b ü.csv", "\ufeffü\r\n")
    assert path.endswith("/a-b-.csv") and open(path, "rb").read() == "\ufeffü\r\n".encode()


def test_a_table_that_cannot_be_written_is_no_reason_to_show_none(monkeypatch):
    def full(name, text):
        raise MolorecError("no space left")

    said = []
    monkeypatch.setattr(module.TABLES, "put_text", full)
    monkeypatch.setattr(module.gr, "Warning", said.append)
    assert module.download("a.csv", "").visible is False and said == ["no space left"]


def test_every_table_goes_to_the_one_shelf():
    assert all(panel.shelf is module for panel in (compare, landscape, results, share))
