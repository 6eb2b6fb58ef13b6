"""``molorec evaluate``, ``entropies`` and ``report``: measuring, and the tables made of what was measured."""

import argparse
import sys
from pathlib import Path

from molorec import whole_file
from molorec.cli import common
from molorec.cli.common import SCHEMA, Options, emit, note
from molorec.errors import BadFile, BadInput, MolorecError, check_least

SWEEP = (0.0, 0.25, 0.5, 0.75, 1.0)


def add_parsers(commands, options: Options) -> None:
    """Add the commands' parsers."""
    evaluating = options.add(commands, "evaluate", evaluate, [options.common, options.model])
    evaluating.add_argument("--split", default="quick", help="quick or full (default: %(default)s)")
    evaluating.add_argument("--setting", default="warm",
                            help="warm, new-item, warm-popular or warm-category (default: %(default)s)")
    evaluating.add_argument("--limit", type=int, help="at most so many users (default: all; with --sweep 500)")
    evaluating.add_argument("--lam", type=float, help="measure this λ as `chosen`, in place of `mixed` (tuned without labels)")
    evaluating.add_argument("--systems", nargs="+", metavar="SYSTEM",
                            help="what to measure: popularity, base, general, specific, half, mixed (default: these), "
                                 "contrast (λ tuned by that objective), grid (λ best on validation lists, which are ranked at "
                                 "eleven λ for it: some 30 minutes of a CPU core), oracle (λ best on the other half of the "
                                 "users: eleven λ for each)")
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
    evaluating.set_defaults(when_stopped="; nothing was kept: with --part 1/1 --parts FOLDER it goes on where it was stopped")
    measuring = options.add(commands, "entropies", entropies, [options.common, options.model])
    measuring.add_argument("--setting", default="warm", help="warm or new-item (default: %(default)s)")
    measuring.add_argument("--prompts", type=int, default=100, help="of the users that λ is tuned on (default: %(default)s)")
    measuring.add_argument("--rows", type=Path, metavar="FOLDER", help="where they are kept (default: in MOLOREC_HOME)")
    reporting = options.add(commands, "report", report, [options.common])
    reporting.add_argument("--rows", type=Path, metavar="FOLDER", help="of the stored rows (default: this machine's own)")
    reporting.add_argument("--out", type=Path, required=True, help="folder for the tables")
    reporting.add_argument("--fill", type=Path, nargs="+", default=[], metavar="FILE",
                           help="texts that quote tables between <!-- table … --> and <!-- end of table -->")


def evaluate(arguments: argparse.Namespace) -> None:
    """Every system on the same lists."""
    from molorec.evaluation import parts, protocol, table
    from molorec.evaluation.plan import make_plan

    _check_evaluation(arguments)
    part = _part(arguments)
    lams = _lams(arguments)
    engine = common.engine(arguments)
    if arguments.sweep:
        _sweep(engine, arguments)
        return
    asked = (engine, arguments.domain, arguments.split, arguments.setting, arguments.limit,
             arguments.systems or table.SYSTEMS, arguments.rule, lams.pop("", arguments.lam), lams, arguments.shuffles,
             arguments.command_line)
    told, on_lam = _progress(arguments, "users", 50), _on_lam(arguments)
    if part:
        arguments.when_stopped = "; the same command goes on from there"
        tuned = parts.tuned(engine, arguments.parts, arguments.domain, arguments.setting, arguments.rule)
        path = parts.measure_part(engine, make_plan(*asked, tuned, on_lam), *part, arguments.parts, told, arguments.at_once)
        emit(arguments, {"schema": SCHEMA, "part": str(path)}, [f"measured: {path}; all parts together: molorec evaluate "
                                                                f"--parts {arguments.parts}"])
        return
    result = (_together(engine, arguments) if arguments.parts else
              protocol.evaluate(*asked, on_user=told, at_once=arguments.at_once, on_lam=on_lam))
    _emit_table(engine, arguments, result, *_keep(arguments, result))
    if arguments.update_cards:  # last: a card that cannot be written must not cost what was measured
        table.write_scores(result, engine.mixture(arguments.domain).adapters)


def entropies(arguments: argparse.Namespace) -> None:
    """Measure the entropy of each unlabelled prompt at nine λ, and keep it: what λ is learned from how many of them."""
    from molorec.evaluation import entropies as measured

    engine = common.engine(arguments)
    found = measured.measure(engine, arguments.domain, arguments.setting, arguments.prompts, arguments.rule,
                             arguments.command_line, _progress(arguments, "prompts", 10))
    path = measured.save(found, arguments.rows)
    emit(arguments, {"schema": SCHEMA, "domain": found.domain, "setting": found.setting, "kept": str(path),
                     "learned": [vars(one) for one in found.by_count()]},
         [*(f"{one.prompts:3} prompts: λ {one.lam:.3f} ({one.low:.2f} to {one.high:.2f})" for one in found.by_count()),
          f"kept: {path}"])


def report(arguments: argparse.Namespace) -> None:
    """Make every table anew from stored rows: as Markdown and CSV, for the tab Results, and in texts that quote them."""
    from molorec.evaluation import entropies as measured
    from molorec.evaluation import report as reports
    from molorec.evaluation import rows, runs
    from molorec.spreadsheet import csv_text

    if arguments.out.exists() and not arguments.out.is_dir():
        raise BadInput(f"--out {arguments.out} is a file; give a folder for the tables")
    place = arguments.rows or rows.folder()
    found, problems = rows.load(place)
    learned, more = measured.load(place)
    tables, apart = reports.tables(found)
    note(*problems, *more, *apart)
    if not found:
        raise BadInput(f"there are no rows in {place}; run `molorec evaluate`, or give the folder of others with --rows")
    if not tables:
        raise BadInput(f"no rows in {place} make a table together; run `molorec evaluate`")
    text = "\n\n".join(f"## {name}\n\n{reports.markdown(evaluation)}" for name, evaluation in tables.items())
    if learned:
        text += f"\n\n## λ that entropy chooses\n\n{reports.learned(learned)}"
    filled = {file: reports.fill(_text(file), reports.quotes(tables, learned)) for file in arguments.fill}
    whole_file.write(arguments.out / "report.md", text + "\n")
    lines = [line for evaluation in tables.values() for line in reports.csv_rows(evaluation)]
    whole_file.write(arguments.out / "report.csv", csv_text(reports.CSV_HEAD, lines))
    for name, evaluation in tables.items():
        runs.write(runs.record(evaluation), arguments.out / f"{name.replace(' ', '-')}.json")
    for file, whole in filled.items():
        whole_file.write(file, whole)
    names = {name: [result.name for result in evaluation.systems] for name, evaluation in tables.items()}
    emit(arguments, {"schema": SCHEMA, "tests": names,
                     "out": str(arguments.out)}, [text, "", f"written into {arguments.out}: report.md, report.csv, JSON"])


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(file, f"it cannot be read as UTF-8 text ({error}); give a Markdown file with --fill") from error


def _progress(arguments: argparse.Namespace, what: str, every: int):
    """Says on stderr how many are done, so that it can be told from the table."""
    def told(done: int, total: int) -> None:
        if not arguments.json and (done == total or done % every == 0):
            print(f"{done}/{total} {what}", file=sys.stderr, flush=True)

    return told


def _on_lam(arguments: argparse.Namespace):
    """Says on stderr how far the search for a system's λ is, which comes before the first user."""
    def told(system: str, done: int, total: int) -> None:
        _progress(arguments, f"lists looked at for the λ of '{system}'", 10)(done, total)

    return told


def _sweep(engine, arguments: argparse.Namespace) -> None:
    from molorec.evaluation.choosing import sweep

    if not engine.mixture(arguments.domain).is_pair:
        raise BadInput(f"domain '{arguments.domain}' has not two adapters here, so there is no λ to move")
    examples = engine.catalog.examples(arguments.domain, "quick", "validation", arguments.limit or 500)
    if not examples:
        raise BadInput(f"domain '{arguments.domain}' has no validation lists")
    points = sweep(engine, examples, SWEEP, arguments.rule, _progress(arguments, "users", 50))
    emit(arguments, {"schema": SCHEMA, "domain": arguments.domain, "split": "validation", "n": len(examples),
                     "lists_sha256": engine.catalog.lists_sha256(arguments.domain, "validation", "quick"),
                     "sweep": [{"lam": lam, "entropy": h, "ndcg@1": n} for lam, h, n in points]},
         [f"λ {lam:.2f}  entropy {h:.3f}  NDCG@1 {n:.3f}  ({len(examples)} validation lists)" for lam, h, n in points])


def _together(engine, arguments: argparse.Namespace):
    """The table of all parts in the folder --parts."""
    from molorec.evaluation import parts, protocol, table

    planned, answers = parts.together(arguments.parts)
    used = engine.base.sha256, arguments.domain, engine.mixture(arguments.domain).key
    if (planned.base, planned.domain, planned.adapters) != used:
        raise BadInput(f"the parts in {arguments.parts} are of domain '{planned.domain}', base {planned.base[:12]} and "
                       f"adapters {planned.adapters}; give --domain, --base and --adapters as for them")
    other = _unlike(arguments, planned)
    if other:
        raise BadInput(f"the parts in {arguments.parts} were measured with another {', '.join(other)}; leave out what is "
                       "kept with them, or give it as for them")
    return table.of(protocol.rows_of(planned, answers, protocol.facts(engine, planned)))


def _keep(arguments: argparse.Namespace, result) -> tuple[str | None, str | None]:
    """Where the run and its rows are kept; what was measured is worth printing even where they cannot be."""
    from molorec.evaluation import rows, runs, table

    measured, place = [system.rows for system in result.systems], arguments.rows or rows.folder()
    try:
        for file in table.set_aside(measured, place):
            note(f"rows made with another model, adapters, rule or λ are now {file}")
        folder = str([rows.save(each, place).parent for each in measured][0])
        return str(runs.save(runs.record(result))), folder
    except MolorecError as error:
        note(error)
        return None, None


def _emit_table(engine, arguments: argparse.Namespace, result, kept: str | None, rows: str | None) -> None:
    from molorec.catalog.lists import HARD
    from molorec.evaluation import metrics
    from molorec.mixture.lam import short, to_json
    from molorec.wording import few_shot

    here, warm = (len(engine.catalog.users(result.domain, result.split, setting)) for setting in (result.setting, "warm"))
    left_out = warm - here if result.setting in HARD else 0
    document = {
        "schema": SCHEMA, "domain": result.domain, "split": result.split, "setting": result.setting,
        "share": result.share, "lists_sha256": result.lists_sha256,
        "moves": result.moves, "weak": result.shortcomings, "verdict": result.verdict,
        "kept": kept, "rows": rows,
        "systems": [{"name": s.name, "n": s.rows.n, "ndcg@1": s.ndcg(1), "ndcg@3": s.ndcg(3), "ndcg@5": s.ndcg(5),
                     "ndcg@10": s.ndcg(10), "hr@3": s.hit_rate(3), "hr@10": s.hit_rate(10), "lo": s.low, "hi": s.high,
                     "lam": to_json(s.lam), "against": {name: list(values) for name, values in s.against.items()},
                     "second_or_third": _mean(metrics.second_or_third(s.ranks)),
                     "by_position": [_mean(values) for values in s.by_position()]}
                    for s in result.systems],
        "left_out": left_out}
    lines = [f"{result.domain}, {result.split}, {result.setting}{few_shot(result.share)}, lists {result.lists_sha256[:12]}"
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
    emit(arguments, document, lines)


def _check_evaluation(arguments: argparse.Namespace) -> None:
    """Refuse options that would be ignored, and cards that would say something else than what was measured."""
    check_least(1, limit=arguments.limit, at_once=arguments.at_once)
    if arguments.parts and (arguments.sweep or arguments.update_cards):
        raise BadInput("--parts goes without --sweep and --update-cards")
    if arguments.part and arguments.rows:
        raise BadInput("--rows is of the whole: give it with --parts, once all parts are there")
    if arguments.parts and not arguments.part and arguments.lam_files:
        raise BadInput("--lam-file is for measuring parts with --part; put together, they keep the λ they were measured at")
    several = bool(arguments.systems or arguments.lam_files or arguments.shuffles != 1)
    usual = arguments.split == "quick" and arguments.setting == "warm"
    if arguments.sweep and (arguments.rows or arguments.lam is not None or arguments.update_cards or several or not usual):
        raise BadInput("--sweep looks at five λ on validation lists; it goes without --split, --setting, --rows, --lam, "
                       "--lam-file, --systems, --shuffles and --update-cards")
    if arguments.update_cards and (arguments.lam is not None or arguments.limit is not None or arguments.rule != "sum"
                                   or arguments.setting != "warm" or several):
        raise BadInput("cards keep the scores of whole splits at the tuned λ, rule sum, setting warm; leave out --lam, "
                       "--limit, --rule, --setting, --systems, --lam-file and --shuffles")


def _part(arguments: argparse.Namespace) -> tuple[int, int] | None:
    """The part asked for and how many there are."""
    from molorec.evaluation import parts

    if arguments.part is None:
        return None
    if arguments.parts is None:
        raise BadInput("--part needs a folder to write to: --parts FOLDER")
    first, sign, second = arguments.part.partition("/")
    if not (sign and first.isdecimal() and second.isdecimal()):
        raise BadInput(f"--part {arguments.part} is not understood; give the first of two as 1/2")
    parts.check_part(int(first), int(second))  # before a model is loaded and λ tuned
    return int(first), int(second)


def _lams(arguments: argparse.Namespace) -> dict:
    """System → λ, of the options --lam-file; one without a name is what --lam would give."""
    found = {}
    for text in arguments.lam_files:
        name, sign, file = text.rpartition("=")
        if not file or (sign and not name) or name in found or (not name and arguments.lam is not None):
            raise BadInput(f"--lam-file {text} is not understood; give each system once, as mixed-layer=FILE")
        found[name] = common.lam_of(Path(file), arguments)
    return found


def _unlike(arguments: argparse.Namespace, plan) -> list[str]:
    """The options that were given, and not as for a stored plan."""
    usual = {"split": "quick", "setting": "warm", "rule": "sum", "limit": None, "shuffles": 1}
    found = [f"--{name}" for name, value in usual.items() if getattr(arguments, name) not in (value, getattr(plan, name))]
    if arguments.lam not in (None, plan.lams.get("chosen")):
        found.append("--lam")
    if not set(arguments.systems or ()) <= {*plan.systems, *(["mixed"] if "chosen" in plan.systems else [])}:
        found.append("--systems")
    return found


def _mean(values) -> dict:
    """A mean over users as a document holds it."""
    from molorec.evaluation.metrics import Interval

    if not len(values):
        return {"n": 0, "mean": None, "lo": None, "hi": None}
    found = Interval.of(values)
    return {"n": len(values), "mean": found.mean, "lo": found.low, "hi": found.high}
