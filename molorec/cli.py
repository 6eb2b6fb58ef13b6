"""``molorec``: everything the screen can do, on the command line."""

import argparse
import csv
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from molorec import __version__, config, port
from molorec.command_line import command_line
from molorec.errors import BadFile, BadInput, MolorecError, check_least

SCHEMA = 1
SWEEP = (0.0, 0.25, 0.5, 0.75, 1.0)
PACKAGES = ("torch", "transformers", "peft", "gradio", "plotly", "sqlite-utils", "safetensors", "bitsandbytes")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: exit code 0 done, 1 failed, 2 bad input."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # titles and λ are beyond what a Windows console's code page has
            stream.reconfigure(encoding="utf-8", newline="\n")
    arguments = _parser().parse_args(argv)
    arguments.command_line = command_line("molorec", sys.argv[1:] if argv is None else [str(word) for word in argv])
    try:
        if getattr(arguments, "lam_file", None):
            from molorec.mixture import lam  # not at the top: most commands need no torch

            arguments.lam = lam.read(arguments.lam_file)
        arguments.run(arguments)
    except MolorecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe (`| head`) has gone
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a file that the user named cannot be written, a full disk
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


# -- commands ----------------------------------------------------------------------------------------------------


def doctor(arguments: argparse.Namespace) -> None:
    """Versions, device, what is here, what is missing and how to get it."""
    import torch

    from molorec import backbone, precision
    from molorec.catalog import Catalog

    profile = config.profile(arguments.profile)
    model = backbone.here(profile)
    domains = [info.name for info in Catalog().domains()]
    adapters = sorted({folder.name for root in config.adapter_folders(profile) if root.is_dir()
                       for folder in root.iterdir() if folder.is_dir()})
    report = {
        "schema": SCHEMA, "molorec": __version__, "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES}, "home": str(config.home()), "profile": profile.name,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "precision": precision.chosen(None, profile.precision), "threads": torch.get_num_threads(),
        "model": str(model) if model else None, "domains": domains, "adapters": adapters,
        "missing": [text for absent, text in (
            (not model, f"the base model {profile.base}: it is fetched on first use"),
            (not domains, "data: `molorec domains fetch`"),
            (not adapters, "adapters: see training_scripts/"),
        ) if absent],
    }
    lines = [f"{key:10} {', '.join(value) if isinstance(value, list) else value}" for key, value in report.items()
             if key not in ("schema", "packages", "missing")]
    lines += [f"{name:14} {version or 'not installed'}" for name, version in report["packages"].items()]
    lines += [f"missing: {text}" for text in report["missing"]] or ["nothing is missing"]
    _emit(arguments, report, lines)


def domains_list(arguments: argparse.Namespace) -> None:
    """The domains of the catalogue, and how to get the known ones that are not in it."""
    from molorec.catalog import Catalog, known

    here = Catalog().domains()
    missing = known.missing(here, {**known.DOMAINS, **known.FURTHER})
    lines = [f"{d.name}: {d.users:,} users, {d.items:,} {d.noun}, {d.events:,} events" for d in here] or ["no domains yet"]
    lines += [f"{domain.name}: {domain.label}, data not here; get it with `{domain.command}`" for domain in missing]
    lines += dict.fromkeys(domain.about for domain in missing if domain.about)
    _emit(arguments, {"schema": SCHEMA, "domains": [vars(info) for info in here], "not_here": [
        {"name": each.name, "label": each.label, "command": each.command, "about": each.about} for each in missing]}, lines)


def domains_fetch(arguments: argparse.Namespace) -> None:
    """Get a known domain from its publisher: MovieLens-1M, or the one that is named."""
    from molorec.catalog import Catalog
    from molorec.datasets import ensure

    info = ensure(Catalog(), arguments.name, quiet=arguments.json)
    _emit(arguments, {"schema": SCHEMA, "domain": vars(info)}, [f"{info.name}: {info.users:,} users, {info.items:,} {info.noun}",
                                                                *info.notes])


def domains_add(arguments: argparse.Namespace) -> None:
    """Add a domain from two CSV files, or from a data set as it was published (--from)."""
    from molorec import datasets
    from molorec.catalog import Catalog, csv_source, prepare

    check_least(1, core=arguments.core)
    files = arguments.items, arguments.interactions
    catalog = Catalog()
    if arguments.original:
        if any(files) or arguments.item_columns or arguments.event_columns:
            raise BadInput("--from is a data set as it was published, whose columns are known; it goes without --items, "
                           "--interactions and their columns")
        columns, lines = None, []
        info = datasets.add_original(catalog, arguments.name, arguments.original, noun=arguments.noun, terms=arguments.terms,
                                     core=arguments.core, replace=arguments.replace)
    else:
        if not all(files):
            raise BadInput("give --items and --interactions, two CSV files, or --from, a data set as it was published")
        columns = {"items": _columns(files[0], csv_source.ITEM_COLUMNS, "--item-columns", arguments.item_columns),
                   "interactions": _columns(files[1], csv_source.EVENT_COLUMNS, "--event-columns", arguments.event_columns)}
        source = csv_source.read(*files, item_columns=columns["items"], event_columns=columns["interactions"])
        lines = [_taken(file, columns[what]) for what, file in zip(("items", "interactions"), files, strict=True)]
        info = catalog.add_domain(prepare(arguments.name, source, arguments.core), noun=arguments.noun or "items",
                                  source=", ".join(file.name for file in files), terms=arguments.terms, replace=arguments.replace)
    shared = {other.name: catalog.shared_titles(info.name, other.name) for other in catalog.domains() if other.name != info.name}
    lines += [f"{info.name}: {info.users:,} users, {info.items:,} {info.noun}, {info.events:,} events", *info.notes]
    lines += [f"{count} titles in common with {other} (removed where a general adapter is trained for it)"
              for other, count in shared.items() if count]
    _emit(arguments, {"schema": SCHEMA, "domain": vars(info), "columns": columns, "shared_titles": shared}, lines)


def domains_remove(arguments: argparse.Namespace) -> None:
    """Delete a domain."""
    from molorec.catalog import Catalog

    Catalog().remove_domain(arguments.name)
    _emit(arguments, {"schema": SCHEMA, "removed": arguments.name}, [f"{arguments.name} is gone"])


def domains_overlap(arguments: argparse.Namespace) -> None:
    """Count the titles that domains share, or say what a training of the general adapter would leave out for its targets."""
    from molorec.catalog import Catalog, overlap

    catalog = Catalog()
    if bool(arguments.general) != bool(arguments.targets) or (arguments.general and arguments.names):
        raise BadInput("give names of domains to compare, or both --general and --targets")
    if arguments.general:
        removals = overlap.removals(catalog, arguments.general, arguments.targets)
        lines = []
        for found in removals:
            lines += [f"{found.domain}: {len(found.titles):,} of {found.items:,} items have a title of "
                      f"{' or '.join(arguments.targets)} and are left out of training, with "
                      f"{found.events - found.events_left:,} of {found.events:,} events and "
                      f"{found.users - found.users_left:,} of {found.users:,} people"]
            lines += [f"  {title}" for title in found.titles if arguments.titles]
        _emit(arguments, {"schema": SCHEMA, "targets": arguments.targets, "general": [
            {**asdict(found), "titles": len(found.titles), **({"left_out": found.titles} if arguments.titles else {})}
            for found in removals]}, lines)
        return
    names = arguments.names or [info.name for info in catalog.domains()]
    pairs = overlap.shared(catalog, names)
    own = {name: len(catalog.normal_forms(name)) for name in names}
    counts = {pair.domains: len(pair.titles) for pair in pairs}
    width = max(map(len, names))
    lines = ["distinct titles of each, and those shared by two:", " " * width + "".join(f"  {name:>7}" for name in names)]
    for name in names:
        row = [own[name] if name == other else counts.get((name, other), counts.get((other, name))) for other in names]
        lines.append(f"{name:{width}}" + "".join(f"  {count:>{max(7, len(other))},}" for count, other in
                                                 zip(row, names, strict=True)))
    for pair in pairs:
        if arguments.titles and pair.titles:
            lines += [f"{' and '.join(pair.domains)}:", *(f"  {title}" for title in pair.titles)]
    _emit(arguments, {"schema": SCHEMA, "titles": own, "pairs": [
        {"domains": pair.domains, "shared": len(pair.titles), **({"titles": pair.titles} if arguments.titles else {})}
        for pair in pairs]}, lines)


def domains_lists(arguments: argparse.Namespace) -> None:
    """Print the stored candidate lists as JSON lines, in prompt order; with --json as one document with their hash."""
    from molorec.catalog import Catalog

    catalog = Catalog()
    lines = catalog.export_lists(arguments.name, arguments.setting, arguments.split)
    if not arguments.json:
        for line in lines:
            print(line)
        return
    _emit(arguments, {"schema": SCHEMA, "domain": arguments.name, "setting": arguments.setting, "split": arguments.split,
                      "lists_sha256": catalog.lists_sha256(arguments.name, arguments.setting, arguments.split),
                      "lists": [json.loads(line) for line in lines]}, [])


def rank(arguments: argparse.Namespace) -> None:
    """Rank a user's candidates at λ."""
    from molorec import documents
    from molorec.mixture.lam import in_words
    from molorec.prompts import HISTORY_TITLES

    engine = _engine(arguments)
    ranking = engine.rank(_example(engine, arguments), arguments.lam, arguments.rule)
    history = [f"  {item.title}" for item in ranking.example.history[-HISTORY_TITLES:]]
    who = f"user {ranking.example.user}" if ranking.example.user else "a history"
    lines = [f"{who} of {arguments.domain}, the last of {len(ranking.example.history)} choices:", *history,
             f"ranking at {in_words(ranking.lam)} (rule {ranking.rule}), entropy {ranking.entropy:.3f} nat:"]
    lines += [f"{r.rank:3}  {r.probability:6.1%}  {r.item.title}" for r in ranking.items[: arguments.top]]
    _emit(arguments, documents.ranking(ranking), lines)


def tune(arguments: argparse.Namespace) -> None:
    """Choose λ by entropy on unlabelled prompts: one for all layers, or one for each layer or module."""
    if arguments.out and not arguments.out.resolve().parent.is_dir():
        raise BadInput(f"--out {arguments.out}: there is no folder {arguments.out.parent}; make it first")
    engine = _engine(arguments)
    if arguments.granularity == "global" and engine.mixture(arguments.domain).is_pair:
        if arguments.keep != 1:
            raise BadInput("--keep is for λ by layer or module; one λ for all layers is found on all prompts")
        document, lines = _tuned(engine, arguments)
    else:
        document, lines = _descended(engine, arguments)
    if arguments.out:
        arguments.out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        lines.append(f"written: {arguments.out}; use it with --lam-file {arguments.out}")
    _emit(arguments, document, lines)


def _tuned(engine, arguments: argparse.Namespace) -> tuple[dict, list[str]]:
    from molorec import documents, tuning

    step, shown = None, 0
    for step in tuning.tune(engine, arguments.domain, arguments.prompts, arguments.rule, arguments.setting,
                            objective=arguments.objective, tokens=arguments.tokens):
        if not arguments.json and (step.settled or step.prompts > shown):
            shown = step.prompts
            print(f"{step.prompts:3} prompts  λ {step.lam:.3f} ({step.lam_low:.2f} to {step.lam_high:.2f})  {step.by} "
                  f"{step.entropy:.4f} nat  {step.seconds:.1f} s", flush=True)
    return documents.tuned(arguments.domain, step), [
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
    return documents.tuned(arguments.domain, step, arguments.granularity), [
        f"{in_words(step.lam)}: {step.entropy:.4f} nat, against {step.entropy_first:.4f} at {in_words(step.first)} for all "
        f"layers and {step.entropy_start:.4f} where all adapters weigh the same",
        f"on the prompts held out: {step.held_out:.4f} nat, {step.held_out_first:.4f} at {in_words(step.first)} for all layers; "
        f"{step.verdict}"]


def explain(arguments: argparse.Namespace) -> None:
    """Why the first title is first: evidence, and a checked text."""
    from molorec import documents, explaining

    engine = _engine(arguments)
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
    _emit(arguments, documents.explanation(arguments.domain, example.user, ranking.lam, top, text, evidence), lines)


def evaluate(arguments: argparse.Namespace) -> None:
    """Every system on the same lists."""
    from molorec.catalog.lists import HARD
    from molorec.evaluation import metrics, parts, protocol, runs
    from molorec.evaluation import rows as stored
    from molorec.mixture.lam import short, to_json

    _check_evaluation(arguments)
    part = _part(arguments)
    lams = _lams(arguments)
    engine = _engine(arguments)

    def report(done: int, total: int) -> None:
        if not arguments.json and (done == total or done % 50 == 0):
            print(f"{done}/{total} users", file=sys.stderr, flush=True)

    if arguments.sweep:
        examples = engine.catalog.examples(arguments.domain, "quick", "validation", arguments.limit or 500)
        if not examples:
            raise BadInput(f"domain '{arguments.domain}' has no validation lists")
        points = protocol.sweep(engine, examples, SWEEP, arguments.rule, report)
        _emit(arguments, {"schema": SCHEMA, "domain": arguments.domain, "split": "validation", "n": len(examples),
                          "lists_sha256": engine.catalog.lists_sha256(arguments.domain, "validation", "quick"),
                          "sweep": [{"lam": lam, "entropy": h, "ndcg@1": n} for lam, h, n in points]},
              [f"λ {lam:.2f}  entropy {h:.3f}  NDCG@1 {n:.3f}  ({len(examples)} validation lists)" for lam, h, n in points])
        return
    asked = (engine, arguments.domain, arguments.split, arguments.setting, arguments.limit,
             arguments.systems or protocol.SYSTEMS, arguments.rule, lams.pop("", arguments.lam), lams, arguments.shuffles,
             arguments.command_line)
    if part:
        path = parts.measure_part(engine, protocol.plan(*asked), *part, arguments.parts, report, arguments.at_once)
        _emit(arguments, {"schema": SCHEMA, "part": str(path)}, [f"measured: {path}; all parts together: molorec evaluate "
                                                                 f"--parts {arguments.parts}"])
        return
    if arguments.parts:
        planned, answers = parts.together(arguments.parts)
        used = engine.base.sha256, arguments.domain, engine.mixture(arguments.domain).key
        if (planned.base, planned.domain, planned.adapters) != used:
            raise BadInput(f"the parts in {arguments.parts} are of domain '{planned.domain}', base {planned.base[:12]} and "
                           f"adapters {planned.adapters}; give --domain, --base and --adapters as for them")
        other = _unlike(arguments, planned)
        if other:
            raise BadInput(f"the parts in {arguments.parts} were measured with another {', '.join(other)}; leave out what is "
                           "kept with them, or give it as for them")
        result = protocol.table(protocol.rows_of(planned, answers, protocol.facts(engine, planned)))
    else:
        result = protocol.evaluate(*asked, on_user=report, at_once=arguments.at_once)
    if arguments.update_cards:
        protocol.write_scores(result, engine.mixture(arguments.domain).adapters)
    try:
        rows = str([stored.save(system.rows, arguments.rows).parent for system in result.systems][0])
        kept = str(runs.save(runs.record(result)))
    except MolorecError as error:  # what was measured is worth printing all the same
        rows = kept = None
        print(f"note: {error}", file=sys.stderr)
    document = {
        "schema": SCHEMA, "domain": result.domain, "split": result.split, "setting": result.setting,
        "lists_sha256": result.lists_sha256, "moves": result.moves, "weak": result.shortcomings, "verdict": result.verdict,
        "kept": kept, "rows": rows,
        "systems": [{"name": s.name, "n": s.rows.n, "ndcg@1": s.ndcg(1), "ndcg@3": s.ndcg(3), "ndcg@5": s.ndcg(5),
                     "ndcg@10": s.ndcg(10), "hr@3": s.hit_rate(3), "hr@10": s.hit_rate(10), "lo": s.low, "hi": s.high,
                     "lam": to_json(s.lam), "against": {name: list(values) for name, values in s.against.items()},
                     "second_or_third": _mean(metrics.second_or_third(s.ranks)),
                     "by_position": [_mean(values) for values in s.by_position()]}
                    for s in result.systems]}
    here, warm = (len(engine.catalog.users(result.domain, result.split, setting)) for setting in (result.setting, "warm"))
    left_out = warm - here if result.setting in HARD else 0
    document["left_out"] = left_out
    lines = [f"{result.domain}, {result.split}, {result.setting}, lists {result.lists_sha256[:12]}"
             + (f"; {left_out} of {warm} people left out, for whose true title there are too few like it" if left_out else ""),
             f"{'system':12}{'λ':>6}{'n':>7}{'NDCG@1':>9}{'95% interval':>16}{'NDCG@3':>9}{'2nd-3rd':>9}"
             f"{'  minus popularity':>28}"]
    for s in result.systems:
        gain = s.against.get("popularity")
        against = f"{gain[0]:+.3f} [{gain[1]:+.3f}, {gain[2]:+.3f}]" if gain else ""
        second_or_third = metrics.second_or_third(s.ranks)
        missed = f"{second_or_third.mean():.1%}" if len(second_or_third) else ""
        lines.append(f"{s.name:12}{short(s.lam):>6}{s.rows.n:>7}{s.ndcg(1):>9.3f}{f'{s.low:.3f} to {s.high:.3f}':>16}"
                     f"{s.ndcg(3):>9.3f}{missed:>9}{against:>28}")
    lines += ["2nd-3rd: of the users whose title is not first, how many have it second or third; by chance 6.9%", result.verdict]
    if result.moves is not None:
        lines.append(f"the first title differs between λ = 0, ½ and 1 for {result.moves:.0%} of users")
    if kept:
        lines += [f"kept for the tab Results: {kept}", f"kept user by user: {rows}"]
    _emit(arguments, document, lines)


def entropies(arguments: argparse.Namespace) -> None:
    """Measure the entropy of each unlabelled prompt at nine λ, and keep it: what λ is learned from how many of them."""
    from molorec.evaluation import entropies as measured

    engine = _engine(arguments)

    def report(done: int, total: int) -> None:
        if not arguments.json and (done == total or done % 10 == 0):
            print(f"{done}/{total} prompts", file=sys.stderr, flush=True)

    found = measured.measure(engine, arguments.domain, arguments.setting, arguments.prompts, arguments.rule,
                             arguments.command_line, report)
    path = measured.save(found, arguments.rows)
    _emit(arguments, {"schema": SCHEMA, "domain": found.domain, "setting": found.setting, "kept": str(path),
                      "learned": [vars(one) for one in found.by_count()]},
          [*(f"{one.prompts:3} prompts: λ {one.lam:.3f} ({one.low:.2f} to {one.high:.2f})" for one in found.by_count()),
           f"kept: {path}"])


def report(arguments: argparse.Namespace) -> None:
    """Make every table anew from stored rows: as Markdown and CSV, for the tab Results, and in texts that quote them."""
    from molorec.evaluation import entropies as measured
    from molorec.evaluation import report as reports
    from molorec.evaluation import rows, runs
    from molorec.spreadsheet import csv_text

    place = arguments.rows or rows.folder()
    found, problems = rows.load(place)
    learned, more = measured.load(place)
    for problem in (*problems, *more):
        print(f"note: {problem}", file=sys.stderr)
    if not found:
        raise BadInput(f"there are no rows in {place}; run `molorec evaluate`, or give the folder of others with --rows")
    tests = reports.tests(found)
    text = "\n\n".join(f"## {name}\n\n{reports.markdown(systems)}" for name, systems in tests.items())
    if learned:
        text += f"\n\n## λ that entropy chooses\n\n{reports.learned(learned)}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "report.md").write_text(text + "\n", "utf-8")
    lines = [line for systems in tests.values() for line in reports.csv_rows(systems)]
    (arguments.out / "report.csv").write_text(csv_text(reports.CSV_HEAD, lines), "utf-8")
    for name, systems in tests.items():
        runs.write(runs.from_rows(systems), arguments.out / f"{name.replace(' ', '-')}.json")
    for file in arguments.fill:
        try:
            quoting = file.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise BadFile(file, f"it is no UTF-8 text ({error}); give a Markdown file") from error
        file.write_text(reports.fill(quoting, reports.quotes(found, learned)), "utf-8")
    names = {name: [each.system for each in systems] for name, systems in tests.items()}
    _emit(arguments, {"schema": SCHEMA, "tests": names,
                      "out": str(arguments.out)}, [text, "", f"written into {arguments.out}: report.md, report.csv, JSON"])


def export(arguments: argparse.Namespace) -> None:
    """Write the mixture at λ as one PEFT adapter, or as a whole model, and compare it with the live mixture."""
    _check_replaceable(arguments.out, arguments.force)
    if arguments.dense and arguments.rank is not None:
        raise BadInput("--rank is of an adapter; a whole model (--dense) has none")
    from molorec import fidelity
    from molorec.mixture import adapters
    from molorec.mixture import export as exporting
    from molorec.mixture.lam import Lam, to_json
    from molorec.mixture.rule import as_weights

    engine = _engine(arguments)
    mixture = engine.mixture(arguments.domain)
    lam = arguments.lam if isinstance(arguments.lam, Lam) else as_weights(arguments.lam, len(mixture.adapters))
    exact = not arguments.dense and arguments.rank is None
    if arguments.dense:
        folder = exporting.export_dense(mixture.stack, lam, arguments.rule, _base_folder(engine), arguments.out, arguments.dense)
        found = fidelity.of_model(engine, arguments.domain, folder, arguments.lam, arguments.rule, arguments.dense)
    else:
        folder = exporting.export(list(mixture.adapters), mixture.stack, lam, arguments.rule, arguments.out, engine.base.name,
                                  arguments.rank)
        found = fidelity.of_adapter(engine, arguments.domain, folder, arguments.lam, arguments.rule)
    if exact:
        found.check(engine.base.precision)
    card = adapters.read_card(folder)
    error = card.data.get("truncation error") if card else None
    lines = [f"written: {folder}", str(found)]
    if error is not None:
        lines.insert(1, f"of the mixture's change to the weights, rank {arguments.rank} leaves out {error:.1%} (Frobenius norm)")
    _emit(arguments, {"schema": SCHEMA, "domain": arguments.domain, "lam": to_json(arguments.lam), "rule": arguments.rule,
                      "folder": str(folder), "rank": arguments.rank, "truncation_error": error, "dense": arguments.dense,
                      "difference": found.difference, "same_first": found.same_first, "lists": found.lists}, lines)


def _base_folder(engine) -> Path:
    if engine.base.folder is None:
        raise BadInput("the base model was not loaded from a folder, so there is nothing to add the mixture to")
    return engine.base.folder


def serve(arguments: argparse.Namespace) -> None:
    """Export a domain's mixtures at several λ and have vLLM serve them, to this machine alone."""
    from molorec import backbone
    from molorec.backends import server
    from molorec.backends.vllm import INSTALL
    from molorec.catalog import Catalog
    from molorec.engine import Engine
    from molorec.mixture import export

    if not arguments.only_print:
        port.check_free(arguments.port)
    profile = config.profile(arguments.profile)
    base = backbone.outline(arguments.base, profile, arguments.precision)
    folders = [arguments.adapters] if arguments.adapters else config.adapter_folders(profile, arguments.base)
    mixture = Engine(base, Catalog(), folders, also=arguments.also).mixture(arguments.domain)
    made = server.export_mixtures(mixture, arguments.rule, arguments.points, arguments.out)
    command, environment = server.command(base, made, export.rank_of(mixture.stack, arguments.rule), arguments.port,
                                          arguments.more)
    _emit(arguments, {"schema": SCHEMA, "command": command, "mixtures": list(made)},
          [f"{len(made)} mixtures are in {arguments.out}", shlex.join(command)])
    if not arguments.only_print:
        if importlib.util.find_spec("vllm") is None:
            raise MolorecError(f"vLLM is not here; {INSTALL}")
        sys.stdout.flush()  # what this process still holds back goes with it
        if arguments.json:
            os.dup2(2, 1)  # what vLLM says is no part of the document
        os.execve(command[0], command, {**os.environ, **environment})


def adapters_list(arguments: argparse.Namespace) -> None:
    """The adapters of this machine, in the order in which they are looked for."""
    from molorec import hub

    found = hub.here(config.profile(arguments.profile))
    used = {entry.folder.name: entry.folder for entry in reversed(found)}
    lines = []
    for entry in found:
        what = entry.problem or (f"{entry.card.role}, {entry.card.base}, template {entry.card.template}, {entry.card.steps} steps"
                                 if entry.card else "no card")
        lines.append(f"{entry.folder.name}: {what}, {entry.folder}" + ("" if used[entry.folder.name] == entry.folder
                                                                     else " (not used: another of its name comes first)"))
    _emit(arguments, {"schema": SCHEMA, "adapters": [
        {"name": entry.folder.name, "folder": str(entry.folder), "used": used[entry.folder.name] == entry.folder,
         "problem": entry.problem, "card": asdict(entry.card) if entry.card else None} for entry in found]},
          lines or ["no adapters yet: see training_scripts/"])


def adapters_push(arguments: argparse.Namespace) -> None:
    """Upload an adapter with its card to the Hugging Face hub."""
    from molorec import hub

    address = hub.push(arguments.folder, arguments.repository, arguments.public)
    _emit(arguments, {"schema": SCHEMA, "repository": arguments.repository, "commit": address}, [f"uploaded: {address}"])


def adapters_pull(arguments: argparse.Namespace) -> None:
    """Download an adapter from the Hugging Face hub to where it comes into use."""
    from molorec import hub

    folder = hub.pull(arguments.repository, config.profile(arguments.profile), arguments.name, arguments.replace)
    _emit(arguments, {"schema": SCHEMA, "repository": arguments.repository, "folder": str(folder)}, [f"here: {folder}"])


# -- the parser --------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="molorec", description=__doc__)
    parser.add_argument("--version", action="version", version=f"molorec {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

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
    model.add_argument("--adapters", type=Path, help="folder of adapter folders (default: those that ship)")
    who = argparse.ArgumentParser(add_help=False)
    who.add_argument("--user", help="user id (default: the first of the evaluated users)")
    who.add_argument("--setting", default="warm", help="warm, validation or new-item (default: %(default)s)")
    who.add_argument("--history-ids", metavar="IDS", help="in place of a user: item ids, oldest first, joined by | "
                                                            "(an id's own | and \\ are written \\| and \\\\)")
    who.add_argument("--candidate-ids", metavar="IDS", help="with --history-ids: the items to rank")
    _add_lam(who, "λ: 0 specific alone, 1 general alone (default: %(default)s)", default=0.5)

    def add(to, name, run, parents):
        command = to.add_parser(name, help=run.__doc__.splitlines()[0], description=run.__doc__, parents=parents)
        command.set_defaults(run=run)
        return command

    add(commands, "doctor", doctor, [common])

    domains = commands.add_parser("domains", help="List, fetch, add, compare or remove domains.")
    domains = domains.add_subparsers(required=True, metavar="ACTION")
    add(domains, "list", domains_list, [common])
    add(domains, "fetch", domains_fetch, [common]).add_argument(
        "name", metavar="NAME", nargs="?", default="movielens-1m",
        help="movielens-1m (default), -100k, -10m or -latest-small, or amazon14_beauty, _toys or _sports")
    adding = add(domains, "add", domains_add, [common])
    adding.add_argument("name", metavar="NAME")
    adding.add_argument("--items", type=Path, help="CSV: item_id, title, and categories if there are any")
    adding.add_argument("--interactions", type=Path, help="CSV: user_id, item_id, and time if there is one")
    adding.add_argument("--from", type=Path, nargs="+", metavar="PATH", dest="original",
                        help="in their place, a data set as it was published: a folder or zip archive with MovieLens (100K, 1M, "
                             "10M, or movies.csv and ratings.csv) or Amazon reviews (reviews_X_5.json.gz and meta_X.json.gz, "
                             "2014 or 2018), or Amazon's two files")
    adding.add_argument("--item-columns", metavar="KEY=COLUMN,…", default="",
                        help="what the items' header calls item_id, title and categories, such as item_id=asin,title=name; "
                             "what is not given is guessed, and `categories=` leaves them out")
    adding.add_argument("--event-columns", metavar="KEY=COLUMN,…", default="",
                        help="the same for user_id, item_id and time of the interactions; `time=` takes the order of the lines")
    adding.add_argument("--noun", default="", help="what the items are called in prompts (default: items; films or products "
                                                   "with --from)")
    adding.add_argument("--terms", default="", help="terms of use of the data, kept on the adapters' cards (default: the "
                                                    "publisher's with --from)")
    adding.add_argument("--core", type=int, default=5, help="least events of a user and of an item (default: %(default)s)")
    adding.add_argument("--replace", action="store_true", help="replace a domain of that name")
    add(domains, "remove", domains_remove, [common]).add_argument("name", metavar="NAME")
    comparing = add(domains, "overlap", domains_overlap, [common])
    comparing.add_argument("names", metavar="NAME", nargs="*", help="domains to compare (default: all)")
    comparing.add_argument("--titles", action="store_true", help="list the titles too")
    comparing.add_argument("--general", metavar="NAME", nargs="+", help="domains that a general adapter is trained on")
    comparing.add_argument("--targets", metavar="NAME", nargs="+", help="domains that it is meant for")
    listing = add(domains, "lists", domains_lists, [common])
    listing.add_argument("name", metavar="NAME")
    listing.add_argument("--setting", default="warm")
    listing.add_argument("--split", choices=["tune", "quick", "full"])

    adapters = commands.add_parser("adapters", help="List adapters, push them to the hub or pull them from there.")
    adapters = adapters.add_subparsers(required=True, metavar="ACTION")
    add(adapters, "list", adapters_list, [common])
    pushing = add(adapters, "push", adapters_push, [common])
    pushing.add_argument("folder", type=Path, metavar="FOLDER")
    pushing.add_argument("repository", metavar="SOMEONE/NAME", help="on the hub; made if it is not there")
    pushing.add_argument("--public", action="store_true", help="let everyone see a repository that is made (default: you alone)")
    pulling = add(adapters, "pull", adapters_pull, [common])
    pulling.add_argument("repository", metavar="SOMEONE/NAME", help="on the hub; @revision may follow")
    pulling.add_argument("--name", help="of the folder (default: general, or the card's domain)")
    pulling.add_argument("--replace", action="store_true", help="replace an adapter of that name")

    serving = add(commands, "serve", serve, [common, model])
    serving.add_argument("--points", type=int, default=21, help="equally spaced λ to serve (default: %(default)s)")
    serving.add_argument("--port", type=port.of, default=8000, help="on this machine alone (default: %(default)s)")
    serving.add_argument("--out", type=Path, required=True, help="folder for the exported mixtures")
    serving.add_argument("--print", action="store_true", dest="only_print", help="write the mixtures and print the command only")
    serving.add_argument("more", nargs="*", metavar="-- OPTIONS", help="of vLLM itself, such as -- --data-parallel-size 8")

    add(commands, "rank", rank, [common, model, who]).add_argument("--top", type=int, default=10, help="lines shown")
    tuning = add(commands, "tune", tune, [common, model])
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
    command = add(commands, "explain", explain, [common, model, who])
    command.add_argument("--item", help="a candidate's id (default: the first)")
    command.add_argument("--style", default="short", help="how long the reason is: short (default) or detailed")
    evaluating = add(commands, "evaluate", evaluate, [common, model])
    evaluating.add_argument("--split", default="quick", help="quick or full (default: %(default)s)")
    evaluating.add_argument("--setting", default="warm",
                            help="warm, new-item, warm-popular or warm-category (default: %(default)s)")
    evaluating.add_argument("--limit", type=int, help="at most so many users")
    evaluating.add_argument("--lam", type=float, help="measure this λ as `chosen`, in place of `mixed` (tuned without labels)")
    evaluating.add_argument("--systems", nargs="+", metavar="SYSTEM",
                            help="what to measure: popularity, base, general, specific, half, mixed (default: these), "
                                 "contrast (λ tuned by that objective), grid (λ best on validation lists), oracle (λ best on the "
                                 "other half of the users)")
    evaluating.add_argument("--lam-file", action="append", default=[], dest="lam_files", metavar="[NAME=]FILE",
                            help="also measure the λ in this file, as NAME, such as mixed-layer; without a name, as --lam does")
    evaluating.add_argument("--shuffles", type=int, default=1, metavar="K",
                            help="average the probabilities over K orders of each list (template `listed`)")
    evaluating.add_argument("--sweep", action="store_true", help="entropy and NDCG@1 at five λ on validation lists instead")
    evaluating.add_argument("--rows", type=Path, metavar="FOLDER",
                            help="where each system's rows are kept, user by user (default: in MOLOREC_HOME)")
    evaluating.add_argument("--parts", type=Path, metavar="FOLDER", help="put the parts in this folder together")
    evaluating.add_argument("--part", metavar="I/N", help="measure the I-th of N parts into the folder --parts, or let it go on")
    evaluating.add_argument("--at-once", type=int, metavar="USERS",
                            help="users ranked together (default: as fill a pass; more pays with vLLM)")
    evaluating.add_argument("--update-cards", action="store_true", help="write scores and the tuned λ to the adapters' cards")
    measuring = add(commands, "entropies", entropies, [common, model])
    measuring.add_argument("--setting", default="warm", help="warm or new-item (default: %(default)s)")
    measuring.add_argument("--prompts", type=int, default=100, help="of the users that λ is tuned on (default: %(default)s)")
    measuring.add_argument("--rows", type=Path, metavar="FOLDER", help="where they are kept (default: in MOLOREC_HOME)")
    reporting = add(commands, "report", report, [common])
    reporting.add_argument("--rows", type=Path, metavar="FOLDER", help="of the stored rows (default: this machine's own)")
    reporting.add_argument("--out", type=Path, required=True, help="folder for the tables")
    reporting.add_argument("--fill", type=Path, nargs="+", default=[], metavar="FILE",
                           help="texts that quote tables between <!-- table … --> and <!-- end of table -->")
    exporting = add(commands, "export", export, [common, model])
    _add_lam(exporting, "λ: 0 specific alone, 1 general alone", required=True)
    exporting.add_argument("--out", type=Path, required=True, help="folder to write")
    exporting.add_argument("--rank", type=int, help="rank of the adapter, by truncated SVD (default: the exact one)")
    exporting.add_argument("--dense", choices=["bfloat16", "nf4"], help="write a whole model with the mixture in its weights")
    exporting.add_argument("--force", action="store_true", help="replace the adapter that is in the folder")
    return parser


def _add_lam(parser: argparse.ArgumentParser, text: str, default: float | None = None, required: bool = False) -> None:
    """λ as a number or from a file; either way it is ``lam`` once a command runs."""
    either = parser.add_mutually_exclusive_group(required=required)
    either.add_argument("--lam", type=float, default=default, help=text)
    either.add_argument("--lam-file", type=Path, metavar="FILE",
                        help="λ of any granularity: a file that `molorec tune --out` wrote, or a saved λ")


def _engine(arguments: argparse.Namespace):
    from molorec.catalog import Catalog
    from molorec.datasets import ensure_movielens
    from molorec.engine import Engine

    catalog = Catalog()
    if arguments.domain == "movielens-1m":
        ensure_movielens(catalog, quiet=arguments.json)
    catalog.domain(arguments.domain)
    if arguments.adapters and not arguments.adapters.is_dir():
        raise BadInput(f"--adapters {arguments.adapters}: there is no such folder")
    folders = [arguments.adapters] if arguments.adapters else None
    engine = Engine.start(config.profile(arguments.profile), arguments.base, catalog, folders, arguments.precision,
                          arguments.backend, arguments.also)
    for problem in engine.mixture(arguments.domain).problems:
        print(f"note: {problem}", file=sys.stderr)
    return engine


def _columns(file: Path, wanted: Sequence[str], option: str, text: str) -> dict[str, str]:
    """What is wanted of a file → its column, from an option such as ``item_id=asin,title=name`` and the file's header."""
    from molorec.catalog import csv_source

    given: dict[str, str] = {}
    for part in next(csv.reader([text]), []):  # as in CSV, double quotes hold a name with a comma together
        key, sign, column = (word.strip() for word in part.partition("="))
        if not sign or key not in wanted or key in given:
            raise BadInput(f"{option} {text}: '{part}' is not understood; give each of {', '.join(wanted)} once at most, as "
                           f"{wanted[0]}=COLUMN, with commas between them")
        given[key] = column
    return csv_source.mapping(file, wanted, given, f"say which with {option} {wanted[0]}=COLUMN,{wanted[1]}=COLUMN")


def _taken(file: Path, columns: dict[str, str]) -> str:
    """Which columns were read, so that a wrong guess is seen."""
    return f"{file.name}: " + ", ".join(f"{key} is '{column}'" if column else f"no {key}" for key, column in columns.items())


def _part(arguments: argparse.Namespace) -> tuple[int, int] | None:
    """The part asked for and how many there are."""
    if arguments.part is None:
        return None
    if arguments.parts is None:
        raise BadInput("--part needs a folder to write to: --parts FOLDER")
    first, sign, second = arguments.part.partition("/")
    if not (sign and first.isdecimal() and second.isdecimal()):
        raise BadInput(f"--part {arguments.part} is not understood; give the first of two as 1/2")
    return int(first), int(second)


def _lams(arguments: argparse.Namespace) -> dict:
    """System → λ, of the options --lam-file; one without a name is what --lam would give."""
    from molorec.mixture import lam

    found = {}
    for text in arguments.lam_files:
        name, sign, file = text.rpartition("=")
        if not file or (sign and not name) or name in found or (not name and arguments.lam is not None):
            raise BadInput(f"--lam-file {text} is not understood; give each system once, as mixed-layer=FILE")
        found[name] = lam.read(Path(file))
    return found


def _mean(values) -> dict:
    """A mean over users as a document holds it."""
    from molorec.evaluation.metrics import Interval

    if not len(values):
        return {"n": 0, "mean": None, "lo": None, "hi": None}
    found = Interval.of(values)
    return {"n": len(values), "mean": found.mean, "lo": found.low, "hi": found.high}


def _check_evaluation(arguments: argparse.Namespace) -> None:
    """Refuse options that would be ignored, and cards that would say something else than what was measured."""
    check_least(1, limit=arguments.limit, at_once=arguments.at_once)
    if arguments.parts and (arguments.sweep or arguments.update_cards):
        raise BadInput("--parts goes without --sweep and --update-cards")
    if arguments.part and arguments.rows:
        raise BadInput("--rows is of the whole: give it with --parts, once all parts are there")
    several = bool(arguments.systems or arguments.lam_files or arguments.shuffles != 1)
    if arguments.sweep and (arguments.rows or arguments.lam is not None or arguments.update_cards or several):
        raise BadInput("--sweep looks at five λ on validation lists; it goes without --rows, --lam, --lam-file, --systems, "
                       "--shuffles and --update-cards")
    if arguments.update_cards and (arguments.lam is not None or arguments.limit is not None or arguments.rule != "sum"
                                   or arguments.setting != "warm" or several):
        raise BadInput("cards keep the scores of whole splits at the tuned λ, rule sum, setting warm; leave out --lam, "
                       "--limit, --rule, --setting, --systems, --lam-file and --shuffles")


def _unlike(arguments: argparse.Namespace, plan) -> list[str]:
    """The options that were given, and not as for a stored plan."""
    usual = {"split": "quick", "setting": "warm", "rule": "sum", "limit": None, "shuffles": 1}
    found = [f"--{name}" for name, value in usual.items() if getattr(arguments, name) not in (value, getattr(plan, name))]
    if arguments.lam not in (None, plan.lams.get("chosen")):
        found.append("--lam")
    if not set(arguments.systems or ()) <= {*plan.systems, *(["mixed"] if "chosen" in plan.systems else [])}:
        found.append("--systems")
    return found


def _check_replaceable(folder: Path, force: bool) -> None:
    """Only an adapter is ever replaced: a slip of the pen in --out must not cost a folder of anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / "adapter_config.json").is_file():
        raise BadInput(f"'{folder}' exists and is no adapter; give another --out")
    if not force:
        raise BadInput(f"'{folder}' exists; give another --out, or --force to replace it")


def _example(engine, arguments: argparse.Namespace):
    if arguments.history_ids is not None or arguments.candidate_ids is not None:
        return _built_example(engine, arguments)
    user = arguments.user or next(iter(engine.catalog.users(arguments.domain, "quick", arguments.setting, limit=1)), None)
    if user is None:
        user = engine.catalog.random_user(arguments.domain, arguments.setting)
    return engine.catalog.example(arguments.domain, user, arguments.setting)


def _built_example(engine, arguments: argparse.Namespace):
    from molorec import id_list
    from molorec.catalog import RankingExample

    if arguments.user:
        raise BadInput("--user has a history and candidates already; give either --user, or --history-ids and --candidate-ids")
    history, candidates = (
        tuple(engine.catalog.item(arguments.domain, item_id) for item_id in id_list.split(text or ""))
        for text in (arguments.history_ids, arguments.candidate_ids))
    if not history or len(candidates) < 2:
        raise BadInput("give at least one id as --history-ids and two as --candidate-ids")
    return RankingExample(arguments.domain, history, candidates)


def _emit(arguments: argparse.Namespace, document: dict, lines: Sequence[str]) -> None:
    if arguments.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        for line in lines:
            print(line)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
