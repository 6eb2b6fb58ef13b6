"""One exported adapter does what the live mixture does."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec.errors import BadInput, MolorecError
from molorec.mixture import adapters, export
from molorec.mixture.lam import Lam, to_saved
from molorec.mixture.layer import Mixing
from molorec.mixture.rule import RULES
from tests.conftest import card_for, random_adapter

TOKENS = torch.arange(5, 25)[None]


def logits(base, stack, lam, rule="sum"):
    with torch.no_grad(), stack.at(lam, rule):
        return base.model(input_ids=TOKENS).logits


def pair(base, ranks=(4, 4), alphas=(8.0, 8.0)):
    cards = (card_for(base, "general", "general"), card_for(base, "specific", "toybox", tuned_lam=to_saved(0.3)))
    return [random_adapter(base.shapes, rank, alpha, seed, card=card)
            for seed, (rank, alpha, card) in enumerate(zip(ranks, alphas, cards, strict=True), start=1)]


def reloaded(base, sources, lam, rule, tmp_path):
    folder = export.export(sources, adapters.stack(sources), lam, rule, tmp_path / "merged", base.name)
    return adapters.read(folder, base.shapes, base.sha256, base.prompter.fingerprint())


def assert_same(one, other):
    assert ((one - other).abs().max() / other.abs().max()).item() <= 1e-5


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_the_export_is_the_live_mixture(base, tmp_path, rule, lam):
    sources = pair(base)
    merged = reloaded(base, sources, lam, rule, tmp_path)
    assert merged.rank == (8 if rule == "sum" else 4)
    assert merged.scale == (1 if rule == "sum" else 2)
    live = logits(base, adapters.stack(sources).eval(), lam, rule)
    assert_same(logits(base, adapters.stack([merged]).eval(), 1.0), live)


def grouped(base, granularity, adapters=2, seed=0):
    """A random λ of the pico base's layers or modules."""
    groups = adapters_stack(base, adapters).groups(granularity)
    raw = torch.rand(len(groups), adapters, generator=torch.Generator().manual_seed(seed))
    return Lam.of(granularity, groups, raw / raw.sum(-1, keepdim=True))


def adapters_stack(base, count):
    return adapters.stack([random_adapter(base.shapes, seed=seed) for seed in range(1, count + 1)]).eval()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("granularity", ["layer", "module"])
@pytest.mark.parametrize("count", [2, 3])
def test_an_export_at_a_lam_of_each_layer_is_the_live_mixture(base, rule, granularity, count):
    stack, lam = adapters_stack(base, count), grouped(base, granularity, count)
    merged = export.merge(stack, lam, rule)
    assert merged.rank == (4 * count if rule == "sum" else 4)
    assert_same(logits(base, adapters.stack([merged]).eval(), 1.0), logits(base, stack, lam, rule))


def test_the_card_says_that_each_layer_has_a_lam_of_its_own(base, tmp_path):
    lam = Lam("layer", {"0": [0.2, 0.8], "1": [0.4, 0.6]})
    merged = reloaded(base, pair(base), lam, "sum", tmp_path)
    assert merged.card.data["mixed from"] == "general × 0.3, toybox × 0.7"
    assert "each of 2 layers" in merged.card.data["λ"]


@pytest.mark.parametrize(("rule", "ranks", "alphas"), [
    ("sum", (4, 2), (8.0, 16.0)), ("peft_linear", (4, 4), (8.0, 2.0)),
])
def test_unequal_adapters_are_exported_exactly(base, tmp_path, rule, ranks, alphas):
    sources = pair(base, ranks, alphas)
    merged = reloaded(base, sources, 0.4, rule, tmp_path)
    live = logits(base, adapters.stack(sources).eval(), 0.4, rule)
    assert_same(logits(base, adapters.stack([merged]).eval(), 1.0), live)


@pytest.mark.parametrize("rule", RULES)
def test_what_an_export_adds_is_what_the_live_mixture_adds(base, rule):
    stack = adapters.stack(pair(base)).eval()
    live = Mixing(stack, 0.3, rule, "global")
    assert export.difference(export.merge(stack, 0.3, rule), live) < export.TOLERANCE
    assert export.difference(export.merge(stack, 0.31, rule), live) > 100 * export.TOLERANCE
    nothing = adapters.stack([adapters.new(base.shapes, 4)] * 2)
    assert export.difference(export.merge(nothing, 0.3, rule), Mixing(nothing, 0.3, rule, "global")) == 0


@pytest.mark.parametrize("rank", [None, 3])
def test_an_export_that_reads_back_otherwise_is_not_called_done(base, tmp_path, monkeypatch, rank):
    def damaged(tensors, path, metadata):
        name = next(iter(tensors))
        written({**tensors, name: tensors[name] * 1.01}, path, metadata)

    written, sources = adapters.write_tensors, pair(base)
    monkeypatch.setattr(adapters, "write_tensors", damaged)
    with pytest.raises(MolorecError, match="is not the live mixture: what it adds differs by 0.00"):
        export.export(sources, adapters.stack(sources), 0.3, "sum", tmp_path / "merged", base.name, rank)


def test_product_refuses_unequal_scales(base):
    with pytest.raises(BadInput, match="one scale"):
        export.merge(adapters.stack(pair(base, alphas=(8.0, 2.0))), 0.4, "product")


def test_an_export_has_one_lam(base):
    with pytest.raises(BadInput, match="one λ"):
        export.merge(adapters.stack(pair(base)), [[0.5, 0.5], [0.1, 0.9]], "sum")
    with pytest.raises(BadInput, match="one λ"):
        export.merge(adapters.stack(pair(base)), [grouped(base, "layer"), [0.1, 0.9]], "sum")


@pytest.mark.parametrize("rule", RULES)
def test_a_lam_just_beyond_an_end_exports_finite_weights(base, rule):
    merged = export.merge(adapters.stack(pair(base)), 1.00005, rule)
    assert all(bool(t.isfinite().all()) for factors in merged.factors.values() for t in factors)


def test_the_card_says_what_was_mixed_and_keeps_no_lam(base, tmp_path):
    merged = reloaded(base, pair(base), 0.25, "sum", tmp_path)
    assert merged.card.data["mixed from"] == "general × 0.25, toybox × 0.75"
    assert "rule 'sum'" in merged.card.objective
    assert merged.card.tuned_lam is None  # it was tuned for the pair
    text = (tmp_path / "merged" / "README.md").read_text()
    assert "rank 4" not in text and "rank 16" not in text  # of the merged adapter, the rank is 8
    assert merged.card.role == "merged" and "0 steps" not in text and "molorec rank" not in text and "PeftModel" in text


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rank=st.integers(1, 8), lam=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_truncated_export_is_the_nearest_and_says_how_near(base, rank, lam):
    exact = export.merge(adapters.stack(pair(base)), lam, "sum")
    made, error = export.truncate(exact, rank)
    lost = whole = 0.0
    for path, (a, b) in exact.factors.items():
        change, (a_r, b_r) = exact.scale * (b @ a).double(), made.factors[path]
        assert a_r.shape == (rank, a.shape[1]) and b_r.shape == (b.shape[0], rank)
        values = torch.linalg.svdvals(change)  # Eckart and Young: no matrix of the rank is nearer
        assert float((change - made.scale * (b_r @ a_r)).norm()) == pytest.approx(float(values[rank:].norm()), abs=1e-5)
        lost += float(values[rank:].square().sum())
        whole += float(values.square().sum())
    assert error == pytest.approx((lost / whole) ** 0.5, abs=1e-4)


@pytest.mark.parametrize("rank", [0, -1, 9])
def test_a_rank_that_is_not_possible_is_refused(base, rank):
    with pytest.raises(BadInput, match="give 1 to 8"):
        export.truncate(export.merge(adapters.stack(pair(base)), 0.5, "sum"), rank)


def test_nothing_to_truncate_is_no_error(base):
    nothing = adapters.new(base.shapes, 4)
    assert export.truncate(nothing, 2)[1] == 0.0


def test_the_card_of_a_truncated_export_names_its_error(base, tmp_path):
    sources = pair(base)
    folder = export.export(sources, adapters.stack(sources), 0.5, "sum", tmp_path / "small", base.name, rank=3)
    made = adapters.read(folder, base.shapes)
    assert (made.rank, made.scale) == (3, 1) and 0 < made.card.data["truncation error"] < 1


def test_an_export_that_is_not_the_mixture_leaves_the_one_before(base, tmp_path, monkeypatch):
    sources = pair(base)
    folder = export.export(sources, adapters.stack(sources), 0.5, "sum", tmp_path / "mixed", base.name)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(export, "difference", lambda *_: 1.0)
    with pytest.raises(MolorecError, match="not the live mixture"):
        export.export(sources, adapters.stack(sources), 0.2, "sum", folder, base.name)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["mixed"]


def test_whoever_may_read_an_exports_settings_may_read_its_weights(base, tmp_path):
    sources = pair(base)
    folder = export.export(sources, adapters.stack(sources), 0.5, "sum", tmp_path / "mixed", base.name)
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1


def test_a_base_in_4_bits_takes_no_mixture_into_its_weights(base, tmp_path, monkeypatch):
    monkeypatch.setattr("molorec.precision.is_packed", lambda folder: True)
    with pytest.raises(BadInput, match="holds 4-bit weights"):
        export.export_dense(adapters.stack(pair(base)), 0.5, "sum", tmp_path / "packed", tmp_path / "dense")
    assert not list(tmp_path.iterdir())
