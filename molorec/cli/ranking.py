"""``molorec rank``, ``tune`` and ``explain``: what the screen does for one person, and the search for λ."""

import argparse
import json
import os
from pathlib import Path

from molorec import whole_file
from molorec.cli import common
from molorec.cli.common import Options, emit
from molorec.errors import BadInput, check_least


def add_parsers(commands, options: Options) -> None:
    """Add the commands' parsers."""
    ranking = options.add(commands, "rank", rank, [options.common, options.model, options.who])
    ranking.add_argument("--top", type=int, default=10, help="lines shown")
    tuning = options.add(commands, "tune", tune, [options.common, options.model])
    tuning.add_argument("--prompts", type=int, default=50, help="unlabelled prompts (default: %(default)s)")
    tuning.add_argument("--setting", default="warm", help="warm or new-item (default: %(default)s)")
    tuning.add_argument("--granularity", default="global", help="of λ: global, layer or module (default: %(default)s)")
    tuning.add_argument("--objective", default="candidates",
                        help="candidates (default): their entropy; tokens: that of the answer's first tokens over all words (the "
                             "paper's); contrast: of the candidates, less that after a stranger's history")
    tuning.add_argument("--tokens", type=int, help="how many tokens of the answer (default: 3; for Amazon Beauty 5)")
    tuning.add_argument("--keep", type=float, default=1.0, metavar="SHARE",
                        help="for λ by layer or module: learn from this share of the prompts, the surest (default: %(default)s)")
    tuning.add_argument("--out", type=Path, help="also write the JSON to this file, for --lam-file of other commands")
    explaining = options.add(commands, "explain", explain, [options.common, options.model, options.who])
    explaining.add_argument("--item", help="a candidate's id (default: the first)")
    explaining.add_argument("--style", default="short", help="how long the reason is: short (default) or detailed")


def rank(arguments: argparse.Namespace) -> None:
    """Rank a user's candidates at λ."""
    from molorec import documents
    from molorec.mixture.lam import in_words
    from molorec.prompts import HISTORY_TITLES

    check_least(1, top=arguments.top)
    engine = common.engine(arguments)
    ranking = engine.rank(_example(engine, arguments), arguments.lam, arguments.rule)
    history = [f"  {item.title}" for item in ranking.example.history[-HISTORY_TITLES:]]
    who = f"user {ranking.example.user}" if ranking.example.user else "a history"
    adapters = engine.mixture(arguments.domain).adapters
    at = (f"at {in_words(ranking.lam)} (rule {ranking.rule})" if len(adapters) > 1 else
          f"by the adapter '{adapters[0].name}' alone, whatever λ is")
    lines = [f"{who} of {arguments.domain}, the last of {len(ranking.example.history)} choices:", *history,
             f"ranking {at}, entropy {ranking.entropy:.3f} nat:"]
    lines += [f"{r.rank:3}  {r.probability:6.1%}  {r.item.title}" for r in ranking.items[: arguments.top]]
    emit(arguments, documents.ranking(ranking), lines)


def tune(arguments: argparse.Namespace) -> None:
    """Choose λ by entropy on unlabelled prompts: one for all layers, or one for each layer or module."""
    _check_out(arguments.out)
    if arguments.tokens is not None and arguments.objective != "tokens":
        raise BadInput("--tokens is for --objective tokens; give both or neither")
    engine = common.engine(arguments)
    if arguments.granularity == "global" and engine.mixture(arguments.domain).is_pair:
        if arguments.keep != 1:
            raise BadInput("--keep is for λ by layer or module; one λ for all layers is found on all prompts")
        document, lines = _tuned(engine, arguments)
    else:
        document, lines = _descended(engine, arguments)
    emit(arguments, document, lines)  # first: a file that cannot be written must not cost what was found
    if arguments.out:
        whole_file.write(arguments.out, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
        if not arguments.json:
            print(f"written: {arguments.out}; use it with --lam-file {arguments.out}")


def _check_out(file: Path | None) -> None:
    """Raises BadInput, before minutes of tuning, if no file can be written there."""
    if file is None:
        return
    folder = file.resolve().parent
    problem = ("that is a folder; give a file's name" if file.is_dir() else
               f"there is no folder {file.parent}; make it first" if not folder.is_dir() else
               "" if os.access(folder, os.W_OK) else f"nothing can be written into {file.parent}; give another place")
    if problem:
        raise BadInput(f"--out {file}: {problem}")


def _tuned(engine, arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    from molorec import documents, tuning

    step, shown = None, 0
    for step in tuning.tune(engine, arguments.domain, arguments.prompts, arguments.rule, arguments.setting,
                            objective=arguments.objective, tokens=arguments.tokens):
        if not arguments.json and (step.settled or step.prompts > shown):
            shown = step.prompts
            print(f"{step.prompts:3} prompts  λ {step.lam:.3f} ({step.lam_low:.2f} to {step.lam_high:.2f})  {step.by} "
                  f"{step.entropy:.4f} nat  {step.seconds:.1f} s", flush=True)
    return documents.tuned(arguments.domain, arguments.rule, step), [
        f"λ = {step.lam:.3f}: {step.verdict}; {step.entropy:.4f} nat, against {step.entropy_start:.4f} at λ = ½"]


def _descended(engine, arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    from molorec import descent, documents
    from molorec.mixture.lam import in_words

    step, shown = None, None
    for step in descent.descend(engine, arguments.domain, arguments.granularity, arguments.prompts, arguments.rule,
                                arguments.setting, arguments.objective, arguments.tokens,
                                settings=descent.Settings(keep=arguments.keep)):
        if not arguments.json and not step.settled and (step.steps, step.looked) != shown:
            shown = step.steps, step.looked
            now = (f"{step.looked:3} prompts  best for all layers so far: {in_words(step.first)}" if step.held_out is None else
                   f"step {step.steps} of at most {step.most}  {in_words(step.lam)}  held-out {step.by} {step.held_out:.4f} nat")
            print(f"{now}  {step.seconds:.1f} s", flush=True)
    return documents.tuned(arguments.domain, arguments.rule, step, arguments.granularity), [
        f"{in_words(step.lam)}: {step.entropy:.4f} nat, against {step.entropy_first:.4f} at {in_words(step.first)} for all "
        f"layers and {step.entropy_start:.4f} where all adapters weigh the same",
        f"on the prompts held out: {step.held_out:.4f} nat, {step.held_out_first:.4f} at {in_words(step.first)} for all layers; "
        f"{step.verdict}"]


def explain(arguments: argparse.Namespace) -> None:
    """Why the first title is first: evidence, and a checked text."""
    from molorec import documents, explaining

    explaining.style_named(arguments.style)
    engine = common.engine(arguments)
    example = _example(engine, arguments)
    ranking = engine.rank(example, arguments.lam, arguments.rule)
    top = ranking.items[0].item
    if arguments.item:
        top = next((c for c in example.candidates if c.item_id == arguments.item), None)
        if top is None:
            raise BadInput(f"'{arguments.item}' is not among the user's candidates; see `molorec rank`")
    evidence = list(explaining.evidence(engine, example, top, arguments.lam, arguments.rule))
    text = None
    for text in explaining.explain(engine, example, top, evidence, arguments.lam, arguments.rule, style=arguments.style):
        pass
    lines = [f"why {top.title}:", text.text if text.is_grounded else f"(the model's text is not shown: {text.problem})"]
    lines += [f"  {e.effect:+7.2%}  {e.item.title}" for e in sorted(evidence, key=lambda e: -e.effect)]
    emit(arguments, documents.explanation(arguments.domain, example.user, ranking.lam, top, text, evidence), lines)


def _example(engine, arguments: argparse.Namespace):
    if arguments.history_ids is not None or arguments.candidate_ids is not None:
        return _built_example(engine, arguments)
    user = arguments.user
    if user is None:
        user = next(iter(engine.catalog.first_users(arguments.domain, arguments.setting, limit=1)), None)
    if user is None:
        user = engine.catalog.random_user(arguments.domain, arguments.setting)  # which says that there is none
    return engine.catalog.example(arguments.domain, user, arguments.setting)


def _built_example(engine, arguments: argparse.Namespace):
    from molorec import id_list
    from molorec.catalog import RankingExample

    if arguments.user is not None:
        raise BadInput("--user has a history and candidates already; give either --user, or --history-ids and --candidate-ids")
    history, candidates = (
        tuple(engine.catalog.item(arguments.domain, item_id) for item_id in id_list.split(text or ""))
        for text in (arguments.history_ids, arguments.candidate_ids))
    if not history or len(candidates) < 2:
        raise BadInput("give at least one id as --history-ids and two as --candidate-ids")
    return RankingExample(arguments.domain, history, candidates)
