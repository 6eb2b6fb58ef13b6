"""A link opens the view that it was made of, and nothing that stands in one does any harm."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec.catalog import prepare
from molorec.errors import BadInput
from molorec.mixture.rule import RULES
from molorec.ui import link
from molorec.ui.session import View
from tests.conftest import source_data

FIELDS = ("domain", "user", "lam", "rule", "scenario", "history", "candidates")
keep_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def opened(engine, query, owner=""):
    return link.view_of_query(engine, dict(parse_qsl(urlsplit(query).query, keep_blank_values=True)), owner)


@pytest.fixture
def hostile(engine):
    """A domain whose ids and users hold everything that a link has a meaning for."""
    source = source_data(users=60)
    odd = ["a|b", "\\", "\\|", "&lam=9#?", "ü %7C", "=1+1", "'\";", "-x"]
    names = {item_id: (odd[i] if i < len(odd) else item_id) for i, item_id in enumerate(source.titles)}
    source.titles = {names[item_id]: title for item_id, title in source.titles.items()}
    source.events = [(f"|{user}&", names[item_id], time) for user, item_id, time in source.events]
    engine.catalog.add_domain(prepare("hostile", source))
    return engine


@keep_fixtures
@given(data=st.data())
def test_a_link_opens_the_view_it_was_made_of(hostile, data):
    ids = [item.item_id for item in hostile.catalog.items("hostile")]
    lam, rule = data.draw(st.floats(0, 1)), data.draw(st.sampled_from(list(RULES)))
    if data.draw(st.booleans()):
        lists = [tuple(data.draw(st.lists(st.sampled_from(ids), max_size=30, unique=True))) for _ in range(2)]
        view = View("hostile", "", lam, rule, "built", *lists)
    else:
        view = View("hostile", data.draw(st.sampled_from(hostile.catalog.users("hostile"))), lam, rule, "warm")
    assert opened(hostile, link.query_of(view)) == (view, [])


@keep_fixtures
@given(params=st.dictionaries(st.sampled_from(FIELDS), st.one_of(
    st.text(), st.text("|\\i0123456789", max_size=30),
    st.sampled_from(["built", "new-item", "toybox", "nan", "0.3", "\ud800", "\0"]))))
def test_no_query_raises(engine, params):
    view, notices = link.view_of_query(engine, params)
    assert view.domain == "toybox" and 0 <= view.lam <= 1 and view.rule in RULES
    assert all(isinstance(notice, str) for notice in notices)


@pytest.mark.parametrize("lam", ["9", "nan", "abc", "-1", "inf", "", "1e999"])
def test_a_wrong_lam_is_the_default_and_a_notice(engine, lam):
    view, notices = link.view_of_query(engine, {"lam": lam})
    assert view.lam == 0.5 and len(notices) == 1 and f"'{lam}'" in notices[0]


@pytest.mark.parametrize("field", ["domain", "user", "rule", "scenario"])
def test_what_is_not_there_is_the_default_and_a_notice(engine, field):
    default = link.view_of_query(engine, {})
    view, notices = link.view_of_query(engine, {field: "<b>nobody</b>"})
    assert (view, []) == default and len(notices) == 1 and field in notices[0] and "<b>nobody</b>" in notices[0]


def test_no_query_is_the_default_without_a_notice(engine):
    assert link.view_of_query(engine, {}) == (View("toybox", engine.catalog.users("toybox", "quick")[0]), [])


def test_unknown_ids_are_left_out_with_a_notice(engine):
    view, notices = opened(engine, "?scenario=built&history=i1|none&candidates=i2|i3|i2|no|nor|neither|never")
    assert view.history == ("i1",) and view.candidates == ("i2", "i3")
    assert len(notices) == 2 and "'none'" in notices[0] and "4 title(s)" in notices[1]


def test_a_scenario_in_which_nobody_has_a_list_is_warm(engine):
    assert not engine.catalog.users("toybox", None, "new-item")
    view, notices = link.view_of_query(engine, {"user": "u1", "scenario": "new-item"})
    assert view.scenario == "warm" and engine.catalog.example("toybox", view.user) and "'new-item'" in notices[0]


def test_another_visitors_domain_is_one_that_is_not_there(engine):
    engine.catalog.add_domain(prepare("secret", source_data(seed=3)), owner="ann")
    assert opened(engine, "?domain=secret", "ann")[0].domain == "secret"
    for owner in ("", "bob"):
        view, notices = opened(engine, "?domain=secret", owner)
        assert view.domain == "toybox" and "'secret', which is not here" in notices[0]


def test_a_list_that_is_too_long_for_a_link_is_refused():
    with pytest.raises(BadInput, match="8,000"):
        link.query_of(View("toybox", scenario="built", candidates=tuple(f"a-rather-long-id-{i}" for i in range(400))))


def test_a_catalogue_without_domains_opens_as_nothing(engine):
    engine.catalog.remove_domain("toybox")
    view, notices = link.view_of_query(engine, {"domain": "toybox", "user": "u1", "scenario": "built"})
    assert view.domain == "" and len(notices) == 1


def test_a_link_to_a_known_domain_opens_it_though_its_data_is_not_here(engine):
    query = link.query_of(View("amazon14_beauty", "u1", 0.2, "product", "new-item"))
    assert opened(engine, query) == (View("amazon14_beauty", "", 0.2, "product", "warm"), [])
    view, notices = opened(engine, "?domain=amazon14_books")
    assert view.domain == "toybox" and "amazon14_books" in notices[0]
