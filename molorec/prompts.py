"""Instruction templates, and titles as tokens.

A prompt is put together from token pieces, never from one long text, so a title has the same tokens in a history,
in a list and as an answer, and no title can change how its neighbours are read.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from molorec.catalog.records import Item, RankingExample
from molorec.config import LIMITS
from molorec.errors import BadInput

HISTORY_TITLES = 10
_PROSE = re.compile(r" ?[a-z]+|'[a-z]{1,2}|[,.]")


@dataclass(frozen=True)
class Template:
    """One way to ask for the next item. ``listed``: the candidates stand in the prompt."""

    name: str
    opening: str
    listed: bool
    before_candidates: str = ""
    before_answer: str = ""


TEMPLATES = {
    template.name: template
    for template in (
        Template("open", "{Noun} one person chose, oldest first:\n", listed=False),
        Template("listed", "{Noun} one person chose, oldest first:\n", listed=True,
                 before_candidates="Candidates:\n", before_answer="The next one chosen:\n"),
    )
}


def template(name: str) -> Template:
    """The template called ``name``. Raises BadInput if there is none."""
    if name not in TEMPLATES:
        raise BadInput(f"there is no template '{name}'; choose one of: {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


class Prompter:
    """Turns examples into tokens with one tokenizer. Safe to share between threads."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        newline = self.encode("\n")
        if len(newline) != 1:
            raise BadInput("this tokenizer has no single token for a line break; MoLoRec cannot end titles with it")
        self.terminator = newline[0]
        self._titles: dict[str, tuple[int, ...]] = {}

    @property
    def stops(self) -> set[int]:
        """Tokens that end a freely written sentence: a line break and the tokenizer's own end marks."""
        return {self.terminator, *self.tokenizer.all_special_ids}

    @cached_property
    def not_prose(self) -> list[int]:
        """All tokens but small-letter words, commas and full stops: what names, years and markup are made of."""
        texts = self.tokenizer.batch_decode([[token] for token in range(len(self.tokenizer))])
        return [token for token, text in enumerate(texts) if token not in self.stops and not _PROSE.fullmatch(text)]

    @cached_property
    def beginning(self) -> list[int]:
        """What the tokenizer puts before any text: a token of its own in Llama's, nothing in Qwen's and SmolLM2's."""
        tokens = self.tokenizer("\n")["input_ids"]
        return tokens[: tokens.index(self.terminator)]

    def encode(self, text: str) -> list[int]:
        """The tokens of plain text: whatever spells a special token stays plain characters."""
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def title(self, title: str) -> tuple[int, ...]:
        """A title's tokens, at most 40, and the terminator, so that no title is a prefix of another.

        Text that spells a special token ("<|im_end|>") is read as plain characters.
        """
        found = self._titles.get(title)
        return found if found else self._tokenised([title])[0]

    def opening(self, style: Template, noun: str) -> list[int]:
        """The tokens before the history."""
        return self.beginning + self.encode(style.opening.format(Noun=noun[:1].upper() + noun[1:], noun=noun))

    def ranking(self, example: RankingExample, style: Template, noun: str = "items",
                history_titles: int = HISTORY_TITLES) -> list[int]:
        """The tokens of a ranking prompt; what follows it is one candidate's title.

        Keeps the last ``history_titles`` titles, oldest first.
        """
        tokens = self.opening(style, noun)
        for item in example.history[-history_titles:]:
            tokens.extend(self.title(item.title))
        if style.listed:
            tokens.extend(self.encode(style.before_candidates))
            for item in example.candidates:
                tokens.extend(self.title(item.title))
            tokens.extend(self.encode(style.before_answer))
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def titles(self, items: Sequence[Item]) -> list[tuple[int, ...]]:
        """The tokens of several titles; thousands at once take far less than one by one."""
        missing = dict.fromkeys(item.title for item in items if item.title not in self._titles)
        fresh = dict(zip(missing, self._tokenised(list(missing)), strict=True)) if missing else {}
        return [fresh.get(item.title) or self.title(item.title) for item in items]

    def _tokenised(self, titles: list[str]) -> list[tuple[int, ...]]:
        if len(self._titles) + len(titles) > 200_000:
            self._titles.clear()
        # split_special_tokens keeps chat markers inert; the space gives whole-word first tokens
        encoded = self.tokenizer([" " + title for title in titles], add_special_tokens=False, split_special_tokens=True)
        found = [(*tokens[: LIMITS.title_tokens], self.terminator) for tokens in encoded["input_ids"]]
        self._titles.update(zip(titles, found, strict=True))
        return found

    def fingerprint(self) -> str:
        """A hash that changes with the tokenizer's vocabulary or its way to split: adapters carry it."""
        probe = "Matrix, The (1999)\nÀ bout de souffle, 20% off! [DVD] 北京\n"
        text = f"{len(self.tokenizer)}|{self.encode(probe)}|{self.encode(' ' + probe)}"
        text += f"|{self.beginning}" if self.beginning else ""
        return hashlib.sha256(text.encode()).hexdigest()[:16]
