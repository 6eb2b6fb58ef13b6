"""What labels have said of half and half."""

import pytest

from molorec import config
from molorec.evaluation import half, rows
from molorec.evaluation.half import Measured
from molorec.evaluation.metrics import Interval
from molorec.evaluation.protocol import evaluate

SYSTEMS = ("general", "specific", "half")


def adapters_of(engine):
    return {adapter.name: adapter.sha256 for adapter in engine.mixture("toybox").adapters}


def test_it_is_read_off_the_rows_of_these_adapters_with_the_most_people(engine):
    assert half.measured("toybox", "sum", adapters_of(engine)) == []
    for limit in (12, 4):  # the last one is not the largest
        made = evaluate(engine, "toybox", limit=limit, systems=SYSTEMS)
        for result in made.systems:
            rows.save(result.rows)
        if limit == 12:
            largest = {result.name: result.rows for result in made.systems}
    found, = half.measured("toybox", "sum", adapters_of(engine))
    assert (found.setting, found.n) == ("warm", 12)
    assert found.over == {name: rows.compare(largest["half"], largest[name])[0] for name in ("general", "specific")}
    assert half.measured("toybox", "product", adapters_of(engine)) == []
    assert half.measured("toybox", "sum", {**adapters_of(engine), "toybox": "0" * 64}) == []


def test_a_damaged_file_is_left_out(engine):
    for result in evaluate(engine, "toybox", limit=4, systems=SYSTEMS).systems:
        rows.save(result.rows)
    next((config.home() / "evaluations" / "rows").glob("*/*/half.json")).write_text("{")
    assert half.measured("toybox", "sum", adapters_of(engine)) == []


@pytest.mark.parametrize(("general", "specific", "helps", "below"), [
    ((0.1, 0.2), (0.01, 0.2), True, ()), ((0.1, 0.2), (-0.01, 0.2), False, ()),
    ((0.1, 0.2), (-0.2, -0.1), False, ("specific",)), ((-0.2, -0.1), (-0.2, -0.1), False, ("general", "specific")),
])
def test_it_helps_where_it_is_surely_above_both(general, specific, helps, below):
    over = {name: Interval(sum(ends) / 2, *ends) for name, ends in (("general", general), ("specific", specific))}
    made = Measured("warm", 9, over)
    assert (made.helps, made.surely_below) == (helps, below)
