"""MovieLens' own files: read, or refused with file and line."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec.catalog import SourceData, grouplens
from molorec.errors import BadFile
from tests.published_files import movielens_100k, movielens_csv, movielens_dat, write

SOURCE = SourceData({"1": "Misérables, Les (1995)", "2": "Alien³ (1992)"}, [("7", "2", 20.0), ("7", "1", 10.0)])
FLAGS = "0|0|0|0|0|1|0|0|1|0|0|0|0|0|0|0|0|0|0"


def read(folder):
    return grouplens.read(folder, grouplens.layout(folder))


@pytest.mark.parametrize("made", [
    lambda folder: movielens_100k(folder, SOURCE), lambda folder: movielens_csv(folder, SOURCE),
    lambda folder: movielens_dat(folder, SOURCE), lambda folder: movielens_dat(folder, SOURCE, "latin-1")])
def test_titles_and_ratings_are_the_same_in_every_form_and_encoding(tmp_path, made):
    source = read(made(tmp_path))
    assert source.titles == SOURCE.titles and list(source.events) == SOURCE.events


def test_flags_and_lists_of_genres_become_names(tmp_path):
    write(tmp_path / "u.item", f"1|A (1995)|||x|{FLAGS}\n267|unknown||||1{FLAGS[1:]}\n")
    write(tmp_path / "u.data", "7\t1\t5\t9\n")
    source = read(tmp_path)
    assert source.categories == {"1": ("Comedy", "Drama"), "267": ("Comedy", "Drama")} and source.titles["267"] == ""
    write(tmp_path / "other" / "movies.dat", "1::A :: B (1995)::Comedy|Drama\n2::C::(no genres listed)\n")
    write(tmp_path / "other" / "ratings.dat", "7::1::5::9\n")
    source = read(tmp_path / "other")
    assert source.titles["1"] == "A :: B (1995)" and source.categories == {"1": ("Comedy", "Drama"), "2": ()}


def test_a_folder_without_both_files_is_none(tmp_path):
    write(tmp_path / "movies.dat", "")
    assert grouplens.layout(tmp_path) is None


@pytest.mark.parametrize(("films", "ratings", "file", "line", "words"), [
    ("", "7::1::5::9\n", "movies.dat", None, "no films"),
    ("1::A\n", "7::1::5::9\n", "movies.dat", 1, "'1::A' is not of the form id::title::genres"),
    ("1::A::x\n::B::x\n", "", "movies.dat", 2, "the id is empty"),
    ("1::A::x\n1::B::x\n", "", "movies.dat", 2, "film '1' stands here a second time"),
    (f"1::{'x' * 2001}::x\n", "", "movies.dat", 1, "2001 characters"),
    (b"1::A::x\n2::\x85::x\n", "", "movies.dat", 2, "neither UTF-8 nor Latin-1"),
    ("1::A::x\n2::\0::x\n", "", "movies.dat", 2, "NUL"),
    ("1::A::x\n", "", "ratings.dat", None, "no ratings"),
    ("1::A::x\n", "7::1::5::9\n7::1::5\n", "ratings.dat", 2, "'7::1::5' is not user, film, stars and time with '::'"),
    ("1::A::x\n", "7::2::5::9\n", "ratings.dat", 1, "film '2' is not in movies.dat"),
    ("1::A::x\n", " ::1::5::9\n", "ratings.dat", 1, "empty"),
    ("1::A::x\n", "7::1::5::soon\n", "ratings.dat", 1, "'soon.?' is not a number"),
    ("1::A::x\n", b"7::1::5::9\n\xff::1::5::9\n", "ratings.dat", 2, "UTF-8"),
])
def test_bad_files_are_named_with_their_line(tmp_path, films, ratings, file, line, words):
    write(tmp_path / "movies.dat", films)
    write(tmp_path / "ratings.dat", ratings)
    with pytest.raises(BadFile, match=words) as caught:
        read(tmp_path)
    assert caught.value.file.endswith(file) and caught.value.line == line


@pytest.mark.parametrize("line", ["1|A|x", f"1|A|||x|{FLAGS}|0", f"1|A|||x|2{FLAGS[1:]}", "1", ""])
def test_a_film_of_another_shape_is_refused(tmp_path, line):
    write(tmp_path / "u.item", f"2|B|||x|{FLAGS}\n{line}\n")
    write(tmp_path / "u.data", "7\t2\t5\t9\n")
    if not line:
        assert list(read(tmp_path).titles) == ["2"]
        return
    with pytest.raises(BadFile, match="19 flags of 0 or 1") as caught:
        read(tmp_path)
    assert caught.value.line == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100) | st.text("1:|:\t,\"A0\n\r\0é", max_size=60).map(str.encode), st.booleans(),
       st.sampled_from([movielens_100k, movielens_dat, movielens_csv]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, as_films, form):
    folder = form(tmp_path_factory.mktemp("ml"), SOURCE)
    edition = grouplens.layout(folder)
    file = folder / (edition.films if as_films else edition.ratings)
    file.write_bytes(file.read_bytes() + content)
    try:
        source = read(folder)
    except BadFile:
        return
    assert len(source.titles) >= 2 and len(source.events) >= 2
