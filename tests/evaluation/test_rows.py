"""Stored rows: what is written is read again, what cannot be is refused in words, and pairs are of the same people."""

import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molorec.errors import BadFile, BadInput, MolorecError
from molorec.evaluation import rows
from molorec.evaluation.metrics import bootstrap_interval, ndcg
from molorec.evaluation.rows import SystemRows
from tests.conftest import system_rows


def test_what_is_saved_is_read_again_to_six_digits():
    path = rows.save(system_rows())
    assert path == rows.folder() / "toybox" / "warm-quick" / "mixed.json"
    assert rows.load() == ([replace(system_rows(), made_with=rows.read(path).made_with, probabilities=(0.5, 0.0, 0.333333))], [])
    assert os.listdir(path.parent) == ["mixed.json"]  # nothing half-written is left


def test_numpy_arrays_are_taken(tmp_path):
    arrays = {name: np.array(getattr(system_rows(), name)) for name in ("users", "ranks", "probabilities", "positions", "firsts")}
    facts = system_rows().made_with
    assert system_rows(made_with=facts, **arrays) == system_rows(made_with=facts)


def test_each_field_stands_on_a_line_of_its_own(tmp_path):
    lines = rows.save(system_rows(), tmp_path).read_text().splitlines()
    assert len(lines) == len(asdict(system_rows())) + 3
    assert '"ranks":[1,30,2],' in lines and '"probabilities":[0.5,0.0,0.333333],' in lines


def test_the_latest_rows_of_a_system_stand_and_those_of_a_few_users_stand_beside_them(tmp_path):
    rows.save(system_rows(), tmp_path)
    rows.save(system_rows(ranks=(3, 3, 3)), tmp_path)
    rows.save(system_rows(limit=3), tmp_path)
    found, problems = rows.load(tmp_path)
    assert [(each.limit, each.ranks) for each in found] == [(None, (3, 3, 3)), (3, (1, 30, 2))] and problems == []


def test_rows_of_a_few_shot_adapter_stand_apart(tmp_path):
    few = system_rows(limit=3, made_with={**system_rows().made_with, "share": 0.1})
    assert rows.save(few, tmp_path).parent.name == few.test == "warm-quick-few-10-first-3"
    assert rows.load(tmp_path)[0][0].share == 0.1 and system_rows().share == 1


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = rows.save(system_rows(), tmp_path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MolorecError, match="no space left"):
        rows.save(system_rows(ranks=(2, 2, 2)), tmp_path)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["mixed.json"]


@pytest.mark.parametrize("changes", [
    {"system": ""}, {"system": "../up"}, {"system": 3}, {"domain": "a/b"}, {"split": "tune"}, {"setting": "cold"},
    {"lists_sha256": "short"}, {"limit": 0}, {"limit": 2}, {"limit": True}, {"users": ()}, {"users": (100, 103)},
    {"users": (103, 100, 104)}, {"users": (100, 100, 104)}, {"users": (99, 103, 104)}, {"users": (100, 103, 1100)},
    {"users": (100.0, 103, 104)}, {"ranks": (0, 1, 1)}, {"ranks": (31, 1, 1)}, {"ranks": (True, 1, 1)}, {"ranks": (1, 1)},
    {"probabilities": (0.5, float("nan"), 0.1)}, {"probabilities": (1.1, 0, 0)}, {"probabilities": ("1", 0, 0)},
    {"positions": (30, 0, 0)}, {"positions": (-1, 0, 0)}, {"firsts": (1,)}, {"made_with": {}}, {"made_with": None},
    {"made_with": {"command": "x", "date": "2026-01-01"}}, {"made_with": {"command": "x", "date": "today"}},
    {"made_with": {"command": "x", "date": "2026-01-01T00:00:00+00:00", "share": 0}},
    {"made_with": {"command": "x", "date": "2026-01-01T00:00:00+00:00", "share": "10%"}},
    {"lam": 0.5}, {"lam": {}}, {"lam": {"granularity": "user", "weights": {"all": [1.0]}}},
    {"lam": {"granularity": "global", "weights": {"all": [0.5, 0.6]}}},
    {"lam": {"granularity": "layer", "weights": {"0": [-0.5, 1.5]}}}, {"lam": {"granularity": "layer", "weights": {"0": "x"}}},
    {"made_with": {"command": "x" * 2**20, "date": "2026-01-01T00:00:00+00:00"}},
])
def test_what_makes_no_sense_is_refused_when_made_and_when_read(tmp_path, changes):
    with pytest.raises((ValueError, TypeError)):
        system_rows(**changes)
    path = rows.save(system_rows(), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(BadFile, match="toybox/warm-quick/mixed.json"):
        rows.read(path)


def test_damage_is_named_and_the_rest_is_read(tmp_path):
    place = rows.save(system_rows(), tmp_path).parent
    for name, content in (("broken", b"{"), ("deep", b"[" * 100_000), ("bytes", b"\xff\xfe\x00"), ("list", b"[]"),
                          ("old", b'{"schema": 0}'), ("more", b'{"schema": 1, "titles": []}'),
                          ("other", (place / "mixed.json").read_bytes())):
        (place / f"{name}.json").write_bytes(content)
    (place / "folder.json").mkdir()
    with open(place / "large.json", "wb") as stream:
        stream.truncate(rows._MOST_BYTES + 1)
    found, problems = rows.load(tmp_path)
    assert [each.system for each in found] == ["mixed"]
    assert sorted(problem.split(".json")[0].rpartition("/")[2] for problem in problems) == [
        "broken", "bytes", "deep", "folder", "large", "list", "more", "old", "other"]
    assert any("holds the rows of toybox/warm-quick/mixed.json" in problem for problem in problems)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                     max_leaves=8)


@settings(max_examples=80, deadline=None)
@given(value=_JSON, field=st.sampled_from(list(SystemRows.__dataclass_fields__)))
def test_no_content_is_more_than_a_reason(tmp_path_factory, value, field):
    path = rows.save(system_rows(), tmp_path_factory.mktemp("any"))
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    try:
        assert rows.read(path).n == 3
    except BadFile as error:
        assert "mixed.json" in str(error)


def test_a_comparison_is_of_the_users_that_both_have():
    one = system_rows(users=(100, 103, 104, 110), ranks=(1, 2, 1, 1), probabilities=(0,) * 4, positions=(0,) * 4, firsts=())
    other = system_rows("half", users=(103, 104, 105), ranks=(1, 3, 1))
    gains = np.array([ndcg([2], 3)[0] - 1, 1 - ndcg([3], 3)[0]])  # of users 103 and 104
    assert rows.difference(one, other, "ndcg@3").tolist() == gains.tolist()
    found, n = rows.compare(one, other, "ndcg@3")
    assert n == 2 and (found.mean, found.low, found.high) == (gains.mean(), *bootstrap_interval(gains))
    assert rows.difference(other, one, "ndcg@3").tolist() == (-gains).tolist()


@pytest.mark.parametrize(("changes", "words"), [
    ({"lists_sha256": "cd" * 32}, "lists_sha256"), ({"setting": "new-item"}, "setting"), ({"domain": "zoo"}, "domain"),
    ({"users": (201, 202, 203)}, "no user in common")])
def test_what_is_not_of_the_same_lists_is_not_compared(changes, words):
    with pytest.raises(BadInput, match=words):
        rows.compare(system_rows(), system_rows("half", **changes))
    with pytest.raises(BadInput, match="no metric 'recall'"):
        rows.compare(system_rows(), system_rows("half"), "recall")


def test_a_grouped_lam_is_kept_as_it_is(tmp_path):
    lam = {"granularity": "layer", "weights": {"layers.0": [0.2, 0.8], "layers.1": [0.6, 0.4]}}
    kept = rows.read(rows.save(system_rows("mixed-layer", lam=lam), tmp_path))
    assert kept.lam == lam
