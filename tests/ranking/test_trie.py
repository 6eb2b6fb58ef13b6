"""Candidates as a trie: probabilities that sum to 1, and a mask that shows each token its own ancestors only."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molorec.errors import BadInput
from molorec.ranking.trie import TitleTrie, pack

END = 0
PROMPT = [7, 8, 9]

# few different tokens, so that titles share prefixes and some are the same
titles = st.lists(st.lists(st.integers(1, 3), max_size=4).map(lambda tokens: (*tokens, END)), min_size=1, max_size=9)


def prefix_at(packed, position: int) -> tuple[int, ...]:
    """The trie tokens that lead to a packed position."""
    if position < packed.prompt_length:
        assert position == packed.prompt_length - 1
        return ()
    return tuple(packed.tokens[i] for i in packed.ancestors[position - packed.prompt_length])


def logit(prefix: tuple[int, ...], token: int) -> float:
    """Any function of (prefix, token) will do for a model."""
    return math.sin(31 * token + sum((i + 1) * 17 * t for i, t in enumerate(prefix)) + len(prefix)) * 3


def logits_of(packed):
    return [torch.tensor([logit(prefix_at(packed, node.position), child) for child in node.children])
            for node in packed.nodes]


def constrained(candidates) -> list[float]:
    """p(c) step by step: at every token a softmax over the tokens that some candidate continues with."""
    found = []
    for candidate in candidates:
        p = 1.0
        for depth, token in enumerate(candidate):
            prefix = candidate[:depth]
            children = {other[depth] for other in candidates if other[:depth] == prefix}
            p *= math.exp(logit(prefix, token)) / sum(math.exp(logit(prefix, child)) for child in children)
        found.append(p / candidates.count(candidate))
    return found


@given(titles)
@settings(deadline=None, max_examples=100)
def test_a_candidate_has_its_probability_under_constrained_decoding(candidates):
    packed = pack(PROMPT, candidates)
    probabilities = packed.log_probabilities(logits_of(packed)).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    assert probabilities.tolist() == pytest.approx(constrained(candidates), abs=1e-5)


def among_the_catalogue(candidates, catalogue) -> list[float]:
    """p(c | list) step by step: at every token a softmax over the tokens that a title goes on with, each as often as there
    are titles behind it; a leaf is shared by the titles that end in it; then the candidates alone."""
    known = [*catalogue, *(c for c in dict.fromkeys(candidates) if c not in catalogue)]
    found = []
    for candidate in candidates:
        p = 1.0
        for depth, token in enumerate(candidate):
            prefix = candidate[:depth]
            behind = [other[depth] for other in known if other[:depth] == prefix]
            p *= behind.count(token) * math.exp(logit(prefix, token)) / sum(math.exp(logit(prefix, child)) for child in behind)
        found.append(p / known.count(candidate))
    return [p / sum(found) for p in found]


@given(titles, titles)
@settings(deadline=None, max_examples=100)
def test_among_a_catalogue_it_has_its_probability_there_given_that_it_is_one_of_the_list(candidates, others):
    catalogue = [*dict.fromkeys(candidates), *others]
    packed = pack(PROMPT, candidates, TitleTrie(catalogue))
    probabilities = packed.log_probabilities(logits_of(packed)).exp()
    assert probabilities.tolist() == pytest.approx(among_the_catalogue(candidates, catalogue), abs=1e-5)


@given(titles, titles)
@settings(deadline=None, max_examples=100)
def test_titles_that_the_catalogue_lacks_are_ranked_all_the_same(candidates, catalogue):
    packed = pack(PROMPT, candidates, TitleTrie(catalogue))
    probabilities = packed.log_probabilities(logits_of(packed)).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5) and bool((probabilities > 0).all())


def test_a_title_answers_for_itself_and_not_for_all_that_begin_like_it():
    star_wars, star_maps, heat = (1, 2, END), (1, 3, END), (4, END)
    packed = pack(PROMPT, [star_maps, heat], TitleTrie([star_wars, star_maps, heat]))
    assert [node.children for node in packed.nodes] == [[1, 4], [3, 2]]
    sure_of_star_wars = [torch.tensor([2.0, 0.0]), torch.tensor([-5.0, 5.0])]
    assert packed.log_probabilities(sure_of_star_wars).exp()[0] < 0.01
    alone = pack(PROMPT, [star_maps, heat])
    assert alone.log_probabilities(sure_of_star_wars[:1]).exp()[0] > 0.8


def test_equal_logits_are_equal_chances_however_many_titles_begin_alike():
    catalogue = [(1, n, END) for n in range(2, 9)] + [(9, END)]
    packed = pack(PROMPT, [catalogue[0], catalogue[-1]], TitleTrie(catalogue))
    assert packed.log_probabilities([torch.zeros(len(node.children)) for node in packed.nodes]).exp().tolist() == (
        pytest.approx([0.5, 0.5]))


def test_a_tries_key_is_that_of_its_titles_in_whatever_order():
    one, other = TitleTrie([(1, 2, END), (3, END)]), TitleTrie([(3, END), (1, 2, END)])
    assert one.key == other.key != TitleTrie([(1, 2, END)]).key
    assert TitleTrie([]).below(()) == {} and TitleTrie([(1, 2, END)]).counts(()) == {1: 1}


@given(titles)
@settings(deadline=None, max_examples=100)
def test_a_packed_token_sees_the_prompt_and_its_own_ancestors(candidates):
    packed = pack(PROMPT, candidates)
    length = len(packed.tokens) + 2
    mask = packed.mask(length)
    prefixes = {c[:n] for c in candidates for n in range(len(c))}
    seen_prefixes = set()
    for i in range(packed.prompt_length, len(packed.tokens)):
        seen = [j for j in range(length) if mask[i, j]]
        assert seen[:len(PROMPT)] == list(range(len(PROMPT))) and seen[-1] == i
        own = tuple(packed.tokens[j] for j in seen[len(PROMPT):])
        assert own in prefixes and own not in seen_prefixes  # a place in the trie, packed once
        seen_prefixes.add(own)
        assert [packed.position_ids[j] for j in seen] == list(range(len(PROMPT) + len(own)))
    assert torch.equal(mask[:len(PROMPT), :len(PROMPT)], torch.ones(len(PROMPT), len(PROMPT), dtype=torch.bool).tril())
    assert not mask[:len(packed.tokens), len(packed.tokens):].any()
    assert mask.any(1).all()  # a row that sees nothing would be NaN
    assert packed.is_plain == (len(packed.tokens) == len(PROMPT))


def test_only_places_where_candidates_part_need_logits():
    packed = pack(PROMPT, [(1, 2, 3, END), (1, 2, 4, END), (5, END)])
    assert [node.children for node in packed.nodes] == [[1, 5], [3, 4]]
    assert packed.tokens == [*PROMPT, 1, 2]
    assert packed.paths == [[(0, 0), (1, 0)], [(0, 0), (1, 1)], [(0, 1)]]


def test_different_first_tokens_need_the_prompt_alone():
    packed = pack(PROMPT, [(1, END), (2, 3, END)])
    assert packed.is_plain and packed.nodes[0].position == len(PROMPT) - 1


def test_twins_share_their_probability():
    packed = pack(PROMPT, [(1, 2, END), (3, END), (1, 2, END)])
    assert packed.twins == [2, 1, 2]
    assert packed.log_probabilities([torch.zeros(2)]).exp().tolist() == pytest.approx([0.25, 0.5, 0.25])


def test_a_title_that_starts_another_is_refused():
    with pytest.raises(BadInput, match="terminator"):
        pack(PROMPT, [(1, 2), (1, 2, 3)])


def test_a_single_candidate_is_certain():
    assert pack(PROMPT, [(1, 2, END)]).log_probabilities([]).tolist() == [0]


@pytest.mark.parametrize(("prompt", "candidates", "message"), [
    (PROMPT, [], "no candidates"), ([], [(1, END)], "prompt"), (PROMPT, [()], "no tokens"),
    (PROMPT, [(), (1, END)], "no tokens"),
])
def test_nothing_to_rank_is_refused(prompt, candidates, message):
    with pytest.raises(BadInput, match=message):
        pack(prompt, candidates)
