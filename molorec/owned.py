"""The domains that visitors bring: names that nobody can guess, quotas, and an end with all that belongs to them."""

import re
import secrets
import shutil
import threading
import time
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from molorec import config, titles
from molorec.catalog import Catalog, DomainInfo, csv_source, known, prepare
from molorec.catalog.csv_source import Bounds
from molorec.catalog.prepare import clean_noun
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import BadFile, BadInput, JournalError, MolorecError
from molorec.journal import Journal, is_visitor
from molorec.mixture.card import read_card, update_card
from molorec.training.background import Trainings

UPLOAD = Bounds(LIMITS.upload_bytes, LIMITS.upload_rows)
_SUFFIX_BYTES = 8
_PRIVATE = re.compile(rf"-[0-9a-f]{{{2 * _SUFFIX_BYTES}}}$")
_adding = threading.Lock()  # one import at a time: it bounds the memory, and makes the quota exact
_sharing = threading.Lock()  # of two who save under one name, the second finds it taken


def check_visitor(visitor: object) -> str:
    """The visitor's id. Raises BadInput if the browser keeps none: "" would be the owner of what is everyone's."""
    if not is_visitor(visitor):
        raise BadInput("your browser keeps no id for this page, so nothing can be kept as yours; allow local storage and reload")
    return visitor


def slug(name: str) -> str:
    """A name that a person typed as a domain's name. Raises BadInput if nothing of it is left.

    >>> slug(" Märchen & Films! ")
    'marchen-films'
    """
    plain = unicodedata.normalize("NFKD", str(name or "")).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    if not made:
        raise BadInput(f"'{str(name or '')[:40]}' holds no letter from a to z and no digit; type a name with some")
    return made


def chosen_name(name: str) -> str:
    """A domain's name as its visitor wrote it: without what makes a private one hard to guess.

    >>> chosen_name("my-films-0123456789abcdef"), chosen_name("movielens-1m")
    ('my-films', 'movielens-1m')
    """
    return _PRIVATE.sub("", name)


def label(info: DomainInfo) -> str:
    """How a domain is called on screen: a private one without what makes its name hard to guess."""
    return f"{chosen_name(info.name)} (only you)" if info.owner else info.name


def of(catalog: Catalog, visitor: object) -> list[DomainInfo]:
    """The visitor's private domains; none for a browser without an id."""
    try:
        visitor = check_visitor(visitor)
    except BadInput:
        return []
    return [info for info in catalog.domains(visitor) if info.owner]


def visible(catalog: Catalog, visitor: object) -> list[DomainInfo]:
    """Everyone's domains and the visitor's own."""
    return catalog.domains(visitor if of(catalog, visitor) else "")


def is_anothers(catalog: Catalog, visitor: object, domain: str) -> bool:
    """Whether a domain is private to another visitor. Raises as :meth:`Catalog.domain` for one that is not there."""
    return catalog.domain(domain).owner not in ("", visitor)


def one_of(catalog: Catalog, visitor: object, domain: object) -> DomainInfo:
    """One of the visitor's private domains. Raises BadInput for any other, in the same words whether or not it is there."""
    found = next((info for info in of(catalog, visitor) if info.name == domain), None)
    if found is None:
        raise BadInput("that is none of your domains, or it has been removed; reload the page")
    return found


def bring(catalog: Catalog, visitor: object, name: str, noun: str, items: Path | str, interactions: Path | str, *,
          item_columns: Mapping[str, str], event_columns: Mapping[str, str], core: int) -> DomainInfo:
    """Add two CSV files as a domain that only this visitor sees.

    Parameters
    ----------
    item_columns, event_columns : as for :func:`molorec.catalog.csv_source.read`.
    noun : what the things are called; "items" if it is empty.
    core : least events of a user and of an item, from 1.

    Raises
    ------
    BadFile : with the file's name, not its path, line and column.
    BadInput : the name or the noun is not usable, the visitor holds too many domains, or too little data is left.
    """
    visitor = check_visitor(visitor)
    noun = clean_noun(titles.clean(str(noun or "")) or "items")
    full_name = f"{slug(name)}-{secrets.token_hex(_SUFFIX_BYTES)}"
    if core < 1:
        raise BadInput(f"the least number of choices is {core}; give 1 or more")
    with _adding:
        if len(catalog.owned_domains()) >= LIMITS.owned_total:
            raise BadInput(f"visitors hold {LIMITS.owned_total} domains here already, which is as many as there may be; each "
                           "goes a day after it was brought, so try again later")
        held = len(of(catalog, visitor))
        if held >= LIMITS.owned_domains:
            raise BadInput(f"you hold {held} domains already, which is as many as a visitor may; delete one, or save one "
                           "for everyone")
        try:
            source = csv_source.read(items, interactions, item_columns=item_columns, event_columns=event_columns, bounds=UPLOAD)
        except BadFile as error:
            raise named(error) from error
        try:
            prepared = prepare(full_name, source, core)
        except BadInput as error:
            raise BadInput(f"no person is left who chose at least {core} things that at least {core} people chose; give more "
                           "choices, or lower 'Fewest choices'") from error
        return catalog.add_domain(prepared, noun=noun, source=f"{Path(items).name}, {Path(interactions).name}",
                                  terms="brought by a visitor", owner=visitor)


def named(error: BadFile) -> BadFile:
    """The same error with the file's name alone: where an upload lies is nobody's business."""
    return BadFile(Path(error.file).name, error.reason, error.line, error.column)


def train(engine: Engine, trainings: Trainings, visitor: object, domain: object) -> None:
    """Train the domain's own adapter in the background, or go on with it. Raises MolorecError if it cannot be started."""
    name = one_of(engine.catalog, visitor, domain).name
    trainings.start(name, _adapters(engine) / name, lambda: engine.forget(name))


def delete(engine: Engine, trainings: Trainings, journal: Journal, visitor: object, domain: object) -> None:
    """Remove one of the visitor's domains with its training, its adapter and what the record holds of it.

    Raises
    ------
    BadInput : it is not theirs. JournalError : the record cannot be used; all else is gone.
    """
    _remove(engine, trainings, journal, one_of(engine.catalog, visitor, domain).name)


def share(engine: Engine, trainings: Trainings, journal: Journal, visitor: object, domain: object) -> DomainInfo:
    """Make one of the visitor's domains everyone's on this machine, under the name that they chose, with its adapter and
    what the record holds of it.

    Raises
    ------
    BadInput : it is not theirs, its name is taken, or it is being trained.
    MolorecError : the disk is full; nothing has changed.
    """
    info = one_of(engine.catalog, visitor, domain)
    state = trainings.state(info.name)
    if state and state.is_running:
        raise BadInput("its adapter is being trained; stop that first, or wait until it is done")
    name = chosen_name(info.name)
    if known.find(name):
        raise BadInput(f"'{name}' is the name of a published data set, which everyone would take this for; bring the domain "
                       "under another name")
    private, public, made = _adapters(engine) / info.name, _adapters(engine) / name, False
    with _sharing:
        if any((folder / name).exists() for folder in engine.adapter_folders):
            raise BadInput(f"there is an adapter called '{name}' already; bring the domain under another name")
        try:
            if private.is_dir():
                public.mkdir()  # another app may have been first
                made = True
                shutil.copytree(private, public, dirs_exist_ok=True)  # a copy: on a full disk everything stays as it is
                card = read_card(public)
                update_card(public, domain=name, scores={**card.scores, "domain": name} if card and card.scores else {})
            shared = engine.catalog.share_domain(info.name, name)
        except BaseException as error:
            if made:
                shutil.rmtree(public, ignore_errors=True)
            if isinstance(error, OSError):
                raise MolorecError(f"its adapter could not be copied ({error}); check that the disk has room") from error
            raise
    shutil.rmtree(private, ignore_errors=True)
    trainings.forget(info.name)
    engine.forget(info.name)
    engine.forget(name)
    with suppress(JournalError):  # a record that cannot be written is no reason to say that nothing was saved
        journal.rename_domain(info.name, name)
    return shared


def remove_old(engine: Engine, trainings: Trainings, journal: Journal, now: float | None = None) -> list[str]:
    """Remove private domains older than a day as :func:`delete` does, but none whose adapter is being trained; their names."""
    now = time.time() if now is None else now
    removed = []
    for info in engine.catalog.owned_domains():
        state = trainings.state(info.name)
        if now - info.added > LIMITS.owned_seconds and not (state and state.is_running):
            _remove(engine, trainings, journal, info.name)
            removed.append(info.name)
    return removed


def _remove(engine: Engine, trainings: Trainings, journal: Journal, name: str) -> None:
    trainings.forget(name)
    engine.catalog.remove_domain(name)
    engine.forget(name)
    for adapter in (config.home() / "adapters").glob(f"*/{name}"):  # each model's
        shutil.rmtree(adapter, ignore_errors=True)
    journal.forget_domain(name)


def _adapters(engine: Engine) -> Path:
    """Where adapters that are trained here go."""
    found = next((root for root in engine.adapter_folders if root.is_relative_to(config.home() / "adapters")), None)
    if found is None:
        raise MolorecError("this app looks for adapters outside MOLOREC_HOME only, so one trained here would not be found")
    return found
