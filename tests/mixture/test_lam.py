"""A λ of any granularity: checked when it is made, the same after it was saved, and refused where it does not belong."""

import json
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molorec.errors import BadFile, BadInput
from molorec.mixture import lam as lams
from molorec.mixture.lam import Lam, from_json, from_saved, rounded, to_json, to_saved


@st.composite
def vectors(draw, adapters):
    raw = draw(st.lists(st.integers(0, 1000), min_size=adapters, max_size=adapters).filter(any))
    return [value / sum(raw) for value in raw]


@st.composite
def any_lam(draw):
    adapters = draw(st.integers(1, 4))
    granularity = draw(st.sampled_from(lams.GRANULARITIES))
    groups = ["all"] if granularity == "global" else draw(
        st.lists(st.sampled_from([str(i) for i in range(30)]), min_size=1, max_size=6, unique=True))
    return Lam.of(granularity, groups, torch.tensor([draw(vectors(adapters)) for _ in groups], dtype=torch.float64))


@given(any_lam())
@settings(max_examples=50)
def test_what_is_saved_is_what_comes_back(lam):
    saved = json.loads(json.dumps(to_saved(lam)))
    again = from_saved(saved)
    if lam.granularity == "global" and lam.adapters == 2:
        assert again == lam.weights[0][1][0]
    else:
        assert again == lam and hash(again) == hash(lam)
    assert from_json(json.loads(json.dumps(to_json(again)))) == again
    assert pickle.loads(pickle.dumps(lam)) == lam


@given(st.integers(1, 5).flatmap(vectors))
def test_rounded_weights_stay_weights(weights):
    found = rounded(weights)
    assert sum(found) == pytest.approx(1, abs=1e-9) and all(0 <= value <= 1 for value in found)
    assert max(abs(a - b) for a, b in zip(found, weights, strict=True)) <= 1.01e-4


def test_the_order_of_groups_does_not_matter():
    one, other = Lam("layer", {"10": [1, 0], "2": [0.5, 0.5]}), Lam("layer", {"2": [0.5, 0.5], "10": [1.0, 0.0]})
    assert one == other and {one: 1}[other] == 1 and [group for group, _ in one.weights] == ["2", "10"]
    assert one != Lam("module", {"2": [0.5, 0.5], "10": [1.0, 0.0]})


@pytest.mark.parametrize(("granularity", "weights", "said"), [
    ("head", {"0": [1, 0]}, "no granularity 'head'"), ("layer", {}, "no weights"),
    ("layer", {"0": [0.5, 0.6]}, "0: .*sum to"), ("layer", {"0": [-0.5, 1.5]}, "outside 0 to 1"),
    ("layer", {"0": [float("nan"), 1]}, "finite"), ("layer", {"0": ["a", "b"]}, "needs the adapters' weights"),
    ("global", {"all": [[0.5, 0.5], [0.5, 0.5]]}, "needs the adapters' weights"),
    ("layer", {"0": 0.5}, "needs the adapters' weights"), ("layer", {"0": []}, "needs the adapters' weights"),
    ("layer", {"0": [1, 0], "1": [1]}, "1 and 2 adapters"), ("global", {"0": [1, 0]}, "called 'all'"),
    ("global", {"all": [1, 0], "0": [1, 0]}, "called 'all'"), ("layer", (("0", [1, 0]), ("0", [0, 1])), "twice"),
])
def test_what_is_no_lam_is_refused(granularity, weights, said):
    with pytest.raises(BadInput, match=said):
        Lam(granularity, weights)


def test_a_group_may_be_called_by_more_digits_than_a_number_has():
    assert len(Lam("layer", {"9" * 5_000: [1, 0], "1": [0, 1]}).weights) == 2


@pytest.mark.parametrize("saved", [None, [], "global", {}, {"granularity": "global"}, {"weights": {"all": [1, 0]}},
                                   {"granularity": 1, "weights": {"all": [1, 0]}}, {"granularity": "layer", "weights": [1, 0]}])
def test_what_is_not_saved_so_is_refused(saved):
    with pytest.raises(BadInput, match="no saved λ"):
        from_saved(saved)


@pytest.mark.parametrize("value", [True, "0.5", 1.5, float("nan"), [0.5, 0.5]])
def test_a_document_holds_a_number_or_a_saved_lam(value):
    with pytest.raises(BadInput, match="λ"):
        from_json(value)


@pytest.mark.parametrize("content", [
    {"lam": 0.25}, {"granularity": "global", "weights": {"all": [0.25, 0.75]}},
    {"schema": 1, "lam": {"granularity": "global", "weights": {"all": [0.25, 0.75]}}},
])
def test_a_file_of_a_tuning_or_of_a_lam_is_read(tmp_path, content):
    (tmp_path / "lam.json").write_text(json.dumps(content))
    assert lams.read(tmp_path / "lam.json") == (0.25, {})


@pytest.mark.parametrize(("text", "said"), [
    ("{", "cannot be read"), ("[]", "no saved λ"), ('{"lam": 2}', "outside 0 to 1"), ('{"lam": null}', "no saved λ"),
    ("[" * 10**5, "cannot be read")])
def test_a_file_without_a_lam_is_named(tmp_path, text, said):
    (tmp_path / "lam.json").write_text(text)
    with pytest.raises(BadFile, match="lam.json.*" + said):
        lams.read(tmp_path / "lam.json")
    with pytest.raises(BadFile, match="none.json.*cannot be read"):
        lams.read(tmp_path / "none.json")
