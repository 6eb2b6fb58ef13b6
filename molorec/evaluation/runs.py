"""Evaluations that were run: what each of them measured, one JSON file a run."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from molorec import config, whole_file
from molorec.errors import MolorecError
from molorec.evaluation import kept, table
from molorec.evaluation.metrics import METRICS, Interval, resampled_means
from molorec.evaluation.table import Evaluation
from molorec.mixture.lam import AnyLam, from_json, to_json

SCHEMA = 1
SHIPPED = config.PACKAGE.parent / "assets" / "results"
REFERENCE = "popularity"
NONE = "none"  # where no model or no adapter took part
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class System:
    """One system's scores.

    Attributes
    ----------
    lam : the weight of the general adapter, or a λ of another kind; None where no adapter takes part.
    scores : metric → mean over users, in [0, 1].
    against_popularity : metric → difference from popularity, paired by user; empty for popularity itself, and where it
        was not measured.
    knows_nothing : see :attr:`molorec.evaluation.table.SystemResult.knows_nothing`.
    """

    name: str
    lam: AnyLam | None
    scores: dict[str, Interval]
    against_popularity: dict[str, Interval]
    knows_nothing: bool = False


@dataclass(frozen=True)
class Run:
    """One evaluation as it is kept: scores over all users, and what they were measured with; no user, no title.

    Attributes
    ----------
    n : users; limit : the most that were asked for, None for a whole split.
    base : the base model's name; base_sha256 : the hash of its weights.
    adapters : adapter's name → hash of its weights.
    date : when it ended, ISO 8601 with a time zone.
    moves : share of users whose first title differs between λ = 0, ½ and 1; None with one adapter.
    verdict : whether mixing helps, in words; of NDCG@1.
    share : which share of the domain's people its adapter has learned from.
    """

    domain: str
    split: str
    setting: str
    n: int
    limit: int | None
    lists_sha256: str
    base: str
    base_sha256: str
    adapters: dict[str, str]
    rule: str
    date: str
    moves: float | None
    verdict: str
    systems: tuple[System, ...]
    share: float = 1.0

    def system(self, name: str) -> System | None:
        """The system called ``name``, if it was measured."""
        return next((system for system in self.systems if system.name == name), None)


def folder() -> Path:
    """Where the runs of this machine are kept."""
    return config.home() / "evaluations"


def record(evaluation: Evaluation) -> Run:
    """An evaluation as it is kept."""
    results = evaluation.systems
    columns = [(result.name, metric) for result in results for metric in METRICS]
    gains = np.stack([METRICS[metric](result.ranks) for result in results for metric in METRICS], axis=1)
    means = dict(zip(columns, gains.mean(axis=0), strict=True))
    resampled = dict(zip(columns, resampled_means(gains).T, strict=True))

    def interval(name: str, metric: str, *, above: str | None = None) -> Interval:
        mine, other = (name, metric), (above, metric)
        return Interval.of_means(means[mine] - means.get(other, 0.0), resampled[mine] - resampled.get(other, 0.0))

    systems = []
    for result in results:
        compared = evaluation.system(REFERENCE) and result.name != REFERENCE
        against = {metric: interval(result.name, metric, above=REFERENCE) for metric in METRICS} if compared else {}
        systems.append(System(result.name, result.lam, {metric: interval(result.name, metric) for metric in METRICS}, against,
                              result.knows_nothing))
    made_with = table.made_with([result.rows for result in results])
    return Run(
        domain=evaluation.domain, split=evaluation.split, setting=evaluation.setting, n=results[0].rows.n,
        limit=evaluation.limit, lists_sha256=evaluation.lists_sha256, base=made_with.get("base", NONE),
        base_sha256=made_with.get("base_sha256", NONE), adapters=made_with.get("adapters", {}), rule=made_with.get("rule", NONE),
        date=max((result.rows.made_with["date"] for result in results), key=datetime.fromisoformat), moves=evaluation.moves,
        verdict=evaluation.verdict, systems=tuple(systems), share=evaluation.share)


def save(run: Run, to: Path | None = None) -> Path:
    """Write a run into ``to`` (by default :func:`folder`) beside those that are there. Raises MolorecError if it cannot."""
    to = to or folder()
    moment = datetime.fromisoformat(run.date).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{moment}-{run.domain}-{run.setting}-{run.split}"
    names = (f"{name}{'' if count == 1 else f'-{count}'}.json" for count in range(1, 1_000))
    free = next((to / name for name in names if not (to / name).exists()), None)
    if free is None:
        raise MolorecError(f"{to} is full of runs of {moment}; delete some")
    return write(run, free)


def write(run: Run, path: Path) -> Path:
    """Write a run to ``path``, all of it or nothing. Raises MolorecError if it cannot be written."""
    try:
        return whole_file.write(path, json.dumps(_content(run), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise MolorecError(f"the results could not be kept in {path.parent} ({error}); make room there, or set MOLOREC_HOME to a "
                           "folder that can be written") from error


def load() -> tuple[list[Run], list[str]]:
    """All runs that can be read, the latest first: those of this machine and those that ship.

    Returns
    -------
    runs, problems : a file that cannot be used is left out, and ``problems`` says which and why.
    """
    found, problems = [], []
    for place in (folder(), SHIPPED):
        runs, refused = kept.readable(place, "*.json", read)
        found += runs
        problems += refused
    return sorted(found, key=lambda run: datetime.fromisoformat(run.date), reverse=True), problems


def read(file: Path) -> Run:
    """One run's file. Raises BadFile, with the reason, if it cannot be used."""
    return kept.read(file, _run, schema=SCHEMA, most=_MOST_BYTES, mend="delete it and run the evaluation again")


# -- inside ------------------------------------------------------------------------------------------------------


def _content(run: Run) -> dict:
    def numbers(intervals: dict[str, Interval]) -> dict:
        return {metric: [i.mean, i.low, i.high] for metric, i in intervals.items()}

    systems = [{"name": system.name, "lam": to_json(system.lam), "scores": numbers(system.scores),
                "against_popularity": numbers(system.against_popularity), "knows_nothing": system.knows_nothing}
               for system in run.systems]
    return {"schema": SCHEMA, **vars(run), "systems": systems}


def _run(content: dict) -> Run:
    texts = {name: _text(content[name], name) for name in
             ("domain", "split", "setting", "lists_sha256", "base", "base_sha256", "rule", "date", "verdict")}
    if datetime.fromisoformat(texts["date"]).tzinfo is None:
        raise ValueError(f"date {texts['date']} has no time zone")
    adapters = {_text(name, "adapters"): _text(sha256, "adapters") for name, sha256 in content["adapters"].items()}
    systems = tuple(_system(entry) for entry in content["systems"])
    names = [system.name for system in systems]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"systems are {names}")
    return Run(**texts, n=_count(content["n"], "n"),
               limit=None if content["limit"] is None else _count(content["limit"], "limit"), adapters=adapters,
               moves=None if content["moves"] is None else _number(content["moves"], 0), systems=systems,
               share=_number(content.get("share", 1.0), 0))


def _system(entry: dict) -> System:
    against = entry["against_popularity"]
    return System(_text(entry["name"], "name"), from_json(entry["lam"]),
                  {metric: _read_interval(entry["scores"][metric], 0) for metric in METRICS},
                  {metric: _read_interval(against[metric], -1) for metric in METRICS} if against else {},
                  entry.get("knows_nothing") is True)


def _read_interval(values: object, least: float) -> Interval:
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError(f"{values!r} is no mean with its interval")
    return Interval(*(_number(value, least) for value in values))


def _number(value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= 1:
        raise ValueError(f"{value!r} is no number from {least} to 1")
    return float(value)


def _count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}")
    return value
