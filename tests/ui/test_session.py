"""What the screen's events do, without a screen."""

import shutil
from dataclasses import replace

import pytest

from molorec.errors import BadInput, NoData
from molorec.journal import Journal
from molorec.mixture.card import update_card
from molorec.mixture.lam import Lam, to_saved
from molorec.ui import session
from molorec.ui.session import Job, Latest, Shown, View


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def view(engine):
    return View(domain="toybox", user=engine.catalog.users("toybox", "quick")[0])


@pytest.mark.parametrize(("lam", "number"), [(0, 0), (1, 1), (0.25, 0.25), ("0.5", 0.5)])
def test_a_number_from_0_to_1_is_a_lam(lam, number):
    assert session.valid_lam(lam) == number


@pytest.mark.parametrize("lam", [9, -0.5, float("nan"), "nan", "inf", "abc", "", None, True, False])
def test_anything_else_is_refused(lam):
    with pytest.raises(BadInput, match="λ"):
        session.valid_lam(lam)


def ranks_of(ranking):
    return {ranked.item.item_id: ranked.rank for ranked in ranking.items}


def rank(engine, view):
    return engine.rank(session.example_of(engine, view), view.lam, view.rule)


def test_the_first_ranking_has_nothing_to_compare_with(engine, view):
    ranking = rank(engine, view)
    assert Shown().then(view, ranking) == Shown(view, ranks_of(ranking), {})


def test_a_change_of_lam_remembers_the_ranks_before_it(engine, view):
    views = [replace(view, lam=0.0), replace(view, lam=1.0)]
    first, second = (rank(engine, view) for view in views)
    shown = Shown().then(views[0], first).then(views[1], second)
    assert shown.before == ranks_of(first) != shown.ranks == ranks_of(second)
    assert shown.then(views[1], second).before == ranks_of(first)  # the same once more: the movement stays on screen


def test_a_slider_that_is_dragged_moves_titles_from_where_they_stood_before_it(engine, view):
    views = [replace(view, lam=lam) for lam in (0.0, 0.9, 1.0, 0.0)]
    rankings = [rank(engine, view) for view in views]
    shown = Shown().then(views[0], rankings[0], 1_000.0)
    for other, ranking, at in zip(views[1:3], rankings[1:3], (60_000.0, 60_300.0), strict=True):
        shown = shown.then(other, ranking, at)
    assert shown.before == ranks_of(rankings[0]) and shown.ranks == ranks_of(rankings[2])
    assert shown.then(views[3], rankings[3], 65_000.0).before == ranks_of(rankings[2])  # another gesture


def test_another_user_starts_afresh(engine, view):
    other = replace(view, user=engine.catalog.users("toybox", "quick")[1])
    assert Shown().then(view, rank(engine, view)).then(other, rank(engine, other)).before == {}


@pytest.mark.parametrize("times, latest", [
    ([1, 2, 3], [True, True, True]), ([2, 1, 3], [True, False, True]), ([3, None, 3], [True, False, True]),
    ([None, None], [True, True]), ([float("nan"), 1.0, "x"], [True, True, False])])
def test_what_the_browser_sent_last_counts_whatever_arrives_last(times, latest):
    events = Latest()
    assert [events.is_latest(time) for time in times] == latest


def test_a_job_is_wanted_until_it_is_stopped_or_another_starts():
    job = Job()
    first = job.start()
    assert job.wants(first)
    second = job.start()
    assert job.wants(second) and not job.wants(first)
    job.stop("enough")
    assert not job.wants(second) and job.why == "enough"


@pytest.mark.parametrize("user", ["nobody", "", "  ", None, "<img src=x>"])
def test_an_unknown_user_is_refused(engine, user):
    with pytest.raises(BadInput, match="user"):
        session.example_of(engine, View(domain="toybox", user=user))


def test_spaces_around_a_user_id_do_not_matter(engine, view):
    found = session.view_of("toybox", "warm", f" {view.user} ", [], [], 0.5, "sum")
    assert session.example_of(engine, found).user == view.user


def test_a_built_view_is_the_visitors_own_lists(engine):
    items = engine.catalog.items("toybox")
    history, candidates = session.as_value(items[:3]), session.as_value(items[5:9])
    found = session.view_of("toybox", "built", "ignored", history, candidates, "0.25", "sum")
    example = session.example_of(engine, found)
    assert (example.history, example.candidates, example.target, example.user) == (items[:3], items[5:9], None, "")
    assert len(rank(engine, found).items) == 4


@pytest.mark.parametrize(("history", "candidates", "words"), [
    ([], [{"id": "i1"}, {"id": "i2"}], "history is empty"), ([{"id": "i1"}], [{"id": "i2"}], "fewer than two"),
    ([{"id": "nothing"}], [{"id": "i1"}, {"id": "i2"}], "no item 'nothing'"), ("i1", [], "not a list"),
    ([{"id": 7}], [], "not a list"), ([["i1"]], [], "not a list"), ([{"id": "i1"}] * 301, [], "too many"),
    ([{"id": "i1"}], [{"id": "i2"}, {"id": "i2"}], "twice"),
])
def test_lists_that_make_no_sense_are_refused(engine, history, candidates, words):
    with pytest.raises(BadInput, match=words):
        rank(engine, session.view_of("toybox", "built", "", history, candidates, 0.5, "sum"))


def test_auto_prefers_what_this_visitor_tuned_to_what_is_kept(engine, journal, adapter_folder):
    with pytest.raises(BadInput, match="Auto-tune"):
        session.auto_lam(engine, journal, "toybox", "sum", {})
    update_card(adapter_folder / "toybox", tuned_lam=to_saved(0.7))
    engine.forget("toybox")
    assert session.auto_lam(engine, journal, "toybox", "sum", {}) == pytest.approx(0.7)
    journal.keep_lam("toybox", "sum", engine.mixture("toybox").key, 0.25)
    assert session.auto_lam(engine, journal, "toybox", "sum", {}) == 0.25
    assert session.auto_lam(engine, journal, "toybox", "sum", {("toybox", "sum"): 0.0}) == 0.0
    damaged = journal.path.with_name("damaged.db")  # as good as an empty one
    damaged.write_bytes(b"not a database" * 100)
    assert session.auto_lam(engine, Journal(damaged), "toybox", "sum", {}) == pytest.approx(0.7)
    shutil.rmtree(adapter_folder / "toybox")
    engine.forget("toybox")
    with pytest.raises(BadInput):
        session.auto_lam(engine, journal, "toybox", "sum", {})


def test_a_lam_of_each_layer_is_nothing_that_a_slider_can_show(engine, journal, adapter_folder):
    lam = Lam("layer", {"0": [0.2, 0.8], "1": [0.6, 0.4]})
    update_card(adapter_folder / "toybox", tuned_lam=to_saved(lam))
    engine.forget("toybox")
    assert engine.mixture("toybox").tuned_lam == lam
    with pytest.raises(BadInput, match=r"each of 2 layers \(0.40 on average\).*Auto-tune"):
        session.auto_lam(engine, journal, "toybox", "sum", {})


def test_a_lam_tuned_under_one_rule_is_not_offered_for_another(engine, journal, adapter_folder):
    update_card(adapter_folder / "toybox", tuned_lam=to_saved(0.7))
    engine.forget("toybox")
    with pytest.raises(BadInput, match="product"):
        session.auto_lam(engine, journal, "toybox", "product", {("toybox", "sum"): 0.2})
    assert session.auto_lam(engine, journal, "toybox", "product", {("toybox", "product"): 0.4}) == 0.4


def test_an_explanation_is_evidence_piece_by_piece_and_then_text(engine, view):
    pieces, texts = [], []
    for found, text in session.explain(engine, view):
        assert not (text is None and texts)  # all evidence comes first
        pieces.append(len(found))
        texts += [text] if text else []
    assert pieces == sorted(pieces) and pieces[0] == 1
    assert texts[-1].done


@pytest.mark.parametrize("scenario", ["warm", "new-item", "built"])
def test_a_domain_whose_data_is_not_here_is_said_before_that_nobody_is_chosen(engine, scenario):
    with pytest.raises(NoData, match="molorec domains fetch amazon14_beauty"):
        session.example_of(engine, View("amazon14_beauty", scenario=scenario))


def test_a_run_that_another_takes_the_place_of_ends_in_silence():
    job = session.Job()
    first = job.start()
    job.stop("Stopped.")
    assert job.why == "Stopped." and not job.wants(first)
    second = job.start()
    assert job.why == "" and job.wants(second)
