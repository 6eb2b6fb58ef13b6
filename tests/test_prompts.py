"""Prompts begin as the tokenizer has it."""

from tokenizers.processors import TemplateProcessing

from molorec.catalog import Item, RankingExample
from molorec.prompts import TEMPLATES, Prompter
from tests.conftest import pico_tokenizer


def test_a_prompt_begins_with_the_token_that_the_tokenizer_puts_first():
    plain, marked = pico_tokenizer(), pico_tokenizer()
    marked.backend_tokenizer.post_processor = TemplateProcessing(  # as Llama's, and a mark at the end
        single="<|im_start|> $A <|endoftext|>", special_tokens=[("<|im_start|>", 1), ("<|endoftext|>", 0)])
    example = RankingExample("toybox", (Item("1", "Amber Song (1950)"),), (Item("2", "Cedar Lamp (1951)"),))
    for style in TEMPLATES.values():
        without, begun = (Prompter(tokenizer).ranking(example, style) for tokenizer in (plain, marked))
        assert begun == [1, *without]
    assert Prompter(plain).beginning == [] and Prompter(marked).beginning == [1]
    assert Prompter(plain).fingerprint() != Prompter(marked).fingerprint()
    assert Prompter(plain).title("Amber Song (1950)") == Prompter(marked).title("Amber Song (1950)")
