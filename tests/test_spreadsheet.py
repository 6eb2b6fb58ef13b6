"""A spreadsheet gets the text as it is, and runs none of it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molorec import spreadsheet


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\0=1"])
def test_a_formula_gets_a_quote(text):
    assert spreadsheet.cell(text) == "'" + text


@pytest.mark.parametrize("value", [-0.5, 3, None, "Amber Song (1950)", ""])
def test_anything_else_stays(value):
    assert spreadsheet.cell(value) == value


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: "\0" not in text), min_size=1))
def test_a_csv_reader_gets_what_was_written(cells):
    text = spreadsheet.csv_text(["a"] * len(cells), [cells])
    assert text[0] == "\ufeff"
    head, row = csv.reader(io.StringIO(text[1:], newline=""))
    assert row == [spreadsheet.cell(cell) for cell in cells]
