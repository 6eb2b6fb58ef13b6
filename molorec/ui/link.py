"""A view as the query of a link, and back: whatever stands in a link is checked before it is opened."""

from collections.abc import Mapping
from urllib.parse import urlencode

from molorec import id_list
from molorec.catalog import known
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.ui import session
from molorec.ui.session import BUILT, SCENARIOS, View

# Servers and chats cut longer addresses off; some of it is left to the address before the query.
LONGEST_URL, ADDRESS = 8_000, 300
_QUOTED = 60  # characters of a wrong value that a notice repeats


def fields_of(view: View) -> dict[str, str]:
    """A view as fields that :func:`view_of_query` reads: what a link holds, and what a browser keeps."""
    fields = {"domain": view.domain, "lam": repr(float(view.lam)), "rule": view.rule, "scenario": view.scenario}
    if view.scenario == BUILT:
        fields |= {"history": id_list.join(view.history), "candidates": id_list.join(view.candidates)}
    elif view.user:
        fields["user"] = view.user
    return fields


def query_of(view: View) -> str:
    """The query of a link to a view, with its ``?``.

    Raises
    ------
    BadInput : the lists of a built view are too long for a link.
    """
    query = "?" + urlencode(fields_of(view), errors="replace")
    if len(query) > LONGEST_URL - ADDRESS:
        raise BadInput(f"a link to this view would have {len(query):,} characters, and many programs cut links off at "
                       f"{LONGEST_URL:,}; take fewer titles, or use the code below")
    return query


def view_of_query(engine: Engine, params: Mapping[str, str], owner: str = "") -> tuple[View, list[str]]:
    """The view that a link asks for, with the default in place of everything that it does not say or says wrongly.

    Parameters
    ----------
    params : the query's fields, decoded.
    owner : the visitor who opens the link; another visitor's domain counts as one that is not there.

    Returns
    -------
    The view, and a notice in words (plain text, not HTML) for each field that could not be used.

    Raises
    ------
    CatalogError : the catalogue cannot be read. No query raises anything.
    """
    notices: list[str] = []
    domain = _domain(engine, params, owner, notices)
    lam = _lam(params, notices)
    rule = _one_of(params, "rule", RULES, DEFAULT_RULE, "mixing rule", notices)
    scenario = _one_of(params, "scenario", [name for _, name in SCENARIOS], "warm", "scenario", notices)
    if domain not in [info.name for info in engine.catalog.domains(owner)]:  # known, but its data is not here; or there is none
        return View(domain, "", lam, rule, "warm"), notices
    if scenario == BUILT:
        history, candidates = (_ids(engine, domain, params, field, notices) for field in ("history", "candidates"))
        return View(domain, "", lam, rule, BUILT, history, candidates), notices
    user, scenario = _user(engine, domain, scenario, params, notices)
    return View(domain, user, lam, rule, scenario), notices


def _domain(engine: Engine, params: Mapping[str, str], owner: str, notices: list[str]) -> str:
    there = [info.name for info in engine.catalog.domains(owner)]
    default = MOVIELENS if MOVIELENS in there else next(iter(there), "")
    asked = params.get("domain")
    if asked in (None, *there, *known.DOMAINS):
        return asked or default
    notices.append(f"The link names the domain {_quoted(asked)}, which is not here"
                   + (f"; this is {default}." if default else ", and there is no other."))
    return default


def _lam(params: Mapping[str, str], notices: list[str]) -> float:
    asked = params.get("lam")
    if asked is None:
        return 0.5
    try:
        return min(1.0, max(0.0, session.valid_lam(asked)))  # valid may be a rounding error beyond an end
    except BadInput:
        notices.append(f"The link says λ = {_quoted(asked)}, which is no number from 0 to 1; this is λ = 0.5.")
        return 0.5


def _one_of(params: Mapping[str, str], field: str, known, default: str, name: str, notices: list[str]) -> str:
    asked = params.get(field, default)
    if asked in list(known):
        return asked
    notices.append(f"The link names the {name} {_quoted(asked)}, which there is not; this is '{default}'.")
    return default


def _user(engine: Engine, domain: str, scenario: str, params: Mapping[str, str], notices: list[str]) -> tuple[str, str]:
    """The user and the scenario, which are 'warm' where the one asked for has nobody."""
    asked = params.get("user") or None
    if asked is not None and _is_text(asked):
        try:
            return engine.catalog.example(domain, asked.strip(), scenario).user, scenario
        except BadInput:
            pass
    first = _first_user(engine, domain, scenario)
    if not first and scenario != "warm":
        notices.append(f"The domain {domain} has nobody in the scenario '{scenario}'; this is 'warm'.")
        scenario, first = "warm", _first_user(engine, domain, "warm")
    if asked is not None:
        notices.append(f"The link names the user {_quoted(asked)}, who has no such list in {domain}"
                       + (f"; this is user {first}." if first else "."))
    return first, scenario


def _first_user(engine: Engine, domain: str, scenario: str) -> str:
    return next(iter(engine.catalog.first_users(domain, scenario, limit=1)), "")


def _ids(engine: Engine, domain: str, params: Mapping[str, str], field: str, notices: list[str]) -> tuple[str, ...]:
    asked = params.get(field, "")
    ids = id_list.split(asked) if _is_text(asked) else ()
    if field == "candidates":  # a history may hold a title twice, a list to rank may not
        ids = tuple(dict.fromkeys(ids))
    if len(ids) > LIMITS.candidates:
        notices.append(f"The link's {field} has {len(ids)} ids; the first {LIMITS.candidates} are used.")
        ids = ids[: LIMITS.candidates]
    found, unknown = [], []
    for item_id in ids:
        try:
            found.append(engine.catalog.item(domain, item_id).item_id)
        except BadInput:
            unknown.append(item_id)
    if unknown:
        named = ", ".join(_quoted(item_id) for item_id in unknown[:3]) + (" …" if len(unknown) > 3 else "")
        notices.append(f"The link's {field} names {len(unknown)} title(s) that {domain} does not have ({named}); they are left "
                       "out.")
    return tuple(found)


def _is_text(value: object) -> bool:
    """Whether a value is a text that the catalogue can be asked for: half a surrogate pair is none."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _quoted(value: object) -> str:
    text = str(value).encode(errors="replace").decode()
    return f"'{text if len(text) <= _QUOTED else text[:_QUOTED] + '…'}'"
