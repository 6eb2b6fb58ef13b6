"""Which published data set it is, and that each form of one gives the same domain."""

import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec.catalog import original
from molorec.errors import BadFile, BadInput
from tests.conftest import source_data
from tests.published_files import FORMS, amazon_2014, movielens_100k, movielens_dat, write, zipped

SOURCE = source_data(users=12)
CATEGORIES = {"100k": ("Action", "Animation", "Comedy"), "2014": ("Beauty", "Hair & Care", "Bath"),
              "2018": ("Beauty", "Hair & Care", "Bath")}
REVIEWED = {item for _, item, _ in SOURCE.events}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", ["folder", "folder around it", "zip"])
def test_every_form_gives_the_same_source(tmp_path, form, packed):
    folder = FORMS[form](tmp_path / "outer" / "inner", SOURCE)
    path = {"folder": folder, "folder around it": folder.parent, "zip": tmp_path / "x.zip"}[packed]
    if packed == "zip":
        zipped(folder, path)
    found = original.read([path])
    assert list(found.source.events) == SOURCE.events
    assert {item: title for item, title in found.source.titles.items() if item in REVIEWED} == {
        item: title for item, title in SOURCE.titles.items() if item in REVIEWED}
    films = not form.startswith("20")
    assert found.noun == ("films" if films else "products") and "research use" in found.terms
    assert found.source.categories["i3"][:3] == CATEGORIES.get(form, ("Comedy", "Drama"))


def test_amazons_two_files_may_come_in_any_order(tmp_path):
    files = sorted(amazon_2014(tmp_path, SOURCE).iterdir())
    assert original.read(files).source.titles == original.read(files[::-1]).source.titles


def test_a_category_is_taken_out_of_several(tmp_path):
    amazon_2014(tmp_path, SOURCE)
    amazon_2014(tmp_path, source_data(users=3), "Toys_and_Games")
    assert original.read([tmp_path], "Toys_and_Games").files == (
        "reviews_Toys_and_Games_5.json.gz", "meta_Toys_and_Games.json.gz")
    with pytest.raises(BadInput, match="more than one data set: Amazon Beauty, Amazon Toys_and_Games; give"):
        original.read([tmp_path])


def test_the_five_core_comes_before_all_reviews(tmp_path):
    amazon_2014(tmp_path, SOURCE)
    write(tmp_path / "reviews_Beauty.json.gz", "oops")
    assert original.read([tmp_path]).files[0] == "reviews_Beauty_5.json.gz"


def test_two_editions_side_by_side_are_not_guessed_between(tmp_path):
    movielens_100k(tmp_path / "a", SOURCE)
    movielens_dat(tmp_path / "b", SOURCE)
    with pytest.raises(BadInput, match="MovieLens 100K in a, MovieLens 1M or 10M in b"):
        original.read([tmp_path])


@pytest.mark.parametrize(("make", "error", "words"), [
    (lambda path: path.mkdir(), BadInput, "no data set that can be read; expected are MovieLens' u.data"),
    (lambda path: None, BadFile, "no such file or folder"),
    (lambda path: path.write_text("x"), BadFile, "neither a folder nor a zip archive"),
    (lambda path: zipfile.ZipFile(path, "w").close(), BadInput, "no data set"),
])
def test_what_is_none_is_refused_in_words(tmp_path, make, error, words):
    make(tmp_path / "x")
    with pytest.raises(error, match=words):
        original.read([tmp_path / "x"])
    with pytest.raises(BadInput, match="3 paths"):
        original.read([tmp_path] * 3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_a_damaged_archive_is_read_or_refused(tmp_path, place, damage):
    whole = tmp_path / "whole.zip"
    if not whole.exists():
        zipped(movielens_dat(tmp_path / "ml", source_data(users=2)), whole)
    raw = bytearray(whole.read_bytes())
    place %= len(raw)
    raw[place : place + len(damage)] = damage
    broken = tmp_path / "broken.zip"
    broken.write_bytes(raw)
    try:
        assert len(original.read([broken]).source.events)
    except BadInput:
        pass
