"""An evaluation in parts: each measured by a process of its own, anywhere, and put together by user.

A part is a file of JSON lines: the plan, then an answer a user, written as it is measured. A part that was stopped goes on
where it is; what is put together must be of one plan.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

from filelock import FileLock, Timeout

from molorec import whole_file
from molorec.engine import Engine
from molorec.errors import BadFile, BadInput, MolorecError
from molorec.evaluation.plan import Plan
from molorec.evaluation.protocol import Answer, Placed, measure
from molorec.mixture import lam
from molorec.mixture.lam import AnyLam

SCHEMA = 2
_PARTS = "part-*-of-*.jsonl"


def check_part(part: int, parts: int) -> None:
    """Raises BadInput if there is no such part."""
    if not 1 <= part <= parts:
        raise BadInput(f"there is no part {part} of {parts}; give one from 1/{parts} to {parts}/{parts}")


def measure_part(engine: Engine, plan: Plan, part: int, parts: int, folder: Path,
                 on_user: Callable[[int, int], None] = lambda done, total: None, at_once: int | None = None) -> Path:
    """Measure every ``parts``-th of a plan's users from the ``part``-th on (counted from 1), but for those done already.

    Parameters
    ----------
    on_user : called with (users done, users in this part).
    at_once : see :func:`molorec.evaluation.protocol.measure`.

    Raises
    ------
    BadInput : there is no such part, the file that is there is of another plan, or another process measures it now.
    MolorecError : the file cannot be written.
    """
    check_part(part, parts)
    path = folder / f"part-{part}-of-{parts}.jsonl"
    users = engine.catalog.users(plan.domain, plan.split, plan.setting, plan.limit)[part - 1 :: parts]
    places = {engine.catalog.position(plan.domain, user): user for user in users}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=0):
            done = _go_on(path, plan)
            with open(path, "a", encoding="utf-8") as stream:
                left = [user for place, user in places.items() if place not in done]
                for count, answer in enumerate(measure(engine, plan, left, at_once), start=len(places) - len(left) + 1):
                    stream.write(_line(answer))
                    stream.flush()
                    on_user(count, len(places))
    except Timeout:
        raise BadInput(f"{path} is being measured already; let that go on, or stop it first") from None
    except OSError as error:
        raise MolorecError(f"the part {path} cannot be written ({error}); the same command goes on from where it is") from error
    return path


def tuned(engine: Engine, folder: Path, domain: str, setting: str, rule: str) -> dict[str, AnyLam]:
    """System → λ, as tuning found it for a part that is in the folder: all parts must be of one λ, and tuning takes minutes.
    Empty where there is none, or none of this base, these adapters, setting and rule."""
    for path in sorted(folder.glob(_PARTS)):
        plan, _ = read(path)
        if (plan.base, plan.adapters, plan.domain, plan.setting, plan.rule) == (
                engine.base.sha256, engine.mixture(domain).key, domain, setting, rule):
            return {name: plan.lams[name] for name in ("mixed", "contrast", "grid") if name in plan.lams}
    return {}


def together(folder: Path) -> tuple[Plan, list[Answer]]:
    """All parts of a folder: their plan, and the answers in the order of users.

    Raises
    ------
    BadInput : there are none, they are of different plans, or users are missing.
    BadFile : a file is no part, or two parts answer differently for one user.
    """
    paths = sorted(folder.glob(_PARTS))
    if not paths:
        raise BadInput(f"{folder} holds no parts; measure them with --part 1/2 and so on")
    plan, answers = None, {}
    for path in paths:
        found, some = read(path)
        plan = plan or found
        _check_same(plan, found, path)
        for answer in some:
            if answers.setdefault(answer.user, answer) != answer:
                raise BadFile(path, f"it answers for user {answer.user} otherwise than another part does; delete one of them")
    if len(answers) < plan.n:
        raise BadInput(f"{plan.n - len(answers)} of {plan.n} users are missing in {folder}; measure the other parts, or let "
                       "those that were stopped go on: the same command again")
    return plan, [answers[user] for user in sorted(answers)]


def read(path: Path) -> tuple[Plan, list[Answer]]:
    """A part's plan and its answers; half a line at its end is left out. Raises BadFile if it is no part."""
    try:
        first, *lines = path.read_text("utf-8").split("\n")
        head = json.loads(first)
        if head.pop("schema") != SCHEMA:
            raise BadFile(path, "it was written by another version of MoLoRec; measure it anew")
        plan = Plan(**{**head, "systems": tuple(head["systems"]),
                       "lams": {name: lam.from_json(value) for name, value in head["lams"].items()}})
        answers = []
        for line in lines[:-1]:  # whole lines end, so the last one is empty or half
            made = json.loads(line)
            systems = {name: Placed(*placed) for name, placed in made["systems"].items()}
            answers.append(Answer(made["user"], made["position"], systems, tuple(Placed(*placed) for placed in made["points"])))
        return plan, answers
    except (OSError, RecursionError, ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
        raise BadFile(path, f"it is no part of an evaluation ({error}); delete it, and measure it anew") from error


def _go_on(path: Path, plan: Plan) -> set[int]:
    """Make a part's file, or make it ready to be gone on with; the users who are done. Raises BadInput, BadFile or OSError."""
    found, answers = read(path) if path.exists() else (plan, [])
    _check_same(plan, found, path)
    # written anew: where the process was stopped in the middle of a line, half of it stands there
    whole_file.write(path, "".join([_head(plan), *map(_line, answers)]))
    return {answer.user for answer in answers}


def _head(plan: Plan) -> str:
    lams = {name: lam.to_json(of) for name, of in plan.lams.items()}
    return json.dumps({"schema": SCHEMA, **asdict(plan), "lams": lams}) + "\n"


def _line(answer: Answer) -> str:
    return json.dumps(asdict(answer)) + "\n"


def _check_same(plan: Plan, other: Plan, path: Path) -> None:
    different = [field.name for field in fields(plan)
                 if getattr(other, field.name) != getattr(plan, field.name) and field.name != "command"]
    if different:
        name = different[0]
        hint = ", or, where two machines tune λ apart, copy a part of one into the other's first" if name == "lams" else ""
        raise BadInput(f"{path} was measured otherwise: its {name} is {getattr(other, name)}, not {getattr(plan, name)}; put "
                       f"each evaluation into a folder of its own{hint}")
