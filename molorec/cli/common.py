"""What the commands share: options, the engine that they name, and the way to say what came of it."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from molorec import config
from molorec.errors import BadInput

SCHEMA = 1


@dataclass(frozen=True)
class Options:
    """Options that several commands take.

    Attributes
    ----------
    common : of all commands. model : of those that need a model. who : whose list is ranked, and at which λ.
    """

    common: argparse.ArgumentParser
    model: argparse.ArgumentParser
    who: argparse.ArgumentParser

    @staticmethod
    def add(to, name: str, run: Callable[[argparse.Namespace], None],
            parents: Sequence[argparse.ArgumentParser]) -> argparse.ArgumentParser:
        """A command's parser; ``run`` is the command, and its docstring what ``--help`` says."""
        command = to.add_parser(name, help=run.__doc__.splitlines()[0], description=run.__doc__, parents=parents)
        command.set_defaults(run=run)
        return command


def options() -> Options:
    """All of them, to be the parents of the commands' parsers."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    common.add_argument("--profile", help=f"base model: {', '.join(config.PROFILES)} (default: MOLOREC_PROFILE, else the best "
                                          "that has adapters here)")
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--domain", default="movielens-1m", help="domain (default: %(default)s)")
    model.add_argument("--rule", default="sum", help="mixing rule: sum, product or peft_linear (default: %(default)s)")
    model.add_argument("--base", help="folder or hub id of another base model")
    model.add_argument("--precision", help="of the base model's weights: nf4, bfloat16 or float32 (default: MOLOREC_PRECISION, "
                                           "else the profile's, else what this device is fast at)")
    model.add_argument("--backend", help="what computes: local, vllm, or the address of a server (default: MOLOREC_BACKEND, else "
                                         "local)")
    model.add_argument("--also", action="append", default=[], metavar="NAME",
                       help="a further adapter to mix in, a folder beside the others; λ then has a weight for each, from a file")
    model.add_argument("--adapters", type=Path, help="folder of adapter folders (default: MOLOREC_HOME/adapters, then those that "
                                                    "ship)")
    who = argparse.ArgumentParser(add_help=False)
    who.add_argument("--user", help="user id (default: the first of the evaluated users)")
    who.add_argument("--setting", default="warm", help="warm, validation or new-item (default: %(default)s)")
    who.add_argument("--history-ids", metavar="IDS", help="in place of a user: item ids, oldest first, joined by | "
                                                            "(an id's own | and \\ are written \\| and \\\\)")
    who.add_argument("--candidate-ids", metavar="IDS", help="with --history-ids: the items to rank")
    add_lam(who, "λ: 0 specific alone, 1 general alone (default: %(default)s)", default=0.5)
    return Options(common, model, who)


def add_lam(parser: argparse.ArgumentParser, text: str, default: float | None = None, required: bool = False) -> None:
    """λ as a number or from a file; either way it is ``lam`` once a command runs."""
    either = parser.add_mutually_exclusive_group(required=required)
    either.add_argument("--lam", type=float, default=default, help=text)
    either.add_argument("--lam-file", type=Path, metavar="FILE",
                        help="λ of any granularity: a file that `molorec tune --out` wrote, or a saved λ")


def lam_of(file: Path, arguments: argparse.Namespace):
    """The λ in a file; that it was tuned for another domain or rule than is asked for is said on stderr."""
    from molorec.mixture import lam

    found, tuned = lam.read(file)
    for fact, value in tuned.items():
        if value != getattr(arguments, fact, value):
            note(f"the λ in {file} was tuned for {fact} '{value}', not for '{getattr(arguments, fact)}'")
    return found


def engine(arguments: argparse.Namespace):
    """The engine that a command line asks for; its mixture's problems are said on stderr."""
    from molorec.catalog import Catalog
    from molorec.datasets import ensure_movielens
    from molorec.engine import Engine

    if arguments.base == "":
        raise BadInput("--base is empty; give a model's folder or hub id, or leave it out")
    catalog = Catalog()
    if arguments.domain == "movielens-1m":
        ensure_movielens(catalog, quiet=arguments.json)
    catalog.domain(arguments.domain)
    if arguments.adapters and not arguments.adapters.is_dir():
        raise BadInput(f"--adapters {arguments.adapters}: there is no such folder")
    folders = [arguments.adapters] if arguments.adapters else None
    started = Engine.start(config.profile(arguments.profile), arguments.base, catalog, folders, arguments.precision,
                           arguments.backend, arguments.also)
    mixture = started.mixture(arguments.domain)
    note(*mixture.problems)
    if len(mixture.adapters) > 2 and hasattr(arguments, "lam_file") and arguments.lam_file is None:
        raise BadInput(f"{len(mixture.adapters)} adapters need as many weights; give them with --lam-file, as `molorec tune "
                       "--also … --out FILE` writes them")
    return started


def note(*texts: object) -> None:
    """Say on stderr what is worth knowing and no error."""
    for text in texts:
        print(f"note: {text}", file=sys.stderr)


def emit(arguments: argparse.Namespace, document: dict, lines: Sequence[str]) -> None:
    """Print the document with ``--json``, and the lines without."""
    if arguments.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        for line in lines:
            print(line)
