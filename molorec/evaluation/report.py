"""Tables of what was measured, made of stored rows and of nothing else: as Markdown, as CSV, and in a text that quotes them.

A text quotes a table between two marks, ``<!-- table movielens-1m warm-quick -->`` and ``<!-- end of table -->``; filling it anew
from the rows that ship must change nothing, which a test sees to.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from molorec.catalog.lists import NEGATIVES
from molorec.errors import BadInput
from molorec.evaluation import table
from molorec.evaluation.entropies import Entropies
from molorec.evaluation.metrics import second_or_third
from molorec.evaluation.rows import SystemRows
from molorec.evaluation.table import Evaluation, SystemResult
from molorec.mixture.lam import short
from molorec.wording import difference, few_shot, few_shot_note, score

# in a table, from what knows nothing to what knows most
BASELINES = ("BPR-MF", "GRU4Rec", "SASRec", "FMLP-Rec", "UniSRec", "VQ-Rec")
ON_OUR_BACKBONE = ("P5-style", "RecFormer-style", "TALLRec-style", "Top-5-generated")
ORDER = ("popularity", *BASELINES, *ON_OUR_BACKBONE, "base", "general", "specific", "second-round", "half", "grid", "oracle",
         "contrast", "mixed")
REFERENCES = ("popularity", "general", "specific")
CSV_HEAD = ("domain", "setting", "split", "limit", "system", "lambda", "people", "ndcg@1", "low", "high", "ndcg@3", "hr@3",
            *(f"minus_{name}{end}" for name in REFERENCES for end in ("", "_low", "_high")),
            "second_or_third", "lists_sha256", "command", "date")
NOT_REPRODUCED = "†"
_OVERVIEW = "overview of "
_QUOTE = re.compile(r"(<!-- table (?P<key>[^>]*?) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def tests(found: Sequence[SystemRows]) -> dict[str, list[SystemRows]]:
    """Rows by test set, called as the folder in which they are kept ("movielens-1m warm-quick"), systems in order."""
    groups: dict[str, list[SystemRows]] = {}
    for rows in sorted(found, key=lambda rows: (rows.domain, -rows.share, rows.split, rows.setting != "warm", rows.setting,
                                                rows.limit or 0, _place(rows.system))):
        groups.setdefault(f"{rows.domain} {rows.test}", []).append(rows)
    return groups


def tables(found: Sequence[SystemRows]) -> tuple[dict[str, Evaluation], list[str]]:
    """Each test set's table, in the order of :func:`tests`; and in words which of them make none."""
    made, problems = {}, []
    for name, systems in tests(found).items():
        try:
            made[name] = table.of(systems)
        except BadInput as error:  # the other test sets are worth reporting
            problems.append(f"{name} is left out: {error}")
    return made, problems


def markdown(evaluation: Evaluation) -> str:
    """A test set's table, and below it what it was made with."""
    references = [name for name in REFERENCES if evaluation.system(name) and not evaluation.system(name).knows_nothing]
    lines = ["| system | λ | NDCG@1 | 95% interval | NDCG@3 | " + "".join(f"minus {name} | " for name in references)
             + "missed, but 2nd or 3rd |", "|---" * (6 + len(references)) + "|"]
    for result in evaluation.systems:
        missed = second_or_third(result.ranks)
        mark = f" {NOT_REPRODUCED}" if _missed_its_figure(result.rows) else ""
        cells = [result.name + mark, short(result.lam), score(result.ndcg(1)), f"{score(result.low)} to {score(result.high)}",
                 score(result.ndcg(3)), *(_against(result, name) for name in references),
                 f"{missed.mean():.0%}" if len(missed) else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_notes(evaluation)])


def overview(evaluations: Sequence[Evaluation], names: Sequence[str] = ()) -> str:
    """Several test sets in one table, a line each: NDCG@1 of the systems named, or of all that one of them has, with its 95%
    interval."""
    names = names or sorted({result.name for evaluation in evaluations for result in evaluation.systems}, key=_place)
    missed = {result.name for evaluation in evaluations for result in evaluation.systems if _missed_its_figure(result.rows)}
    heads = ["test set", "people", *(name + (f" {NOT_REPRODUCED}" if name in missed else "") for name in names)]
    lines = [heads, ["---"] * len(heads)]
    for evaluation in evaluations:
        first = evaluation.systems[0].rows
        cells = [_short_score(evaluation.system(name)) for name in names]
        lines.append([f"{evaluation.domain} {evaluation.setting}{few_shot(evaluation.share)}", f"{first.n:,}", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def csv_rows(evaluation: Evaluation) -> list[list[object]]:
    """The same as lines under :data:`CSV_HEAD`."""
    made = []
    for result in evaluation.systems:
        missed = second_or_third(result.ranks)
        differences = [value for name in REFERENCES for value in result.against.get(name, (None, None, None))]
        made.append([evaluation.domain, evaluation.setting, evaluation.split, evaluation.limit, result.name, short(result.lam),
                     result.rows.n, result.ndcg(1), result.low, result.high, result.ndcg(3), result.hit_rate(3), *differences,
                     float(missed.mean()) if len(missed) else None, evaluation.lists_sha256, result.rows.made_with["command"],
                     result.rows.made_with["date"]])
    return made


def learned(found: Sequence[Entropies]) -> str:
    """The λ that entropy chooses, by domain, setting and number of unlabelled prompts (figures 4 and 5), as Markdown."""
    lines = ["| domain | prompts of | λ on so many prompts [95% of resamples] |", "|---|---|---|"]
    for each in found:
        by_count = "; ".join(f"{one.prompts}: {one.lam:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in each.by_count())
        lines.append(f"| {each.domain} | {each.setting} | {by_count} |")
    return "\n".join(lines)


def fill(text: str, quoted: Callable[[str], str]) -> str:
    """A text with each quoted table made anew; ``quoted`` gives the table of a key. Raises BadInput if it has none."""
    return _QUOTE.sub(lambda match: f"{match[1]}{quoted(match['key'])}\n{match[3]}", text)


def quotes(by_test: Mapping[str, Evaluation], entropies: Sequence[Entropies]) -> Callable[[str], str]:
    """What a text may quote: "movielens-1m warm-quick" and the like, "overview of … and …" of several or "overview of … and …:
    general, half" of these systems alone, and "learned λ"."""
    def table_of(key: str) -> Evaluation:
        if key not in by_test:
            raise BadInput(f"there are no rows for '{key}'; there are: {', '.join(by_test) or 'none'}")
        return by_test[key]

    def quoted(key: str) -> str:
        if key == "learned λ" and entropies:
            return learned(entropies)
        if key.startswith(_OVERVIEW):
            tests_of, _, names = key.removeprefix(_OVERVIEW).partition(": ")
            return overview([table_of(each) for each in tests_of.split(" and ")], names.split(", ") if names else ())
        return markdown(table_of(key))

    return quoted


# -- inside ------------------------------------------------------------------------------------------------------


def _place(system: str) -> tuple[int, str]:
    return (ORDER.index(system) if system in ORDER else len(ORDER), system)


def _short_score(result: SystemResult | None) -> str:
    if result is None:
        return ""
    tuned = f", λ {short(result.lam)}" if result.name in ("mixed", "contrast") else ""
    return f"{score(result.ndcg(1))} [{score(result.low)}, {score(result.high)}]{tuned}"


def _against(result: SystemResult, name: str) -> str:
    if name not in result.against:
        return ""
    return difference(*result.against[name])


def _missed_its_figure(rows: SystemRows) -> bool:
    """Whether a baseline was not held to a published figure by the protocol behind it, or came out more than .02 from it. One
    on our backbone has no such figure: it is not the paper's model."""
    return rows.system in BASELINES and not (rows.made_with.get("reproduced") or {}).get("within")


def _how_missed(rows: SystemRows) -> str:
    found = rows.made_with.get("reproduced")
    if not found:
        return "not held to a published figure"
    return f"more than .02 {'above' if found.get('reached') else 'from'} the figure published for it, by the same protocol"


def _was_still_rising(made_with: dict) -> bool:
    """Whether a baseline's training ended at its last allowed epoch, before its patience was over."""
    validation, recipe = made_with.get("validation") or {}, made_with.get("recipe") or {}
    try:
        return validation["epochs"] >= recipe["epochs"] and validation["epochs"] - validation["epoch"] < recipe["patience"]
    except (KeyError, TypeError):  # none of ours, or not recorded
        return False


def _notes(evaluation: Evaluation) -> list[str]:
    first = evaluation.systems[0].rows
    made_with = table.made_with([result.rows for result in evaluation.systems])
    adapters = ", ".join(f"{name} {sha256[:12]}" for name, sha256 in made_with.get("adapters", {}).items())
    some = "" if evaluation.limit is None else f" (the first {evaluation.limit:,} of the split)"
    said = [f"{first.n:,} people{some}, lists {evaluation.lists_sha256[:12]}; a guess scores {score(1 / (NEGATIVES + 1))}."]
    if adapters:
        base, precision, rule = (made_with.get(fact, "not recorded") for fact in ("base", "precision", "rule"))
        said.append(f"{base}, {precision}, adapters {adapters}, rule {rule}.")
    if evaluation.share < 1:
        said.append(few_shot_note(evaluation.share))
    verdict = evaluation.verdict
    said.append(verdict[0].upper() + verdict[1:] + ".")
    if evaluation.moves is not None:
        said.append(f"The first title differs between λ = 0, ½ and 1 for {evaluation.moves:.0%}.")
    said += [f"To {result.name} all candidates are alike, and ties count against the truth." for result in evaluation.systems
             if result.knows_nothing]
    unlabelled = [result for result in map(evaluation.system, ("mixed", "contrast")) if result and "oracle" in result.against]
    if unlabelled:
        differences = ", ".join(f"{result.name} {_against(result, 'oracle')}" for result in unlabelled)
        said.append("λ without labels against the oracle's, chosen on the truths of the other half of the people: "
                    f"{differences}.")
    missed = [result.rows for result in evaluation.systems if _missed_its_figure(result.rows)]
    if missed:
        why: dict[str, list[str]] = {}
        for rows in missed:
            why.setdefault(_how_missed(rows), []).append(rows.system)
        named = "; ".join(f"{', '.join(names)}: {words}" for words, names in why.items())
        said.append(f"{NOT_REPRODUCED} {named}; so no verdict on the method.")
    cut = [result.name for result in evaluation.systems if _was_still_rising(result.rows.made_with)]
    if cut:
        said.append(f"{', '.join(cut)}: trained to the last epoch that was allowed, and best in one of the last; longer might be "
                    "better.")
    here = [result.rows for result in evaluation.systems if result.name in ON_OUR_BACKBONE]
    if here:
        bases = " and ".join(sorted({str(rows.made_with.get("base", "our backbone")) for rows in here}))
        said.append(f"{', '.join(rows.system for rows in here)}: after other papers' ideas, trained here on {bases}; not those "
                    "papers' own models.")
    said += [f"Of the titles that {rows.system} wrote, {rows.made_with['validity']:.0%} are in their list." for rows in here
             if isinstance(rows.made_with.get("validity"), float)]
    return [" ".join(said)]

