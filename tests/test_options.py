"""Tests of the options that the training scripts share."""

import argparse
from dataclasses import dataclass, fields

import pytest

from molorec.baselines import model
from molorec.options import Help, add_recipe, described
from molorec.training import loop


@dataclass
class Made:
    rate: float = described(0.5, "half of it, 50%")
    kind: str = described("a", "which")
    fast: bool = described(False, "whether it hurries")


def parser():
    return argparse.ArgumentParser(formatter_class=Help)


def test_a_field_is_an_option_of_its_type_and_choices():
    options = parser()
    add_recipe(options, Made, {"kind": ("a", "b")}, defaults=True)
    assert vars(options.parse_args(["--rate", "2", "--fast", "--kind", "b"])) == {"rate": 2.0, "kind": "b", "fast": True}
    with pytest.raises(SystemExit):
        options.parse_args(["--kind", "c"])
    help_text = options.format_help()
    assert "half of it, 50% (default: 0.5)" in help_text and "False" not in help_text


def test_without_defaults_only_what_is_given_is_there():
    options = parser()
    add_recipe(options, Made, {}, defaults=False)
    assert vars(options.parse_args(["--no-fast"])) == {"fast": False}


@pytest.mark.parametrize("recipe", [loop.Recipe, model.Recipe])
def test_every_field_of_a_recipe_says_what_it_is(recipe):
    assert all(len(each.metadata["help"]) > 5 for each in fields(recipe))
