"""Text of others: encodings, sizes, archives."""

import os
import zipfile

import pytest

from molorec.catalog import files, original
from molorec.errors import BadFile
from tests.published_files import write


@pytest.mark.parametrize(("content", "lines"), [
    (b"", []), (b"a\r\nb", ["a", "b"]), (b"\xef\xbb\xbfa\n", ["a"]), ("é\n".encode(), ["é"]), (b"a\n\xe9\n", ["a", "é"]),
])
@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
def test_a_file_is_utf8_or_latin1_as_a_whole(tmp_path, content, lines, name):
    assert files.lines_of_either(write(tmp_path / name, content), 100) == lines


def test_bounds_hold_for_the_file_and_for_a_line(tmp_path):
    file = write(tmp_path / "x", "abc\nde\n")
    assert list(files.lines(file, 7, 4)) == ["abc\n", "de\n"]
    with pytest.raises(BadFile, match="line 1: the line is longer than 3 bytes"):
        list(files.lines(file, 7, 3))
    with pytest.raises(BadFile, match="larger than 6 bytes"):
        list(files.lines(file, 6))
    packed = write(tmp_path / "x.gz", b"a" * 10_000)
    with pytest.raises(BadFile, match="larger than 100 bytes once unpacked"):
        list(files.lines(packed, 100))


def test_a_member_of_an_archive_is_read_and_its_bounds_hold(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("in/x.txt", "a\n" * 5_000)
    member = files.archive(tmp_path / "x.zip") / "in" / "x.txt"
    assert len(list(files.lines(member, 10_000))) == 5_000
    with pytest.raises(BadFile, match=r"x.zip/in/x.txt, line 51: .*larger than 100 bytes once unpacked"):
        list(files.lines(member, 100))


def test_what_is_no_regular_file_is_called_what_it_is(tmp_path):
    for path, words in ((tmp_path, "this is a folder; give the file in it"), (tmp_path / "none", "there is no such file")):
        with pytest.raises(BadFile, match=words):
            list(files.lines(path, 100))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_to_be_written_to_a_file_first(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadFile, match="no regular file.*write it to a file first"):
        list(files.lines(tmp_path / "pipe", 100))
    with pytest.raises(BadFile, match="no regular file"):
        original.read([tmp_path / "pipe"])


def test_an_encrypted_archive_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("x.txt", "a")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(BadFile, match="encrypted"):
        files.archive(path)
