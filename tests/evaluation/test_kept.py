"""Tests of reading what was kept."""

import json

import pytest

from molorec.errors import BadFile, BadInput
from molorec.evaluation import kept


def read(file):
    return kept.read(file, lambda content: content["value"] + 1, schema=2, most=200, mend="delete it")


def write(folder, name, content):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def test_a_file_is_what_is_made_of_its_object(tmp_path):
    assert read(write(tmp_path, "a.json", {"schema": 2, "value": 6})) == 7


@pytest.mark.parametrize(("content", "words"), [
    ({"schema": 2, "value": "x" * 300}, "has .* bytes, more than 200"), ("{", "cannot be read"), ("[" * 150, "cannot be read"),
    ([1], "does not hold an object"), ({"schema": 1, "value": 6}, "was not written in schema 2"),
    ({"value": 6}, "was not written in schema 2"), ({"schema": 2}, "not as it should be .'value' is missing"),
    ({"schema": 2, "value": "six"}, "not as it should be")])
def test_what_cannot_be_used_is_refused_with_its_name_and_what_to_do(tmp_path, content, words):
    with pytest.raises(BadFile, match=f"a.json: .*{words}.*delete it"):
        read(write(tmp_path, "a.json", content))


def test_what_the_maker_refuses_is_refused_as_a_file(tmp_path):
    def refuse(_):
        raise BadInput("λ is 7")

    with pytest.raises(BadFile, match="here: it is not as it should be .λ is 7.; mend it"):
        kept.read(write(tmp_path, "a.json", {"schema": 1}), refuse, schema=1, most=200, mend="mend it", name="here")


def test_a_folder_is_read_as_far_as_it_can_be(tmp_path):
    write(tmp_path, "b.json", {"schema": 2, "value": 1})
    write(tmp_path, "a.json", "{")
    write(tmp_path, "c.txt", "nothing of this")
    found, problems = kept.readable(tmp_path, "*.json", read)
    assert found == [2] and len(problems) == 1 and problems[0].startswith("a.json")
    assert kept.readable(tmp_path / "none", "*.json", read) == ([], [])
