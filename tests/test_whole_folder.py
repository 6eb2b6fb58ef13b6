"""A folder takes the place of another whole, or not at all."""

import os

import pytest

from molorec import whole_folder


@pytest.fixture
def folders(tmp_path):
    """A finished folder in a work folder, and one whose place it is to take."""
    made, folder = tmp_path / "work" / "new", tmp_path / "adapter"
    for path, text in ((made, "new"), (folder, "old")):
        path.mkdir(parents=True)
        (path / "text").write_text(text)
    return made, folder


def test_the_new_one_is_there_and_the_old_one_gone(folders, tmp_path):
    made, folder = folders
    whole_folder.put(made, folder)
    assert (folder / "text").read_text() == "new" and not list(made.parent.iterdir())
    whole_folder.put(folder, tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "text").read_text() == "new" and not folder.exists()


def test_a_folder_in_the_making_is_nobodys_until_it_is_whole(tmp_path):
    folder = tmp_path / "made" / "adapter"
    with whole_folder.replacing(folder) as new:
        (new / "text").write_text("first")
        assert not folder.exists()
    with pytest.raises(ValueError, match="half"), whole_folder.replacing(folder) as new:
        (new / "text").write_text("second")
        raise ValueError("half of it")
    assert (folder / "text").read_text() == "first" and list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("nth", [1, 2])
def test_what_was_there_stays_if_it_cannot_be_replaced(folders, fail_on, nth):
    made, folder = folders
    fail_on(os, "replace", nth, OSError("No space left on device"))
    with pytest.raises(OSError, match="No space"):
        whole_folder.put(made, folder)
    assert (folder / "text").read_text() == "old"
    whole_folder.put(made, folder)
    assert (folder / "text").read_text() == "new"
