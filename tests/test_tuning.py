"""λ by entropy: the right minimum, without a label, and no forward pass too many."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molorec.catalog import Item, RankingExample
from molorec.descent import descend
from molorec.entropy import Meter
from molorec.errors import BadInput
from molorec.tuning import GRID, LEVELS, interpolation, minimise, nodes, tune

ITEM = Item("1", "Amber Song (1950)")
COARSE = np.linspace(0, 1, 21)


def prompts(count: int) -> list[RankingExample]:
    return [RankingExample("toybox", (), (ITEM,), user=str(i)) for i in range(count)]


def each(entropy):
    """An entropy of one λ, asked for several."""
    return lambda example, lams: [entropy(example, lam) for lam in lams]


def last(steps):
    *_, step = steps
    return step


@pytest.mark.parametrize(("coarser", "finer"), itertools.pairwise(LEVELS))
def test_finer_nodes_hold_the_coarser_ones_and_the_presets(coarser, finer):
    assert set(nodes(coarser)) < set(nodes(finer))
    assert {0.0, 0.5, 1.0} <= set(nodes(coarser))


@given(st.sampled_from(LEVELS), st.lists(st.floats(-3, 3), min_size=9, max_size=9))
@settings(deadline=None, max_examples=30)
def test_interpolation_reproduces_polynomials(count, coefficients):
    polynomial = np.polynomial.Polynomial(coefficients[:count])
    np.testing.assert_allclose(interpolation(count) @ polynomial(nodes(count)), polynomial(GRID), atol=1e-8)


CURVES = {
    "a bowl": lambda lam: 1 + (lam - 0.62) ** 2,
    "least at 0": lambda lam: 2 + 0.4 * lam,
    "least at 1": lambda lam: 2 - 0.4 * lam**3,
    "two minima, the right one lower": lambda lam: 2 + 20 * (lam - 0.15) ** 2 * (lam - 0.85) ** 2 - 0.1 * lam,
    "two minima, the left one lower": lambda lam: 2 + 20 * (lam - 0.15) ** 2 * (lam - 0.85) ** 2 + 0.1 * lam,
    "degree 8": lambda lam: 2 + (2 * lam - 1) ** 8 + 0.3 * (2 * lam - 1) ** 3,
    "no polynomial": lambda lam: 2 - np.exp(-8 * (lam - 0.3) ** 2),
    "flat": lambda lam: 1.5,
}


@pytest.mark.parametrize("name", CURVES)
def test_the_minimum_of_a_known_curve_is_found(name):
    curve = CURVES[name]
    step = last(minimise(each(lambda _, lam: float(curve(lam))), prompts(10)))
    values = [curve(lam) for lam in COARSE]
    assert abs(step.lam - COARSE[int(np.argmin(values))]) <= 0.03 or curve(step.lam) <= min(values) + 0.005
    assert step.entropy == pytest.approx(curve(step.lam), abs=0.01)
    assert step.entropy_start == pytest.approx(curve(0.5), abs=0.01)


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=5))
@settings(deadline=None, max_examples=25)
def test_the_minimum_of_any_smooth_curve_is_found(coefficients):
    curve = np.polynomial.Polynomial(coefficients)
    step = last(minimise(each(lambda _, lam: float(curve(lam))), prompts(3)))
    assert curve(step.lam) <= min(curve(COARSE)) + 0.005


@pytest.mark.parametrize(("name", "words"), [
    ("least at 0", "specific adapter alone"), ("least at 1", "general adapter alone"), ("a bowl", "mixture of both"),
])
def test_a_minimum_at_an_end_is_not_called_a_mixture(name, words):
    assert words in last(minimise(each(lambda _, lam: float(CURVES[name](lam))), prompts(5))).verdict


def test_labelled_and_missing_prompts_are_refused():
    labelled = RankingExample("toybox", (), (ITEM,), target=ITEM)
    with pytest.raises(BadInput, match="unlabelled"):
        next(minimise(each(lambda *_: 1.0), [*prompts(3), labelled]))
    assert next(minimise(each(lambda *_: 1.0), [labelled.unlabelled()])).total == 1
    with pytest.raises(BadInput, match="no prompts"):
        next(minimise(each(lambda *_: 1.0), []))


def noisy(spread: float):
    """An entropy whose minimum differs from prompt to prompt."""
    places = np.random.default_rng(3).normal(0.5, spread, 200).clip(0, 1)
    return lambda example, lam: 1 + float((lam - places[int(example.user)]) ** 2)


def test_the_band_narrows_as_prompts_arrive():
    steps = list(minimise(each(noisy(0.3)), prompts(100), batch=10))
    few = next(step for step in steps if step.prompts == 10)
    many = steps[-1]
    assert many.prompts > few.prompts
    assert (many.high - many.low).mean() < 0.7 * (few.high - few.low).mean()
    assert many.lam_high - many.lam_low < few.lam_high - few.lam_low
    for step in steps:
        assert (step.low <= step.mean + 1e-9).all() and (step.mean <= step.high + 1e-9).all()


def test_tuning_ends_early_once_it_has_settled():
    steps = list(minimise(each(noisy(0.02)), prompts(200)))
    assert [step.settled for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].prompts < 100


def test_without_agreement_all_prompts_are_used():
    steps = list(minimise(each(noisy(0.4)), prompts(23)))
    assert steps[-1].settled and steps[-1].prompts == steps[-1].total == 23


def test_no_forward_is_made_twice_and_all_are_counted():
    calls = []

    def entropy(example, lam):
        calls.append((example.user, lam))
        return CURVES["degree 8"](lam)

    step = last(minimise(each(entropy), prompts(12)))
    assert len(calls) == len(set(calls)) == step.forwards == 12 * LEVELS[-1]


def test_a_simple_curve_needs_no_finest_nodes():
    assert last(minimise(each(lambda _, lam: CURVES["a bowl"](lam)), prompts(12))).forwards == 12 * LEVELS[1]


def test_closing_the_iterator_stops_all_further_forwards():
    calls = []
    steps = minimise(each(lambda example, lam: calls.append(lam) or 1.0), prompts(50))
    next(steps)
    made = len(calls)
    steps.close()
    assert len(calls) == made < 50
    assert next(steps, None) is None


def test_whoever_listens_can_stop_after_every_prompt():
    calls, before = [], 0
    for _ in minimise(each(lambda example, lam: calls.append(lam) or CURVES["degree 8"](lam)), prompts(12)):
        assert len(calls) - before <= LEVELS[-1]
        before = len(calls)


def test_the_result_is_the_same_every_time():
    one, other = (last(minimise(each(noisy(0.3)), prompts(30))) for _ in range(2))
    assert (one.lam, one.lam_low, one.lam_high) == (other.lam, other.lam_low, other.lam_high)


@pytest.mark.parametrize(("noise", "decided"), [(0.01, True), (30.0, False)])
def test_by_contrast_lam_goes_to_an_end_only_where_the_prompts_agree(noise, decided):
    slopes = 0.3 + noise * np.random.default_rng(0).standard_normal(40)

    def entropies(example, lams):
        return [slopes[int(example.user)] * lam - 0.4 for lam in lams]

    step = last(minimise(entropies, prompts(40), objective="contrast"))
    assert step.lam == 0 if decided else 0.1 < step.lam < 0.9
    assert step.entropy == pytest.approx(np.interp(step.lam, step.grid, step.mean))
    assert ("contrast prefers the specific" if decided else "do not tell") in step.verdict
    by_entropy = last(minimise(entropies, prompts(40)))
    assert by_entropy.lam in (0, 1) and "adapter alone" in by_entropy.verdict  # the mean curve's own minimum, however unsure


def test_contrast_is_tuned_by_the_same_search(engine):
    examples = engine.catalog.examples("toybox", "tune", limit=6)
    step = last(tune(engine, "toybox", prompts=6, objective="contrast"))
    meter = Meter(engine, "toybox", objective="contrast", prompts=examples)
    for lam, value in step.curve:
        assert value == pytest.approx(meter.mean(examples, lam), abs=1e-4)
    with pytest.raises(BadInput, match="different histories"):
        tune(engine, "toybox", prompts=1, objective="contrast")


def test_a_domain_is_tuned_to_the_least_entropy_of_the_engine(engine):
    step = last(tune(engine, "toybox", prompts=12))
    examples = engine.catalog.examples("toybox", "tune", limit=12)
    values = [np.mean([engine.rank(example, lam).entropy for example in examples]) for lam in COARSE]
    at_best = np.mean([engine.rank(example, step.lam).entropy for example in examples])
    assert step.total == 12
    assert abs(step.lam - COARSE[int(np.argmin(values))]) <= 0.03 or at_best <= min(values) + 0.005


def test_the_papers_objective_is_tuned_by_the_same_search(engine):
    step = last(tune(engine, "toybox", prompts=3, objective="tokens", tokens=2))
    meter, examples = Meter(engine, "toybox", objective="tokens", tokens=2), engine.catalog.examples("toybox", "tune", limit=3)
    for lam, entropy in step.curve:
        assert entropy == pytest.approx(meter.mean(examples, lam), abs=1e-4)
    assert step.entropy <= min(entropy for _, entropy in step.curve) + 1e-6


@pytest.mark.parametrize("setting", ["warm-popular", "warm-category", "validation", "nonsense"])
def test_lists_that_say_something_of_their_truth_are_not_tuned_on(engine, setting):
    for tuner in (tune, descend):
        with pytest.raises(BadInput, match=f"settings warm and new-item, not '{setting}'"):
            tuner(engine, "toybox", setting=setting)


def test_one_adapter_and_no_prompts_are_refused(engine, adapter_folder):
    with pytest.raises(BadInput, match="too few"):
        tune(engine, "toybox", prompts=0)
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    engine.forget("toybox")
    with pytest.raises(BadInput, match="one adapter only"):
        tune(engine, "toybox")
