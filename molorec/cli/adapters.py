"""``molorec adapters``, ``export`` and ``serve``: adapters as files, here, on the hub and behind vLLM."""

import argparse
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from molorec import config, port
from molorec.cli import common
from molorec.cli.common import SCHEMA, Options, add_lam, emit, note
from molorec.errors import BadInput, MolorecError


def add_parsers(commands, options: Options) -> None:
    """Add the commands' parsers."""
    actions = commands.add_parser("adapters", help="List adapters, push them to the hub or pull them from there.").add_subparsers(
        required=True, metavar="ACTION")
    options.add(actions, "list", here, [options.common])
    pushing = options.add(actions, "push", push, [options.common])
    pushing.add_argument("folder", type=Path, metavar="FOLDER")
    pushing.add_argument("repository", metavar="SOMEONE/NAME", help="on the hub; made if it is not there")
    pushing.add_argument("--public", action="store_true", help="let everyone see a repository that is made (default: you alone)")
    pulling = options.add(actions, "pull", pull, [options.common])
    pulling.add_argument("repository", metavar="SOMEONE/NAME", help="on the hub; @revision may follow")
    pulling.add_argument("--name", help="of the folder (default: general, or the card's domain)")
    pulling.add_argument("--replace", action="store_true", help="replace an adapter of that name")

    serving = options.add(commands, "serve", serve, [options.common, options.model])
    serving.add_argument("--points", type=int, default=21, help="equally spaced λ to serve (default: %(default)s)")
    serving.add_argument("--port", type=port.of, default=8000, help="on this machine alone (default: %(default)s)")
    serving.add_argument("--out", type=Path, required=True, help="folder for the exported mixtures")
    serving.add_argument("--print", action="store_true", dest="only_print", help="write the mixtures and print the command only")
    serving.add_argument("more", nargs="*", metavar="-- OPTIONS", help="of vLLM itself, such as -- --data-parallel-size 8")

    exporting = options.add(commands, "export", export, [options.common, options.model])
    add_lam(exporting, "λ: 0 specific alone, 1 general alone", required=True)
    exporting.add_argument("--out", type=Path, required=True, help="folder to write")
    exporting.add_argument("--rank", type=int, help="rank of the adapter, by truncated SVD (default: the exact one)")
    exporting.add_argument("--dense", choices=["bfloat16", "nf4"], help="write a whole model with the mixture in its weights")
    exporting.add_argument("--force", action="store_true", help="replace the export or adapter that is in the folder")


def here(arguments: argparse.Namespace) -> None:
    """The adapters of this machine, in the order in which they are looked for."""
    from molorec import hub

    found = hub.here(config.profile(arguments.profile))
    lines = []
    for entry in found:
        what = (f"cannot be used: {entry.problem}" if entry.problem else
                f"{entry.card.role}, {entry.card.base}, template {entry.card.template}, {entry.card.steps} steps"
                if entry.card else "no card")
        lines.append(f"{entry.folder.name}: {what}, {entry.folder}"
                     + ("" if entry.is_first else " (not used: another of its name comes first)"))
    emit(arguments, {"schema": SCHEMA, "adapters": [
        {"name": entry.folder.name, "folder": str(entry.folder), "used": entry.is_used,
         "problem": entry.problem, "card": asdict(entry.card) if entry.card else None} for entry in found]},
         lines or ["no adapters yet: see training_scripts/"])


def push(arguments: argparse.Namespace) -> None:
    """Upload an adapter with its card to the Hugging Face hub."""
    from molorec import hub

    address = hub.push(arguments.folder, arguments.repository, arguments.public)
    emit(arguments, {"schema": SCHEMA, "repository": arguments.repository, "commit": address}, [f"uploaded: {address}"])


def pull(arguments: argparse.Namespace) -> None:
    """Download an adapter from the Hugging Face hub to where it comes into use."""
    from molorec import hub

    folder = hub.pull(arguments.repository, config.profile(arguments.profile), arguments.name, arguments.replace)
    emit(arguments, {"schema": SCHEMA, "repository": arguments.repository, "folder": str(folder)}, [f"here: {folder}"])


def serve(arguments: argparse.Namespace) -> None:
    """Export a domain's mixtures at several λ and have vLLM serve them, to this machine alone."""
    from molorec import backbone, serving
    from molorec.backends.vllm import INSTALL
    from molorec.catalog import Catalog
    from molorec.engine import Engine
    from molorec.mixture import export

    if arguments.backend:
        raise BadInput(f"--backend is {arguments.backend}, and what serves is always vLLM; leave it out")
    if not arguments.only_print:
        port.check_free(arguments.port)
        if importlib.util.find_spec("vllm") is None:
            raise MolorecError(f"vLLM is not here; {INSTALL}; or give --print, and only the mixtures are written")
    _check_writable(arguments.out)
    profile = config.profile(arguments.profile)
    base = backbone.outline(arguments.base, profile, arguments.precision)
    folders = [arguments.adapters] if arguments.adapters else config.adapter_folders(profile, arguments.base)
    mixture = Engine(base, Catalog(), folders, also=arguments.also).mixture(arguments.domain)
    note(*mixture.problems)
    with _naming_out(arguments.out):
        made = serving.export_mixtures(mixture, arguments.rule, arguments.points, arguments.out)
    command, environment = serving.command(base, made, export.rank_of(mixture.stack, arguments.rule), arguments.port,
                                           arguments.more)
    emit(arguments, {"schema": SCHEMA, "command": command, "mixtures": list(made)},
         [f"{len(made)} mixtures are in {arguments.out}", shlex.join(command)])
    if not arguments.only_print:
        sys.stdout.flush()  # what this process still holds back goes with it
        if arguments.json:
            os.dup2(2, 1)  # what vLLM says is no part of the document
        os.execve(command[0], command, {**os.environ, **environment})


def export(arguments: argparse.Namespace) -> None:
    """Write the mixture at λ as one PEFT adapter, or as a whole model, and compare it with the live mixture."""
    _check_replaceable(arguments.out, arguments.force)
    _check_writable(arguments.out.absolute().parent)
    if arguments.dense and arguments.rank is not None:
        raise BadInput("--rank is of an adapter; a whole model (--dense) has none")
    from molorec import fidelity
    from molorec.mixture import export as exporting
    from molorec.mixture.card import read_card
    from molorec.mixture.lam import Lam, to_json
    from molorec.mixture.rule import as_weights

    engine = common.engine(arguments)
    mixture = engine.mixture(arguments.domain)
    lam = arguments.lam if isinstance(arguments.lam, Lam) else as_weights(arguments.lam, len(mixture.adapters))
    exact = not arguments.dense and arguments.rank is None
    if arguments.dense:
        with _naming_out(arguments.out):
            folder = exporting.export_dense(mixture.stack, lam, arguments.rule, _base_folder(engine), arguments.out,
                                            arguments.dense)
        found = fidelity.of_model(engine, arguments.domain, folder, arguments.lam, arguments.rule, arguments.dense)
    else:
        with _naming_out(arguments.out):
            folder = exporting.export(list(mixture.adapters), mixture.stack, lam, arguments.rule, arguments.out,
                                      engine.base.name, arguments.rank)
        found = fidelity.of_adapter(engine, arguments.domain, folder, arguments.lam, arguments.rule)
    if exact:
        found.check(engine.base.precision)
    card = read_card(folder)
    error = card.data.get("truncation error") if card else None
    lines = [f"written: {folder}", str(found)]
    if exact and engine.base.precision != "float32" and found.difference:
        lines.append(f"the weights are the same; {engine.base.precision} rounds the sum in another order (--precision float32 "
                     "compares without that)")
    if error is not None:
        lines.insert(1, f"of the mixture's change to the weights, rank {arguments.rank} leaves out {error:.1%} (Frobenius norm)")
    emit(arguments, {"schema": SCHEMA, "domain": arguments.domain, "lam": to_json(arguments.lam), "rule": arguments.rule,
                     "folder": str(folder), "rank": arguments.rank, "truncation_error": error, "dense": arguments.dense,
                     "difference": found.difference, "same_first": found.same_first, "lists": found.lists}, lines)


def _base_folder(engine) -> Path:
    if engine.base.folder is None:
        raise BadInput("the base model was not loaded from a folder, so there is nothing to add the mixture to")
    return engine.base.folder


def _check_replaceable(folder: Path, force: bool) -> None:
    """Only an adapter or an export is ever replaced: a slip of the pen in --out must not cost a folder of anything else."""
    from molorec.mixture.export import DENSE

    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not any((folder / name).is_file() for name in ("adapter_config.json", DENSE)):
        raise BadInput(f"'{folder}' exists and is no adapter and no export; give another --out")
    if not force:
        raise BadInput(f"'{folder}' exists; give another --out, or --force to replace it")


def _check_writable(folder: Path) -> None:
    """Raises BadInput, before a model is loaded for nothing, if nothing can be written there."""
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.exists(place))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        why = "may not be written to" if place.is_dir() else "is no folder"
        raise BadInput(f"--out cannot be made: {place} {why}; give another --out")


@contextmanager
def _naming_out(folder: Path) -> Iterator[None]:
    """Raises MolorecError, which names the option, in place of an OSError; BadInput where the place itself is wrong."""
    try:
        yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise BadInput(f"--out {folder} cannot be written ({error}); give another --out") from error
    except OSError as error:
        raise MolorecError(f"--out {folder} could not be written ({error}); make room there, or give another --out") from error
