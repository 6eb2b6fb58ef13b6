"""Batches: the same for the same step, and labels that only say what they may."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from molorec.catalog import prepare
from molorec.errors import BadInput
from molorec.prompts import template
from molorec.ranking.trie import pack
from molorec.training import objectives
from molorec.training.dataset import ListSampler, WindowSampler, load_domain
from tests.conftest import source_data

SAMPLERS = {"open": WindowSampler, "listed": ListSampler}


@pytest.fixture
def data(catalog, base):
    return load_domain(catalog, "toybox", base.prompter, smoothing=0.5)[0]


def sampler(data, style="open", objective="listwise", rows=3, length=None, seed=0):
    length = length or (120 if style == "open" else 500)
    return SAMPLERS[style]([data], [1.0], template(style), objective, rows, length, seed)


@pytest.mark.parametrize("style", ["open", "listed"])
def test_a_step_decides_its_batch_whoever_asks_and_in_whatever_order(data, style):
    one, other = sampler(data, style), sampler(data, style)
    one.batch(0)
    assert torch.equal(one.batch(4).tokens, other.batch(4).tokens)
    assert not torch.equal(one.batch(4).tokens, one.batch(5).tokens)
    assert not torch.equal(one.batch(4).tokens, sampler(data, style, seed=1).batch(4).tokens)


def test_root_labels_are_distributions_that_never_point_to_the_history(data):
    for sequence in data.sequences[:10]:
        for place in range(len(sequence)):
            offsets, label = data.root_decision(sequence[:place], data.label(sequence[:place], sequence[place]))
            assert label.sum() == pytest.approx(1, abs=1e-5) and label.min() >= 0
            unseen = set(range(len(data.items))) - set(sequence[:place])
            possible = {int(data.first[item]) for item in unseen}
            assert set(np.flatnonzero(label)) <= possible
            assert set(np.flatnonzero(offsets > -100)) == possible


def test_a_root_offset_is_the_log_of_the_unseen_items_below(data):
    history = data.sequences[0][:4]
    offsets, _ = data.root_decision(history, data.label(history, data.sequences[0][4]))
    unseen = [item for item in range(len(data.items)) if item not in history]
    for child in range(len(data.root_tokens)):
        count = sum(data.first[item] == child for item in unseen)
        assert count == 0 or offsets[child] == pytest.approx(np.log(count), abs=1e-6)


def test_popularity_sampled_negatives_leave_only_what_a_history_adds(catalog, base):
    data = load_domain(catalog, "toybox", base.prompter, smoothing=1.0, negatives="popularity")[0]
    events = [item for sequence in data.sequences for item in sequence]
    offsets, label = data.root_decision([], data.label([], data.sequences[0][0]))
    for child in range(len(data.root_tokens)):
        assert offsets[child] == pytest.approx(np.log(sum(data.first[item] == child for item in events)), abs=1e-6)
    # without a history the label is popularity, so that offsets alone already explain it
    chances = np.exp(offsets - np.logaddexp.reduce(offsets))
    assert chances == pytest.approx(label, abs=1e-5)
    for item in range(len(data.items)):  # below the root all items count alike
        for depth, _, offsets, _ in data.deeper_decisions(item, data.label([], item)):
            below = [other for other in data.tokens if other[:depth] == data.tokens[item][:depth]]
            assert np.exp(offsets).sum() == pytest.approx(len(below))


def test_first_tokens_of_other_domains_are_held_neutral(catalog, base):
    plain, wide = (load_domain(catalog, "toybox", base.prompter, smoothing=0.5)[0] for _ in range(2))
    foreign = {token for token in range(20) if token not in plain.root_tokens}
    wide.widen(foreign, 0.2)
    assert set(wide.root_tokens.tolist()) == foreign | set(plain.root_tokens.tolist())
    sequence = plain.sequences[0]
    offsets, label = wide.root_decision(sequence[:3], wide.label(sequence[:3], sequence[3]))
    assert label.sum() == pytest.approx(1, abs=1e-5)
    for i, token in enumerate(wide.root_tokens.tolist()):
        if token in foreign:  # what the loss asks of a score, log label − offset, is 0
            assert np.log(label[i]) - offsets[i] == pytest.approx(0, abs=1e-4)
    assert [wide.root_tokens[i] for i in wide.first] == [plain.root_tokens[i] for i in plain.first]


def test_hard_labels_are_one_for_the_item_that_came_next(catalog, base):
    hard = load_domain(catalog, "toybox", base.prompter)[0]
    history, item = hard.sequences[0][:3], hard.sequences[0][3]
    _, label = hard.root_decision(history, hard.label(history, item))
    assert label.tolist() == np.eye(len(label))[hard.first[hard.sequences[0][3]]].tolist()


def test_deeper_decisions_lead_along_the_title_and_share_its_label_out(data):
    seen = 0
    for sequence in data.sequences[:10]:
        history, item = sequence[:3], sequence[3]
        label, title = data.label(history, item), data.tokens[item]
        for depth, choices, offsets, targets in data.deeper_decisions(item, label):
            below = {choice: [n for n, other in enumerate(data.tokens) if other[: depth + 1] == (*title[:depth], choice)]
                     for choice in choices}
            assert title[depth] in choices and len(choices) > 1
            assert np.exp(offsets) == pytest.approx([len(below[choice]) for choice in choices])
            chances = np.array([label[below[choice]].sum() for choice in choices])
            assert targets == pytest.approx(chances / chances.sum(), abs=1e-5)
            seen += 1
    assert seen


def test_all_decisions_of_a_title_are_its_probability_among_the_catalogue(catalog, base):
    """With hard labels and nothing seen yet, what is learned is −log p of the item that came next."""
    hard = load_domain(catalog, "toybox", base.prompter)[0]
    generator = torch.Generator().manual_seed(0)
    for item in (0, 33, 70):
        # any logits will do for a model: those of one prefix always the same
        logits = {title[:depth]: torch.randn(500, generator=generator) for title in hard.tokens for depth in range(len(title))}
        packed = pack([9], hard.tokens, hard.trie)
        places = {packed.prompt_length - 1: ()} | {
            packed.prompt_length + i: tuple(packed.tokens[j] for j in above) for i, above in enumerate(packed.ancestors)}
        logs = packed.log_probabilities([logits[places[node.position]][node.children] for node in packed.nodes])
        label = hard.label([], item)
        offsets, targets = hard.root_decision([], label)
        scores = (logits[()][hard.root_tokens] + torch.from_numpy(offsets)).log_softmax(0)
        lost = -float((torch.from_numpy(targets) * scores).sum())
        for depth, choices, offsets, targets in hard.deeper_decisions(item, label):
            scores = (logits[hard.tokens[item][:depth]][choices] + torch.from_numpy(offsets)).log_softmax(0)
            lost -= float((torch.from_numpy(targets) * scores).sum())
        assert lost == pytest.approx(-float(logs[item]), abs=1e-4)


def test_every_language_model_label_is_the_token_that_follows(data):
    batch = sampler(data, objective="lm").batch(0)
    positions, tokens = batch.next_tokens
    assert torch.equal(batch.tokens[positions[:, 0], positions[:, 1] + 1], tokens)
    assert int((tokens == data.prompter.terminator).sum()) == batch.labels


def test_titles_left_out_stand_in_no_batch(catalog, base):
    forms = {"amber song", "basin lamp"}
    data, removed = load_domain(catalog, "toybox", base.prompter, without_forms=forms)
    assert removed == 2
    for style in SAMPLERS:
        drawn = sampler(data, style, rows=8)
        text = "".join(base.prompter.decode(row) for step in range(4) for row in drawn.batch(step).tokens.tolist())
        assert "Cedar Song" in text
        assert "Amber Song" not in text and "Basin Lamp" not in text


def test_a_smaller_share_of_the_users_is_part_of_every_greater_one(catalog, base):
    shares = (0.1, 0.2, 0.3, 1.0)
    titles = {share: [tuple(data.items[i].title for i in sequence) for sequence in data.sequences] for share in shares
              for data in [load_domain(catalog, "toybox", base.prompter, share=share)[0]]}
    assert [len(titles[share]) for share in shares] == [13, 26, 39, 130]
    for smaller, greater in pairwise(shares):
        assert set(titles[smaller]) < set(titles[greater])
    order = [titles[1.0].index(sequence) for sequence in titles[0.3]]
    assert order == sorted(order) and max(order) > 100  # not the first users: those are in the splits tune and quick


@pytest.mark.parametrize(("share", "words"), [
    (0.0, "share of 0 "), (1.5, "share of 1.5"), (-0.1, "share"), (float("nan"), "share"),
    (0.001, "no user of a share of 0.001")])
def test_a_share_that_is_none_is_refused(catalog, base, share, words):
    with pytest.raises(BadInput, match=words):
        load_domain(catalog, "toybox", base.prompter, share=share)


def test_domains_are_drawn_by_their_shares(catalog, base, data):
    catalog.add_domain(prepare("other", source_data(seed=5)))
    other = load_domain(catalog, "other", base.prompter)[0]
    drawn = WindowSampler([data, other], [0.0, 1.0], template("open"), "listwise", 6, 100, 0).batch(0)
    assert len(drawn.roots) == 1
    assert torch.equal(drawn.roots[other.name][1], torch.from_numpy(other.root_tokens))


@pytest.mark.parametrize(("style", "length"), [("open", 14), ("listed", 160)])
def test_rows_too_short_for_anything_are_refused_and_not_tried_for_ever(data, style, length):
    with pytest.raises(BadInput, match="--length"):
        sampler(data, style, length=length).batch(0)


def test_nothing_to_train_on_is_bad_input(catalog, base):
    with pytest.raises(BadInput, match="nothing to train on"):
        load_domain(catalog, "toybox", base.prompter, without_forms=catalog.normal_forms("toybox"))


def test_a_list_too_long_with_ten_titles_loses_history_not_candidates(data, base):
    long = sampler(data, "listed", rows=6, length=900).batch(0)
    needed = int((long.tokens != 0).sum(1).max())
    short = sampler(data, "listed", rows=6, length=needed - 12).batch(0)
    heading = base.prompter.decode(base.prompter.encode(template("listed").before_candidates))
    for row in short.tokens.tolist():
        listed = base.prompter.decode(row).split(heading)[1]
        assert listed.count("\n") >= 30 + 2


@pytest.mark.parametrize("style", ["open", "listed"])
@pytest.mark.parametrize("objective", ["listwise", "lm"])
def test_the_losses_of_a_batchs_parts_add_up_to_its_own(data, base, style, objective):
    batch = sampler(data, style, objective, rows=5).batch(0)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(*batch.tokens.shape, 32, generator=generator)
    head = base.model.get_output_embeddings().weight
    parts = batch.split(2)
    assert [len(part.tokens) for part in parts] == [2, 2, 1]
    losses = [objectives.loss(part, hidden[2 * i : 2 * i + 2], head) for i, part in enumerate(parts)]
    assert len({loss.item() for loss in losses}) == 3
    assert sum(losses).item() == pytest.approx(objectives.loss(batch, hidden, head).item(), rel=1e-5)
