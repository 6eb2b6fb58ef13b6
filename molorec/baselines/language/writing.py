"""Greedy free writing for several prompts at once, and what a written list of titles names."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from molorec.ranking.scorer import PAD

SEPARATOR = "||"


@torch.inference_mode()
def write(model: PreTrainedModel, prompts: Sequence[Sequence[int]], most: int, stops: Collection[int]) -> list[list[int]]:
    """Write on after each prompt, always the likeliest token, until one of ``stops`` or for ``most`` tokens.

    Returns
    -------
    The tokens written after each prompt, without the stop.
    """
    longest, device = max(map(len, prompts)), model.device
    # padded in front, so that all write at one place; what is padded is seen by none
    before = [longest - len(prompt) for prompt in prompts]
    tokens = torch.tensor([[*[PAD] * pad, *prompt] for pad, prompt in zip(before, prompts, strict=True)], device=device)
    seen = torch.arange(longest, device=device) >= torch.tensor(before, device=device)[:, None]
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    written: list[list[int]] = [[] for _ in prompts]
    writing, cache = set(range(len(prompts))), None
    for _ in range(most):
        out = model.base_model(input_ids=tokens, attention_mask=seen.long(), position_ids=positions, past_key_values=cache,
                               use_cache=True)
        cache = out.past_key_values
        likeliest = _likeliest(model, out.last_hidden_state[:, -1])
        for row in list(writing):
            token = int(likeliest[row])
            if token in stops:
                writing.remove(row)
            else:
                written[row].append(token)
        if not writing:
            break
        tokens, positions = likeliest[:, None], positions[:, -1:] + 1
        seen = torch.cat([seen, seen.new_ones(len(prompts), 1)], dim=1)
    return written


def named(text: str, titles: Sequence[str], most: int = 5) -> list[int | None]:
    """Which of ``titles`` a text names, in its order and at most so many; None for each one that is not there.

    Titles are compared as text, up to space at their ends. One that holds the separator itself is found too.

    >>> named("Heat || Alien ||Bambi|| Heat", ["Alien", "Heat"])
    [1, 0, None, 1]
    """
    parts = [part.strip() for part in text.split(SEPARATOR)]
    place = {_spaced(title): i for i, title in reversed(list(enumerate(titles)))}
    longest = max((title.count(SEPARATOR) for title in titles), default=0) + 1
    found: list[int | None] = []
    while parts and len(found) < most:
        taken, hit = 1, None
        for count in range(min(longest, len(parts)), 0, -1):
            hit = place.get(SEPARATOR.join(parts[:count]))
            if hit is not None:
                taken = count
                break
        if hit is not None or parts[0]:  # nothing between two separators is no title
            found.append(hit)
        parts = parts[taken:]
    return found


def _spaced(title: str) -> str:
    return SEPARATOR.join(part.strip() for part in title.split(SEPARATOR))


def _likeliest(model: PreTrainedModel, states: Tensor) -> Tensor:
    return (states @ model.get_output_embeddings().weight.t()).argmax(-1)
