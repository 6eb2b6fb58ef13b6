"""A domain from two CSV files: read, or refused with file, line and column."""

import gzip
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec.catalog import csv_source
from molorec.errors import BadFile

ITEMS = "item_id,title,extra\n1,\"Heat, the film\",x\n2,Alien,y\n"
EVENTS = "user_id,item_id,timestamp_or_order\nu,1,5\nu,2,4.5\n"


def read(tmp_path, items=ITEMS, events=EVENTS):
    paths = tmp_path / "items.csv", tmp_path / "events.csv"
    for path, content in zip(paths, (items, events), strict=True):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return csv_source.read(*paths)


def test_good_files(tmp_path):
    source = read(tmp_path)
    assert source.titles == {"1": "Heat, the film", "2": "Alien"}
    assert list(source.events) == [("u", "1", 5.0), ("u", "2", 4.5)]


@pytest.mark.parametrize(("written", "names"), [
    ("Comedy|Drama", ("Comedy", "Drama")), ("\"['Beauty', \"\"Women's\"\"]\"", ("Beauty", "Women's")), ("", ()), ("[1 (", ()),
    ("[[]]", ()),
    ("[{[]: 1}]", ()), (" Comedy ||", ("Comedy",)),
])
def test_categories_are_read_where_there_are_some(tmp_path, written, names):
    assert read(tmp_path, items=f"item_id,title,categories\n1,A,{written}\n2,B,\n").categories == {"1": names, "2": ()}


def test_row_numbers_that_pandas_writes_are_no_categories(tmp_path):
    lines = ITEMS.strip().splitlines()
    items = "\n".join([f",{lines[0]}", *(f"{number},{line}" for number, line in enumerate(lines[1:]))])
    (tmp_path / "items.csv").write_text(items)
    (tmp_path / "events.csv").write_text(EVENTS)
    found = csv_source.read(tmp_path / "items.csv", tmp_path / "events.csv", item_columns={"categories": ""})
    assert set(found.categories.values()) == {()}


def test_gzip_and_byte_order_mark(tmp_path):
    items, events = tmp_path / "i.csv.gz", tmp_path / "e.csv.gz"
    items.write_bytes(gzip.compress(b"\xef\xbb\xbf" + ITEMS.encode()))
    events.write_bytes(gzip.compress(EVENTS.encode()))
    assert len(csv_source.read(items, events).events) == 2


def test_without_times_the_order_of_lines_counts(tmp_path):
    events = list(read(tmp_path, events="user_id,item_id\nu,2\nu,1\n").events)
    assert events[0][2] < events[1][2]


@pytest.mark.parametrize(("items", "events", "file", "line", "column", "words"), [
    ("id,title\n1,A\n", EVENTS, "items.csv", 1, "item_id", "missing"),
    (ITEMS + "1,B,z\n", EVENTS, "items.csv", 4, "item_id", "second time"),
    (ITEMS + ",B,z\n", EVENTS, "items.csv", 4, "item_id", "empty"),
    (ITEMS + "3,B\n", EVENTS, "items.csv", 4, None, "2 values where the header has 3"),
    (ITEMS, EVENTS + "u,9,6\n", "events.csv", 4, "item_id", "not in items.csv"),
    (ITEMS, EVENTS + "u,1,soon\n", "events.csv", 4, "timestamp_or_order", "not a number"),
    (ITEMS, EVENTS + "u,1,nan\n", "events.csv", 4, "timestamp_or_order", "not a number"),
    (ITEMS, EVENTS + "u,1\0,5\n", "events.csv", 4, None, "NUL"),
    (b"item_id,title\n1,A\n2,\xff\xfe\n3,B\n", EVENTS, "items.csv", 3, None, "UTF-8"),
    ("", EVENTS, "items.csv", None, None, "empty"),
    ("item_id,title\n", EVENTS, "items.csv", None, None, "no items"),
    (ITEMS, "user_id,item_id\n", "events.csv", None, None, "no interactions"),
    ("item_id,title,title\n1,A,B\n", EVENTS, "items.csv", 1, "title", "twice"),
])
def test_bad_files_are_named_with_line_and_column(tmp_path, items, events, file, line, column, words):
    with pytest.raises(BadFile, match=words) as caught:
        read(tmp_path, items, events)
    assert caught.value.file.endswith(file)
    assert line is None or caught.value.line == line
    assert caught.value.column == column


def test_missing_and_broken_files(tmp_path):
    read(tmp_path)
    with pytest.raises(BadFile, match="no such file"):
        csv_source.read(tmp_path / "none.csv", tmp_path / "events.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress(ITEMS.encode())[:20])
    with pytest.raises(BadFile, match="cannot be read"):
        csv_source.read(broken, tmp_path / "events.csv")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path, content, as_items):
    try:
        source = read(tmp_path, content if as_items else ITEMS, EVENTS if as_items else content)
    except BadFile:
        return
    assert source.titles and source.events


@pytest.mark.parametrize(("limit", "words"), [({"csv_bytes": 20}, "larger than"), ({"csv_rows": 1}, "more than 1 rows"),
                                              ({"title_characters": 5}, "title has 14 characters"),
                                              ({"csv_columns": 1}, "header has 3 columns; at most 1 are"),
                                              ({"line_bytes": 9}, "line is longer than 9 bytes")])
def test_files_beyond_the_limits_are_refused(tmp_path, monkeypatch, limit, words):
    monkeypatch.setattr(csv_source, "LIMITS", replace(csv_source.LIMITS, **limit))
    with pytest.raises(BadFile, match=words):
        read(tmp_path)


def test_a_small_archive_of_a_large_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_source, "LIMITS", replace(csv_source.LIMITS, csv_bytes=5_000))
    items = tmp_path / "i.csv.gz"
    items.write_bytes(gzip.compress(ITEMS.encode() + b"x" * 100_000))
    assert items.stat().st_size < 5_000
    with pytest.raises(BadFile, match="once unpacked"):
        csv_source.read(items, tmp_path / "e.csv")


def test_a_quote_that_never_ends_is_refused(tmp_path):
    with pytest.raises(BadFile, match="well-formed CSV") as caught:
        read(tmp_path, 'item_id,title\n1,"Heat\n')
    assert caught.value.line


def test_a_title_over_two_lines_does_not_upset_the_line_numbers(tmp_path):
    with pytest.raises(BadFile) as caught:
        read(tmp_path, 'item_id,title\n1,"He\nat"\n1,Again\n')
    assert caught.value.line == 4


def test_the_message_names_file_line_and_column(tmp_path):
    with pytest.raises(BadFile) as caught:
        read(tmp_path, events=EVENTS + "u,9,6\n")
    assert str(caught.value).startswith(f"{tmp_path / 'events.csv'}, line 4, column 'item_id': item '9'")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text('u12,"\n\r\0é.-', max_size=60))
def test_any_rows_below_a_good_header_are_read_or_refused(tmp_path, text):
    try:
        source = read(tmp_path, events="user_id,item_id,time\n" + text)
    except BadFile:
        return
    assert source.events


FOREIGN_ITEMS = "asin,name,genres\nA1,\"Heat, the film\",Crime|Drama\nA2,Alien,Horror\n"
FOREIGN_EVENTS = "customer,asin,when,stars\nu,A1,5,3\nu,A2,4.5,1\n"
MAPPED = {"item_columns": {"item_id": "asin", "title": "name", "categories": "genres"},
          "event_columns": {"user_id": "customer", "item_id": "asin", "time": "when"}}


def read_mapped(tmp_path, items=FOREIGN_ITEMS, events=FOREIGN_EVENTS, **changes):
    paths = tmp_path / "items.csv", tmp_path / "events.csv"
    for path, content in zip(paths, (items, events), strict=True):
        path.write_text(content, encoding="utf-8")
    return csv_source.read(*paths, **{**MAPPED, **changes})


def test_columns_of_other_names_are_read_by_a_mapping(tmp_path):
    source = read_mapped(tmp_path)
    assert source.titles == {"A1": "Heat, the film", "A2": "Alien"}
    assert source.categories == {"A1": ("Crime", "Drama"), "A2": ("Horror",)}
    assert list(source.events) == [("u", "A1", 5.0), ("u", "A2", 4.5)]


def test_an_empty_name_leaves_out_what_may_be_missing(tmp_path):
    source = read_mapped(tmp_path, item_columns={**MAPPED["item_columns"], "categories": ""},
                         event_columns={**MAPPED["event_columns"], "time": ""})
    assert set(source.categories.values()) == {()}
    assert [time for _, _, time in source.events] == [2.0, 3.0]  # the lines' order


@pytest.mark.parametrize(("items", "events", "file", "line", "column", "words"), [
    (FOREIGN_ITEMS.replace("name", "label"), FOREIGN_EVENTS, "items.csv", 1, "name", "missing"),
    (FOREIGN_ITEMS.replace("genres", "kind"), FOREIGN_EVENTS, "items.csv", 1, "genres", "missing"),
    (FOREIGN_ITEMS, FOREIGN_EVENTS.replace("when", "then"), "events.csv", 1, "when", "missing"),
    (FOREIGN_ITEMS, FOREIGN_EVENTS.replace("4.5", "soon"), "events.csv", 3, "when", "not a number"),
    (FOREIGN_ITEMS + "A1,Again,\n", FOREIGN_EVENTS, "items.csv", 4, "asin", "second time"),
])
def test_a_mapped_column_is_called_by_the_files_own_name(tmp_path, items, events, file, line, column, words):
    with pytest.raises(BadFile, match=words) as caught:
        read_mapped(tmp_path, items, events)
    assert (caught.value.file.rsplit("/", 1)[-1], caught.value.line, caught.value.column) == (file, line, column)


@pytest.mark.parametrize(("bounds", "words"), [(csv_source.Bounds(30, 100), "larger than"),
                                               (csv_source.Bounds(1000, 1), "more than 1")])
def test_tighter_bounds_than_the_command_lines(tmp_path, bounds, words):
    with pytest.raises(BadFile, match=words):
        read_mapped(tmp_path, bounds=bounds)


def test_a_preview_is_the_header_and_the_first_rows(tmp_path):
    file = tmp_path / "items.csv"
    file.write_text("id,name\n" + "".join(f"{i},<b>{i}</b>\n" for i in range(50)))
    header, rows = csv_source.preview(file, rows=3)
    assert header == ["id", "name"]
    assert rows == [["0", "<b>0</b>"], ["1", "<b>1</b>"], ["2", "<b>2</b>"]]


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"id,name\n1\n", "1 values where"), (b"id\n\0\n", "NUL"), (b"id\n\xff\n", "UTF-8"),
    (b"id\n" + b"x" * 20_000_000, "line 2.*longer than 1 MiB"), (b"x" * 20_000_000, "line 1.*longer than 1 MiB"),
        (b"id\n" + b"x" * 200_000, "line 2.*well-formed"),
    (b"id;name\n1;a\n", "separated by ';'.*commas"), (b"id\tname\n", r"separated by '\\t'.*commas"),
])
def test_a_preview_of_a_bad_file_is_refused(tmp_path, content, words):
    file = tmp_path / "items.csv"
    file.write_bytes(content)
    with pytest.raises(BadFile, match=words):
        csv_source.preview(file)


@pytest.mark.parametrize(("header", "wanted", "found"), [
    (["item_id", "title"], ["item_id", "title", "categories"], ["item_id", "title", ""]),
    (["Movie ID", "NAME", "Genres"], ["item_id", "title", "categories"], ["Movie ID", "NAME", "Genres"]),
    (["reviewerID", "asin", "unixReviewTime"], ["user_id", "item_id", "time"], ["reviewerID", "asin", "unixReviewTime"]),
    (["who", "what", "when"], ["user_id", "item_id", "time"], ["who", "what", "when"]),
    (["customer", "product", "price"], ["user_id", "item_id", "time"], ["customer", "product", ""]),
    (["userId", "movieId", "rating_timestamp"], ["user_id", "item_id", "time"], ["userId", "movieId", "rating_timestamp"]),
    (["id", "reviewerName", "reviewerID", "ASIN"], ["user_id", "item_id"], ["reviewerID", "ASIN"]),
    (["isbn", "Book-Title"], ["item_id", "title"], ["isbn", "Book-Title"]),
    (["id", "name"], ["item_id", "title", "categories"], ["id", "name", ""]),
    (["sku", "name", "kind"], ["title", "categories"], ["name", "kind"]),
    (["Item ID", "item_id", "Title", "title"], ["item_id", "title"], ["item_id", "title"]),
    (["a", "b"], ["user_id"], [""]), ([], ["user_id"], [""]),
])
def test_columns_are_guessed_by_their_usual_names(header, wanted, found):
    assert list(csv_source.guess(header, wanted).values()) == found


def test_a_mapping_is_what_is_given_and_the_rest_guessed(tmp_path):
    file = tmp_path / "goods.csv"
    file.write_text("code,asin,name,genres\n1,A,x,y\n")
    found = csv_source.mapping(file, csv_source.ITEM_COLUMNS, {"item_id": "code", "categories": ""}, "say which")
    assert found == {"item_id": "code", "title": "name", "categories": ""}


@pytest.mark.parametrize(("header", "given", "words"), [
    ("asin,text", {}, "line 1: it is not clear which column is the title; the header has 'asin', 'text'; say which"),
    ("asin,name", {"item_id": ""}, "not clear which column is the item_id"),
    ("asin,name", {"title": "label"}, "column 'label': the column is missing; the header has 'asin', 'name'"),
    ("", {}, "empty"),
])
def test_what_is_unclear_is_said_with_the_files_columns(tmp_path, header, given, words):
    file = tmp_path / "goods.csv"
    file.write_text(header + "\n" * bool(header))
    with pytest.raises(BadFile, match=words):
        csv_source.mapping(file, csv_source.ITEM_COLUMNS, given, "say which")


@given(st.lists(st.text(max_size=12), max_size=8))
def test_a_guess_is_a_column_of_the_header_or_none(header):
    assert set(csv_source.guess(header, ["item_id", "title", "user_id", "time"]).values()) <= {*header, ""}
