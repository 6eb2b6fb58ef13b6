"""What is to be measured: at which λ, and what is refused before anything is ranked."""

import shutil

import pytest

from molorec.errors import BadInput
from molorec.evaluation.choosing import tuned_lam
from molorec.evaluation.plan import make_plan


def test_the_people_that_lam_is_tuned_on_are_never_evaluated(engine):
    with pytest.raises(BadInput, match="tune"):
        make_plan(engine, "toybox", split="tune")
    with pytest.raises(BadInput, match="validation lists are those that checkpoints were chosen on"):
        make_plan(engine, "toybox", setting="validation")


@pytest.mark.parametrize("changes", [
    {"limit": 0}, {"systems": ["median"]}, {"split": "half"}, {"split": "full"}, {"setting": "cold"},
])
def test_what_is_not_there_is_refused(engine, changes):
    with pytest.raises(BadInput):
        make_plan(engine, "toybox", **{"limit": 2, "lam": 0.5, **changes})


def test_what_one_adapter_cannot_give_is_refused(engine, adapter_folder):
    shutil.rmtree(adapter_folder / "toybox")
    for changes, words in (({"systems": ["specific", "half"]}, "specific, half cannot be measured"),
                           ({"lam": 0.3}, "mixes nothing")):
        with pytest.raises(BadInput, match=words):
            make_plan(engine, "toybox", limit=2, **changes)


def test_a_lam_for_mixed_is_not_ignored_where_mixed_is_not_asked_for(engine):
    with pytest.raises(BadInput, match="without 'mixed'"):
        make_plan(engine, "toybox", limit=2, systems=["half"], lam=0.3)


def test_an_oracle_of_one_user_is_refused(engine):
    with pytest.raises(BadInput, match="2 users or more"):
        make_plan(engine, "toybox", limit=1, systems=["oracle"])


def test_mixed_is_at_the_lam_of_tuning(engine):
    assert make_plan(engine, "toybox", limit=1, systems=["mixed"]).lams == {"mixed": tuned_lam(engine, "toybox")}


def test_contrast_is_at_the_lam_of_tuning_by_contrast(engine, monkeypatch):
    asked = []
    monkeypatch.setattr("molorec.evaluation.plan.tuned_lam", lambda *given: asked.append(given[2:5]) or 0.4)
    found = make_plan(engine, "toybox", limit=2, systems=["half", "contrast"], setting="warm")
    assert found.lams == {"half": 0.5, "contrast": 0.4} and asked == [("sum", "warm", "contrast")]
    assert make_plan(engine, "toybox", limit=2, systems=["contrast"], lams={"contrast": 0.2}).lams == {"contrast": 0.2}


def test_shuffling_is_refused_where_no_prompt_holds_the_list(engine):
    with pytest.raises(BadInput, match="'open' has no list in its prompt"):
        make_plan(engine, "toybox", limit=2, systems=["half"], shuffles=2)
    with pytest.raises(BadInput, match="0 orders"):
        make_plan(engine, "toybox", limit=2, systems=["half"], shuffles=0)
