"""Kept evaluations: what is written is what was measured, and no file can break the reading."""

import json
import os
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molorec.errors import BadFile, MolorecError
from molorec.evaluation import rows, runs, table
from molorec.evaluation.metrics import bootstrap_interval, hit_rate, ndcg
from molorec.evaluation.protocol import evaluate
from molorec.hashing import file_sha256

USERS = 6
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def evaluation(engine, monkeypatch):
    monkeypatch.setattr("molorec.evaluation.plan.tuned_lam", lambda *_: 0.3)
    return evaluate(engine, "toybox", limit=USERS)


@pytest.fixture
def run(engine, evaluation):
    for result in evaluation.systems:
        result.rows.made_with["date"] = MOMENT.isoformat()
    return runs.record(evaluation)


@pytest.fixture
def content(run, tmp_path):
    return json.loads(runs.save(run, tmp_path / "made").read_text())


def test_a_run_holds_what_the_evaluation_measured(engine, evaluation, run):
    assert (run.n, run.limit, run.lists_sha256, run.verdict) == (USERS, USERS, evaluation.lists_sha256, evaluation.verdict)
    assert run.adapters == {adapter.name: adapter.sha256 for adapter in engine.mixture("toybox").adapters}
    assert run.base_sha256 == engine.base.sha256 and all(len(sha256) == 64 for sha256 in run.adapters.values())
    popularity = evaluation.system("popularity").ranks
    for system in run.systems:
        ranks = evaluation.system(system.name).ranks
        for metric, gains in (("ndcg@1", lambda r: ndcg(r, 1)), ("ndcg@3", lambda r: ndcg(r, 3)),
                              ("hr@3", lambda r: hit_rate(r, 3))):
            score = system.scores[metric]
            assert (score.mean, score.low, score.high) == (gains(ranks).mean(), *bootstrap_interval(gains(ranks)))
            if system.name != "popularity":
                difference = gains(ranks) - gains(popularity)
                found = system.against_popularity[metric]
                assert (found.mean, found.low, found.high) == (difference.mean(), *bootstrap_interval(difference))
    assert run.system("popularity").against_popularity == {} and run.system("mixed").lam == 0.3


def test_a_run_of_a_few_shot_adapter_says_so(engine, monkeypatch):
    engine.mixture("toybox").adapters[1].card.share = 0.1
    monkeypatch.setattr("molorec.evaluation.plan.tuned_lam", lambda *_: 0.3)
    run = runs.record(evaluate(engine, "toybox", limit=USERS))
    assert run.share == 0.1 and runs.read(runs.save(run)) == run


def test_rows_that_were_kept_give_the_run_again(evaluation, run, tmp_path):
    for result in evaluation.systems:
        rows.save(result.rows, tmp_path)
    kept = {each.system: each for each in rows.load(tmp_path)[0]}
    assert runs.record(table.of([kept[system.name] for system in run.systems])) == run
    baseline = replace(kept["mixed"], system="SASRec", lam=None, made_with=rows.facts("python train_baseline.py"))
    found = runs.record(table.of([kept["popularity"], baseline, kept["half"]]))
    assert [system.name for system in found.systems] == ["popularity", "SASRec", "half"]
    assert found.system("SASRec").scores == run.system("mixed").scores and found.adapters == run.adapters
    assert runs.read(runs.save(found, tmp_path)) == found


def test_a_run_without_a_model_is_kept(engine):
    run = runs.record(evaluate(engine, "toybox", limit=2, systems=["popularity"]))
    assert (run.base, run.adapters) == (runs.NONE, {}) and runs.read(runs.save(run)) == run


def test_what_is_saved_is_read_again_and_keeps_no_title(engine, run):
    path = runs.save(run)
    assert path.parent == runs.folder() and runs.read(path) == run
    text = path.read_text()
    assert not any(item.title in text for item in engine.catalog.items("toybox"))
    assert list(path.parent.iterdir()) == [path]  # nothing half-written is left


def test_a_run_never_replaces_another(run):
    first, second = runs.save(run), runs.save(run)
    assert first != second and runs.read(first) == runs.read(second)


def test_a_failed_write_leaves_nothing(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MolorecError, match="no space left"):
        runs.save(run, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_the_latest_comes_first_and_damage_is_named(run):
    runs.save(run)
    runs.save(type(run)(**{**vars(run), "date": "2027-01-01T00:00:00+00:00"}))
    (runs.folder() / "broken.json").write_text("{")
    (runs.folder() / "deep.json").write_text("[" * 100_000)
    (runs.folder() / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (runs.folder() / "folder.json").mkdir()
    (runs.folder() / "large.json").write_text(" " * (2**20 + 1))
    found, problems = runs.load()
    assert [each.date for each in found if each.domain == "toybox"] == ["2027-01-01T00:00:00+00:00", run.date]
    assert sorted(problem.split(":")[0] for problem in problems) == [
        "broken.json", "bytes.json", "deep.json", "folder.json", "large.json"]


@pytest.mark.parametrize(("field", "value"), [
    ("schema", 99), ("domain", 7), ("domain", ""), ("n", 0), ("n", True), ("n", "3"), ("limit", -1), ("date", "yesterday"),
    ("date", "2026-01-01T00:00:00"), ("moves", 2), ("moves", float("nan")), ("systems", []), ("systems", None),
    ("systems", [{}]), ("systems", ["x"]), ("adapters", []), ("adapters", {"general": 1}), ("verdict", None),
])
def test_a_field_that_makes_no_sense_is_refused(content, tmp_path, field, value):
    (tmp_path / "run.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(BadFile, match="run.json"):
        runs.read(tmp_path / "run.json")


@pytest.mark.parametrize("score", [None, [], [0.1, 0.2], [0.1, 0.0, float("inf")], [2, 0, 3], ["a", "b", "c"],
                                   [True, False, True]])
def test_a_score_that_is_none_is_refused(content, tmp_path, score):
    content["systems"][1]["scores"]["ndcg@1"] = score
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(BadFile, match="run.json"):
        runs.read(tmp_path / "run.json")


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                     max_leaves=8)


@settings(max_examples=80, deadline=None)
@given(value=_JSON, field=st.sampled_from([field for field in runs.Run.__dataclass_fields__]))
def test_no_content_is_more_than_a_reason(tmp_path_factory, value, field):
    whole = json.loads((runs.SHIPPED / "movielens-1m-warm-quick.json").read_text())
    file = tmp_path_factory.mktemp("any") / "run.json"
    file.write_text(json.dumps({**whole, field: value}))
    try:
        assert runs.read(file).systems
    except BadFile as error:
        assert "run.json" in str(error)


def test_the_shipped_run_is_of_the_shipped_adapters():
    run = runs.read(runs.SHIPPED / "movielens-1m-warm-quick.json")
    for name in ("general", "movielens-1m"):
        folder = runs.SHIPPED.parent / "adapters" / "embedded" / name
        card = json.loads((folder / "molorec.json").read_text())
        assert run.adapters[name] == file_sha256(folder / "adapter_model.safetensors")
        assert (run.base_sha256, run.lists_sha256) == (card["base_sha256"], card["scores"]["lists_sha256"])
        assert run.system(card["role"]).scores["ndcg@1"].mean == pytest.approx(card["scores"]["ndcg@1"], abs=5e-5)


def test_the_file_is_the_dataclass_and_nothing_else(run, content):
    assert set(content) == {"schema", *asdict(run)}


def test_the_shipped_run_holds_shares_of_its_people_unrounded():
    run = runs.read(runs.SHIPPED / "movielens-1m-warm-quick.json")
    first = [system.scores[metric].mean for system in run.systems for metric in ("ndcg@1", "hr@3")]
    for share in (run.moves, *first):
        assert share * run.n == pytest.approx(round(share * run.n), abs=1e-9)
