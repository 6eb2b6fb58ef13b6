"""The shipped adapters on the real model: what a visitor gets."""

import pytest

from molorec import explaining
from molorec.catalog.movielens import NAME
from molorec.mixture import adapters, export
from tests import embedded

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def engine():
    return embedded.engine()


@pytest.fixture(scope="module")
def example(engine):
    return engine.catalog.examples(NAME, "quick", limit=1)[0]


def test_movielens_has_the_people_and_films_that_everything_stands_on(engine):
    info = engine.catalog.domain(NAME)
    assert (info.users, info.items, info.events) == (6040, 3416, 999_611)
    assert "The Matrix" not in {item.title for item in engine.catalog.items(NAME)}
    assert engine.catalog.item(NAME, "Matrix, The (1999)").title == "Matrix, The (1999)"
    assert engine.catalog.example(NAME, engine.catalog.users(NAME, "quick", limit=1)[0]).user.isdigit()


def test_both_adapters_ship_and_lam_changes_the_ranking(engine, example):
    mixture = engine.mixture(NAME)
    assert [adapter.card.role for adapter in mixture.adapters] == ["general", "specific"]
    assert not mixture.problems
    rankings = [engine.rank(example, lam).probabilities() for lam in (0.0, 0.5, 1.0)]
    for i in range(3):
        for j in range(i):
            assert max(abs(a - b) for a, b in zip(rankings[i], rankings[j], strict=True)) > 0.01


def test_exported_sum_gives_the_live_answer(engine, example, tmp_path):
    mixture = engine.mixture(NAME)
    folder = export.export(list(mixture.adapters), mixture.stack, 0.3, "sum", tmp_path / "mixed", engine.base.name)
    reloaded = adapters.stack([adapters.read(folder, engine.base.shapes, engine.base.sha256)]).to(engine.base.dtype).eval()
    packed = engine.pack(mixture, example)
    live = engine.log_probabilities(mixture, [(packed, 0.3)], "sum")[0].exp()
    import torch

    from molorec.ranking.scorer import log_probabilities

    with torch.inference_mode(), reloaded.at([1.0]):
        again = log_probabilities(engine.base.model, [packed])[0].exp()
    assert float((live - again).abs().max()) <= 0.02


def test_a_list_ranked_with_others_gets_what_it_gets_alone(engine):
    """In bfloat16 too, where the order of a sum shows: no probability moves by more than .02, nor a clear order turns."""
    mixture = engine.mixture(NAME)
    asked = [(engine.pack(mixture, example), 0.3) for example in engine.catalog.examples(NAME, "quick", limit=4)]
    for packed, together in zip(asked, engine.log_probabilities(mixture, asked, "sum"), strict=True):
        alone, together = engine.log_probabilities(mixture, [packed], "sum")[0].exp(), together.exp()
        assert float((alone - together).abs().max()) <= 0.02
        above = alone[:, None] - alone[None] > 0.02
        assert bool((together[:, None] > together[None])[above].all())


def test_a_reason_names_only_titles_of_the_history(engine, example):
    top = engine.rank(example, 0.5).items[0].item
    measured = list(explaining.evidence(engine, example, top, 0.5))
    *_, last = explaining.explain(engine, example, top, measured, 0.5)
    assert last.done and last.because
    assert {piece.item for piece in last.because} <= set(example.history)
    assert all(piece.item.title in last.text for piece in last.because)
