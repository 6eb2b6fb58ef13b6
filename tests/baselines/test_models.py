"""Each baseline learns what it can, sees no future, and knows nothing of what was kept from training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from molorec.baselines.data import Lists, pad
from molorec.baselines.fmlp_rec import FmlpRec
from molorec.baselines.loop import Training, scores
from molorec.baselines.model import LOSSES, Recipe
from molorec.baselines.models import KINDS, kind
from molorec.baselines.vq_rec import quantise
from molorec.errors import BadInput

SMALL = {"dimension": 16, "length": 8, "batch": 16, "dropout": 0.0, "rate": 1e-2, "negatives": 12, "patience": 99}
NUMBERED = [name for name in KINDS if not kind(name).is_on_backbone]
ORDERED = [name for name in NUMBERED if name != "bpr-mf"]


def model(name, data, **changes):
    torch.manual_seed(0)
    chosen = kind(name)
    return chosen.model(data, replace(chosen.recipe, **SMALL, **changes))


@pytest.mark.parametrize("name", ORDERED)
def test_it_learns_which_item_follows_which(name, successors, questions, tmp_path):
    training = Training(model(name, successors, epochs=30), questions, tmp_path, k=1)
    for progress in training.run():
        if progress.best > 0.8:
            break
    assert max(training.history) > 0.8
    best = training.best_model()
    assert (best.ranks(scores(best, questions), questions.targets) == 1).mean() == max(training.history)


def test_bpr_mf_learns_who_likes_what(successors, tmp_path):
    halves = [np.arange(1, 12) if user % 2 else np.arange(12, 23) for user in range(60)]
    data = replace(successors, sequences=[np.delete(half, user % 11) for user, half in enumerate(halves)])
    others = [np.arange(12, 23) if user % 2 else np.arange(1, 12) for user in range(60)]
    candidates = np.array([np.append(half[user % 11], other)
                           for user, (half, other) in enumerate(zip(halves, others, strict=True))])
    lists = Lists(np.arange(1, 61), [np.array([], np.int64)] * 60, candidates, np.zeros(60, np.int64))
    training = Training(model("bpr-mf", data, epochs=10), lists, tmp_path, k=1)
    for progress in training.run():
        pass
    assert training.history[-1] > 0.9


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_teaches_the_rule(loss, successors, questions, tmp_path):
    training = Training(model("sasrec", successors, loss=loss, epochs=25), questions, tmp_path, k=1)
    for progress in training.run():
        if progress.best > 0.8:
            break
    assert max(training.history) > 0.8


def test_a_loss_that_is_none_is_refused(successors):
    made = model("sasrec", successors, loss="hinge")
    with pytest.raises(BadInput, match="hinge"):
        made.loss(next(made.epoch(np.random.default_rng(0))))


@pytest.mark.parametrize("name", [name for name in ORDERED if name != "fmlp-rec"])
def test_no_place_sees_a_later_item(name, successors):
    made = model(name, successors).eval()
    inputs, lengths = pad([np.array([1, 2, 3, 4, 5]), np.array([1, 2, 3, 9, 8])], 8)
    with torch.inference_mode():
        states = made.encode(F.embedding(inputs, made.table()), lengths)
    assert torch.allclose(states[0, :3], states[1, :3], atol=1e-6)
    assert not torch.allclose(states[0, 3:], states[1, 3:], atol=1e-3)


def test_what_fmlp_rec_reads_holds_no_target_and_nothing_after_it(successors):
    made = FmlpRec(successors, Recipe(**{**SMALL, "batch": 7}))
    seen = 0
    for batch in made.epoch(np.random.default_rng(0)):
        for user, row, target in zip(batch.users, batch.inputs, batch.targets, strict=True):
            walk = successors.sequences[user - 1].tolist()
            place = walk.index(int(target))
            assert row[row > 0].tolist() == walk[max(0, place - 8) : place]
            seen += 1
    assert seen == 60 * 8


def test_fmlp_rec_computes_its_last_place_alone_as_it_would_with_all(successors):
    made = model("fmlp-rec", successors).eval()
    hidden = torch.randn(3, 8, 16)
    with torch.inference_mode():
        assert torch.allclose(made.blocks[0](hidden)[:, -1:], made.blocks[0](hidden, last=True), atol=1e-5)


@pytest.mark.parametrize("name", NUMBERED)
def test_a_list_is_scored_alike_alone_and_beside_others(name, successors, questions):
    made = model(name, successors)
    together = scores(made, questions)
    assert together.shape == questions.candidates.shape
    histories = [questions.histories[0], np.arange(1, 9), np.array([], np.int64)]
    some = Lists(np.array([0, 3, 1]), histories, questions.candidates[:3], questions.targets[:3])
    assert np.allclose(scores(made, some)[0], together[0], atol=1e-5)


@pytest.mark.parametrize("name", ["bpr-mf", "gru4rec", "sasrec", "fmlp-rec"])
def test_what_was_kept_from_training_stays_as_it_was_drawn(name, successors, questions, tmp_path):
    made = model(name, successors, epochs=2)
    before = made.items.weight[-2:].clone()
    for progress in Training(made, questions, tmp_path).run():
        pass
    assert torch.equal(made.items.weight[-2:], before)
    assert not made.items.weight[0].any()


def test_a_free_vector_of_a_text_model_is_nothing_for_an_item_it_never_saw(successors, questions, tmp_path):
    made = model("unisrec", successors, identity=True, epochs=2)
    for progress in Training(made, questions, tmp_path).run():
        pass
    assert not made.items.weight[-2:].any()
    assert made.items.weight[1:-2].any(dim=1).all()


def test_a_text_model_tells_unseen_items_apart_by_their_titles(successors):
    texts = successors.texts.clone()
    texts[23], texts[24] = texts[4], texts[11]
    made = model("unisrec", replace(successors, texts=texts))
    lists = Lists(np.zeros(1, np.int64), [np.array([3])], np.array([[23, 24, 4, 11]]), np.array([0]))
    found = scores(made, lists)[0]
    assert found[0] == pytest.approx(found[2], abs=1e-4) and found[1] == pytest.approx(found[3], abs=1e-4)
    assert abs(found[0] - found[1]) > 0.01


def test_a_text_model_without_texts_is_refused(successors):
    with pytest.raises(BadInput, match="vectors"):
        model("vq-rec", replace(successors, texts=None))


def test_codes_keep_near_vectors_together_and_need_no_held_out_item():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 32)).astype(np.float32) * 3
    groups = np.arange(80) % 4
    vectors = centres[groups] + rng.standard_normal((80, 32)).astype(np.float32) * 0.05
    learned = np.arange(80) < 60
    codes = quantise(vectors, learned, 4, 4)
    assert codes.shape == (80, 4) and codes.min() >= 0 and codes.max() < 4
    alike = (codes[:, None] == codes[None]).mean(-1)
    same = groups[:, None] == groups[None]
    assert alike[same].mean() > alike[~same].mean() + 0.3
    changed = np.where(learned[:, None], vectors, 0)
    assert (quantise(changed, learned, 4, 4)[:60] == codes[:60]).all()
