"""Amazon's reviews and metadata: read, or refused with file and line."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec.catalog import amazon, files, prepare
from molorec.config import LIMITS
from molorec.errors import BadFile, BadInput
from tests.published_files import write

REVIEW = {"reviewerID": "A1", "asin": "B01", "overall": 5.0, "unixReviewTime": 1300000000}
META = {"asin": "B01", "title": "Soap", "categories": [["Beauty", "Bath"]]}


def review(**changes):
    return json.dumps({**REVIEW, **changes}) + "\n"


def meta(**changes):
    return repr({**META, **changes}) + "\n"


def read(folder, reviews=None, metadata=None, ends=".json"):
    reviews, metadata = review() if reviews is None else reviews, meta() if metadata is None else metadata
    return amazon.read(write(folder / f"reviews_X_5{ends}", reviews), write(folder / f"meta_X{ends}", metadata))


@pytest.mark.parametrize("ends", [".json", ".json.gz"])
def test_what_was_reviewed_is_taken_in_the_order_of_the_file(tmp_path, ends):
    source = read(tmp_path, review() + "\n" + review(asin="B02", unixReviewTime=12),
                  meta(asin="B02", title="It's \"x\"\n") + meta() + meta(asin="B03", title="nobody's"), ends)
    assert list(source.events) == [("A1", "B01", 1300000000.0), ("A1", "B02", 12.0)]
    assert source.titles == {"B02": "It's \"x\"\n", "B01": "Soap"} and source.notes == []
    assert source.categories["B01"] == ("Beauty", "Bath")


def test_lines_of_what_nobody_reviewed_are_not_taken_apart(tmp_path):
    assert read(tmp_path, metadata="{'asin': 'B09', 'title': nan, oops\n" + meta()).titles == {"B01": "Soap"}
    with pytest.raises(BadFile, match="neither JSON nor a Python dict") as caught:
        read(tmp_path, metadata=meta() + "{'asin': 'B01', 'title': nan}\n")
    assert caught.value.line == 2 and caught.value.file.endswith("meta_X.json")


@pytest.mark.parametrize("title", [None, 3.5, "", "nan", "var aPageStart = (new Date()).getTime();", "x" * 2001])
def test_what_is_no_title_leaves_its_product_out(tmp_path, title):
    source = read(tmp_path, review() + review(asin="B02"), meta(asin="B02", title="Comb &amp; brush") + meta(title=title))
    made = prepare("d", source, k=1)
    assert made.titles == ["Comb & brush"] and made.notes[0] == "1 items without a title left out"


def test_a_product_that_stands_there_twice_takes_its_first_title(tmp_path):
    again = meta() + meta(title="Other") + meta(asin="B02", title=None) + meta(asin="B02", title="Comb")
    source = read(tmp_path, review() + review(asin="B02") + review(asin="B03"), again)
    assert source.titles == {"B01": "Soap", "B02": "Comb"}
    assert source.notes == ["1 reviewed products without metadata left out",
                            "2 further metadata records of the same product left out"]


@pytest.mark.parametrize("form", [json.dumps, repr])
def test_halves_of_characters_reach_no_file(tmp_path, form):
    metadata = form({**META, "title": "a\ud800b", "categories": ["\udfff", None, 3, ["x"]]}).replace("\ud800", "\\ud800")
    source = read(tmp_path, metadata=metadata.replace("\udfff", "\\udfff"))
    assert source.titles == {"B01": "a?b"} and source.categories == {"B01": ("?", "x")}


@pytest.mark.parametrize(("reviews", "metadata", "file", "line", "column", "words"), [
    ("", meta(), "reviews_X_5.json", None, None, "no reviews"),
    (review() + "[1]\n", meta(), "reviews_X_5.json", 2, None, "no record in braces but list"),
    (review() + "oops\n", meta(), "reviews_X_5.json", 2, None, "neither JSON nor a Python dict"),
    ("{}\n", meta(), "reviews_X_5.json", 1, "reviewerID", "lacks this field; it has none"),
    (meta(), meta(), "reviews_X_5.json", 1, "reviewerID", "lacks this field; it has 'asin', 'title'"),
    (review(asin=7), meta(), "reviews_X_5.json", 1, "asin", "no plain text but 7"),
    (review(asin="\ud800"), meta(), "reviews_X_5.json", 1, "asin", "no plain text"),
    (review(reviewerID=" "), meta(), "reviews_X_5.json", 1, "reviewerID", "empty"),
    (review(reviewerID="x" * 3000), meta(), "reviews_X_5.json", 1, "reviewerID", "3000 characters"),
    (review(unixReviewTime="soon"), meta(), "reviews_X_5.json", 1, "unixReviewTime", "'soon' is not a number"),
    (review(unixReviewTime=True), meta(), "reviews_X_5.json", 1, "unixReviewTime", "not a number"),
    (review(unixReviewTime=10**400), meta(), "reviews_X_5.json", 1, "unixReviewTime", "is too large"),
    (review(unixReviewTime=float("nan")), meta(), "reviews_X_5.json", 1, "unixReviewTime", "not a number"),
    (b"\xff\n", meta(), "reviews_X_5.json", 1, None, "UTF-8"),
    (review() + "\0\n", meta(), "reviews_X_5.json", 2, None, "NUL"),
    (review() + "x" * 2**20 + "x", meta(), "reviews_X_5.json", 2, None, "longer than 1 MiB"),
    (review(), "", "meta_X.json", None, None, "none of the products of reviews_X_5.json"),
    (review(), meta(asin="B02"), "meta_X.json", None, None, "belong together"),
    (review(), meta() + "{'title': 'x'}\n", "meta_X.json", 2, "asin", "lacks this field"),
])
def test_bad_files_are_named_with_line_and_field(tmp_path, reviews, metadata, file, line, column, words):
    with pytest.raises(BadFile, match=words) as caught:
        read(tmp_path, reviews, metadata)
    assert caught.value.file.endswith(file) and (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["[" * 50_000, "-" * 100_000 + "1", "1" + "+1" * 100_000, "{'a':" * 50_000, "9" * 10_000,
                                  "__import__('os')", "{'asin': open('x')}", "{[]: 1}", "{**{}}", "x" + ".a" * 100_000])
def test_no_line_is_run_or_brings_python_down(tmp_path, text):
    with pytest.raises(BadFile) as caught:
        read(tmp_path, metadata=meta() + text)
    assert caught.value.line == 2


def test_files_beyond_the_limits_are_refused(tmp_path, monkeypatch):
    for limit, words in ({"source_bytes": 50}, "larger than 50 bytes"), ({"source_rows": 1}, "more than 1 lines"):
        monkeypatch.setattr(files, "LIMITS", replace(LIMITS, **limit))
        with pytest.raises(BadFile, match=words):
            read(tmp_path, review() * 2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text("{}[]'\":,\\ asintle1B0\n", max_size=80).map(str.encode), st.booleans(),
       st.sampled_from([".json", ".json.gz"]))
def test_any_bytes_are_read_or_refused(tmp_path, content, as_reviews, ends):
    try:
        source = read(tmp_path, review() + content.decode("latin-1") if as_reviews else review(),
                      meta() if as_reviews else meta().encode() + content, ends)
    except BadFile:
        return
    assert source.titles and len(source.events)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["asin", "title", "categories", "category", "reviewerID", "unixReviewTime"]),
                       st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("B01"),
                                    lambda inner: st.lists(inner, max_size=3))), st.booleans())
def test_any_record_is_read_and_prepared_or_refused(tmp_path, record, as_review):
    line = json.dumps(record) + "\n"
    try:
        source = read(tmp_path, review() + line if as_review else review(), meta() if as_review else meta(title="") + line)
        made = prepare("d", source, k=1)
    except BadInput:
        return
    assert all(title.encode() for title in made.titles) and all(user.encode() for user in made.users)
