"""Downloads stay few."""

import pytest

from molorec.errors import MolorecError
from molorec.ui.shelf import Shelf


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
