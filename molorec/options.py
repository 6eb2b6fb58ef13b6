"""Options of the training scripts: of a recipe's fields, each of which says what it is, and their help."""

import argparse
from collections.abc import Collection, Mapping
from dataclasses import field, fields
from typing import Any


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something: not that what is off is off."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)


def described(default: Any, words: str) -> Any:
    """A dataclass field with a default, and what it is in words."""
    return field(default=default, metadata={"help": words})


def add_recipe(options: argparse.ArgumentParser, recipe: type, choices: Mapping[str, Collection[str]], *, defaults: bool) -> None:
    """An option for each field of a recipe.

    Parameters
    ----------
    recipe : a dataclass whose fields are :func:`described`.
    choices : of the fields that take one of a few words.
    defaults : whether an option that is not given has the recipe's default; otherwise it is not among the arguments at all.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Recipe:
    ...     steps: int = described(100, "optimiser steps")
    >>> parser = argparse.ArgumentParser()
    >>> add_recipe(parser, Recipe, {}, defaults=True)
    >>> parser.parse_args([]).steps, parser.parse_args(["--steps", "5"]).steps
    (100, 5)
    """
    for each in fields(recipe):
        how = {"default": each.default if defaults else argparse.SUPPRESS, "help": each.metadata["help"].replace("%", "%%")}
        if each.type is bool:
            how["action"] = argparse.BooleanOptionalAction
        else:
            how |= {"type": each.type, "choices": choices.get(each.name)}
        options.add_argument("--" + each.name.replace("_", "-"), **how)
