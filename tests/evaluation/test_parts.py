"""Parts put together are the whole, wherever and however often they were stopped."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from molorec import backbone, config
from molorec.engine import Engine
from molorec.errors import BadFile, BadInput, MolorecError
from molorec.evaluation import parts, protocol, rows, runs, table
from molorec.evaluation.plan import make_plan
from molorec.mixture.lam import Lam
from tests.conftest import pico_model, pico_tokenizer, toybox_adapters, toybox_catalog

LIMIT = 7
FACTS = rows.facts("molorec evaluate")


@pytest.fixture
def plan(engine):
    return make_plan(engine, "toybox", limit=LIMIT, lam=0.4)


def whole(engine):
    return tabled(engine, *measured(engine))


def measured(engine):
    planned = make_plan(engine, "toybox", limit=LIMIT, lam=0.4)
    return planned, list(protocol.measure(engine, planned, engine.catalog.users("toybox", "quick", limit=LIMIT)))


def tabled(engine, planned, answers):
    return table.of(protocol.rows_of(planned, answers, FACTS))


def measure(engine, plan, folder, part, count, **named):
    return parts.measure_part(engine, plan, part, count, folder, **named)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_parts_together_are_the_whole(engine, plan, tmp_path, count):
    for part in range(count, 0, -1):
        measure(engine, plan, tmp_path, part, count)
    assert asdict(tabled(engine, *parts.together(tmp_path))) == asdict(whole(engine))


def test_parts_of_an_oracle_are_chosen_from_together(engine, tmp_path):
    planned = make_plan(engine, "toybox", limit=LIMIT, systems=["half", "oracle"])
    for part in (1, 2):
        measure(engine, planned, tmp_path, part, 2)
    together, alone = parts.together(tmp_path), protocol.evaluate(engine, "toybox", limit=LIMIT, systems=["half", "oracle"])
    assert tabled(engine, *together).system("oracle").ranks == alone.system("oracle").ranks


def test_a_lam_of_each_layer_is_evaluated_in_parts_too(engine, tmp_path):
    lam = Lam("layer", {"0": [1, 0], "1": [0.25, 0.75]})
    planned = make_plan(engine, "toybox", limit=3, lam=lam)
    path = parts.measure_part(engine, planned, 1, 1, tmp_path)
    assert parts.read(path)[0] == planned
    together = tabled(engine, *parts.together(tmp_path))
    assert together.system("chosen").lam == lam
    whole = protocol.evaluate(engine, "toybox", limit=3, lam=lam)
    assert together.system("chosen").ranks == whole.system("chosen").ranks
    kept = runs.read(runs.save(runs.record(together)))
    assert kept.system("chosen").lam == lam and kept.system("half").lam == 0.5


def test_lam_is_tuned_once_for_all_parts(engine, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("molorec.evaluation.plan.tuned_lam", lambda *_: asked.append(1) or len(asked) / 4)

    def planned(**changes):
        given = {"setting": "warm", "rule": "sum", **changes}
        known = parts.tuned(engine, tmp_path, "toybox", **given)
        return make_plan(engine, "toybox", limit=LIMIT, systems=["mixed", "contrast"], tuned=known, **given)

    first = planned()
    assert len(asked) == 2
    parts.measure_part(engine, first, 1, 2, tmp_path)
    parts.measure_part(engine, planned(), 2, 2, tmp_path)
    assert len(asked) == 2 and tabled(engine, *parts.together(tmp_path)).system("contrast").lam == first.lams["contrast"]
    assert planned(rule="product").lams != first.lams and len(asked) == 4  # what was tuned for another rule is of no use


def test_many_at_once_are_the_same_in_the_same_order(engine, plan):
    users = engine.catalog.users("toybox", "quick", limit=LIMIT)
    alone = list(protocol.measure(engine, plan, users))
    engine._cache.clear()
    together = list(protocol.measure(engine, plan, users, at_once=3))
    for one, other in zip(alone, together, strict=True):
        assert (one.user, one.position) == (other.user, other.position)
        for name, (rank, probability, first) in one.systems.items():
            assert other.systems[name] == (rank, pytest.approx(probability, abs=1e-4), first)


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_part_that_was_stopped_goes_on_where_it_is(engine, plan, tmp_path, cut, monkeypatch):
    path = measure(engine, plan, tmp_path, 1, 1)
    text = path.read_text()
    path.write_text(text[:-cut])  # in the middle of a line, as a killed process leaves it
    answered = len(parts.read(path)[1])
    asked = []
    monkeypatch.setattr(parts, "measure", lambda engine, plan, users, at_once: asked.extend(users) or protocol.measure(
        engine, plan, users, at_once))
    measure(engine, plan, tmp_path, 1, 1)
    assert len(asked) == LIMIT - answered > 0
    assert path.read_text() == text
    measure(engine, plan, tmp_path, 1, 1)
    assert len(asked) == LIMIT - answered  # nothing is done twice


def test_an_evaluation_with_users_missing_is_refused(engine, plan, tmp_path):
    with pytest.raises(BadInput, match="holds no parts"):
        parts.together(tmp_path)
    measure(engine, plan, tmp_path, 1, 2)
    with pytest.raises(BadInput, match="3 of 7 users are missing"):
        parts.together(tmp_path)


@pytest.mark.parametrize("change", [{"lams": {"chosen": 0.5}}, {"base": "another"}, {"adapters": "others"}, {"rule": "product"},
                                    {"lists_sha256": "0" * 64}, {"n": 8}, {"backend": "VLLM"}, {"limit": 8}])
def test_what_was_measured_otherwise_is_not_put_together(engine, plan, tmp_path, change):
    measure(engine, plan, tmp_path, 1, 2)
    other = measure(engine, plan, tmp_path, 2, 2)
    head, *lines = other.read_text().splitlines(keepends=True)
    other.write_text(json.dumps({**json.loads(head), **change}) + "\n" + "".join(lines))
    for act in (lambda: parts.together(tmp_path), lambda: measure(engine, plan, tmp_path, 2, 2)):
        with pytest.raises(BadInput, match=f"its {next(iter(change))} is"):
            act()


def test_two_answers_for_one_user_are_refused(engine, plan, tmp_path):
    path = measure(engine, plan, tmp_path, 1, 1)
    found, answers = parts.read(path)
    changed = replace(answers[0], systems={**answers[0].systems, "base": protocol.Placed(30, 0.001, 0)})
    (tmp_path / "part-2-of-2.jsonl").write_text(path.read_text().splitlines()[0] + "\n" + parts._line(changed))
    with pytest.raises(BadFile, match="otherwise than another part"):
        parts.together(tmp_path)


@pytest.mark.parametrize("text", ["", "x", "{}", '{"schema": 1}\n', '{"schema": 2, "domain": "toybox"}\n', "[]\n"])
def test_a_file_that_is_no_part_is_refused(tmp_path, text):
    path = tmp_path / "part-1-of-1.jsonl"
    path.write_text(text)
    with pytest.raises(BadFile, match="measure it anew"):
        parts.read(path)


@pytest.mark.parametrize(("part", "count"), [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_there_is_not_is_refused(engine, plan, tmp_path, part, count):
    with pytest.raises(BadInput, match="there is no part"):
        measure(engine, plan, tmp_path, part, count)


def test_a_full_disk_keeps_what_was_measured(engine, plan, tmp_path, monkeypatch):
    measured = protocol.measure

    def filling(*arguments):
        for count, answer in enumerate(measured(*arguments)):
            if count == 3:
                raise OSError(28, "No space left on device")
            yield answer

    monkeypatch.setattr(parts, "measure", filling)
    with pytest.raises(MolorecError, match="goes on from where it is"):
        measure(engine, plan, tmp_path, 1, 1)
    assert len(parts.read(tmp_path / "part-1-of-1.jsonl")[1]) == 3


def test_two_processes_give_what_one_gives(tmp_path, monkeypatch):
    """Two programs on this machine, as they would be on two, and the command that puts their parts together."""
    home, folder = tmp_path / "home", tmp_path / "pico"
    monkeypatch.setenv("MOLOREC_HOME", str(home))
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    base = backbone.load(folder, precision="float32")
    home.mkdir()
    engine = Engine(base, toybox_catalog(home / "catalog.db"), [toybox_adapters(base, tmp_path / "adapters")])
    common = [sys.executable, "-m", "molorec", "evaluate", "--domain", "toybox", "--base", str(folder), "--precision",
              "float32", "--adapters", str(tmp_path / "adapters"), "--limit", "6", "--lam", "0.4", "--json",
              "--parts", str(tmp_path / "parts")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([*common, "--part", f"{part}/2"], cwd=config.PACKAGE.parent, env=one_thread) for part in (1, 2)]
    assert [process.wait(120) for process in running] == [0, 0]
    together = tabled(engine, *parts.together(tmp_path / "parts"))
    alone = protocol.evaluate(engine, "toybox", limit=6, lam=0.4)
    for ours, theirs in zip(together.systems, alone.systems, strict=True):
        assert (ours.name, ours.ranks, ours.low, ours.high) == (theirs.name, theirs.ranks, theirs.low, theirs.high)
        assert ours.rows.probabilities == pytest.approx(theirs.rows.probabilities, abs=1e-4)
    printed = json.loads(subprocess.run(common, cwd=config.PACKAGE.parent, capture_output=True, check=True, timeout=120).stdout)
    assert [s["ndcg@1"] for s in printed["systems"]] == [s.ndcg(1) for s in alone.systems]
    otherwise = subprocess.run([*common, "--lam", "0.5", "--rule", "product"], cwd=config.PACKAGE.parent, capture_output=True,
                               text=True, timeout=120)
    assert otherwise.returncode == 2 and "measured with another --rule, --lam" in otherwise.stderr
