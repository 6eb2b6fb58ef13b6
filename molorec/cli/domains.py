"""``molorec domains``: list, fetch, add, compare or remove them, find their items and users, and print their lists."""

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from molorec import config
from molorec.cli.common import SCHEMA, Options, emit, note
from molorec.errors import BadInput, check_least


def add_parsers(commands, options: Options) -> None:
    """Add the commands' parsers."""
    actions = commands.add_parser("domains", help="List, fetch, add, compare, search or remove domains.").add_subparsers(
        required=True, metavar="ACTION")
    options.add(actions, "list", here, [options.common])
    options.add(actions, "fetch", fetch, [options.common]).add_argument(
        "name", metavar="NAME", nargs="?", default="movielens-1m",
        help="movielens-1m (default), -100k, -10m or -latest-small, or amazon14_beauty, _toys or _sports")
    adding = options.add(actions, "add", add, [options.common])
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
    options.add(actions, "remove", remove, [options.common]).add_argument("name", metavar="NAME")
    comparing = options.add(actions, "overlap", compare, [options.common])
    comparing.add_argument("names", metavar="NAME", nargs="*", help="domains to compare (default: all)")
    comparing.add_argument("--titles", action="store_true", help="list the titles too")
    comparing.add_argument("--general", metavar="NAME", nargs="+", help="domains that a general adapter is trained on")
    comparing.add_argument("--targets", metavar="NAME", nargs="+", help="domains that it is meant for")
    searching = options.add(actions, "search", search, [options.common])
    searching.add_argument("name", metavar="NAME")
    searching.add_argument("words", metavar="WORD", nargs="+")
    searching.add_argument("--limit", type=int, default=20, help="most items to print (default: %(default)s)")
    people = options.add(actions, "users", users, [options.common])
    people.add_argument("name", metavar="NAME")
    people.add_argument("--setting", default="warm")
    people.add_argument("--limit", type=int, default=20, help="most users to print (default: %(default)s)")
    listing = options.add(actions, "lists", lists, [options.common])
    listing.add_argument("name", metavar="NAME")
    listing.add_argument("--setting", default="warm")
    listing.add_argument("--split", choices=["tune", "quick", "full"])


def here(arguments: argparse.Namespace) -> None:
    """The domains of the catalogue, and how to get the known ones that are not in it."""
    from molorec.catalog import Catalog, known

    here = Catalog().domains()
    missing = known.missing(here, {**known.DOMAINS, **known.FURTHER})
    lines = [f"{d.name}: {d.users:,} users, {d.items:,} {d.noun}, {d.events:,} events" for d in here] or ["no domains yet"]
    lines += [f"{domain.name}: {domain.label}, data not here; get it with `{domain.command}`" for domain in missing]
    lines += dict.fromkeys(domain.about for domain in missing if domain.about)
    emit(arguments, {"schema": SCHEMA, "domains": [vars(info) for info in here], "not_here": [
        {"name": each.name, "label": each.label, "command": each.command, "about": each.about} for each in missing]}, lines)


def fetch(arguments: argparse.Namespace) -> None:
    """Get a known domain from its publisher: MovieLens-1M, or the one that is named."""
    from molorec.catalog import Catalog
    from molorec.datasets import ensure

    info = ensure(Catalog(), arguments.name, quiet=arguments.json)
    note(*info.notes)
    emit(arguments, {"schema": SCHEMA, "domain": vars(info)}, [f"{info.name}: {info.users:,} users, {info.items:,} {info.noun}"])


def add(arguments: argparse.Namespace) -> None:
    """Add a domain from two CSV files, or from a data set as it was published (--from)."""
    from molorec import datasets
    from molorec.catalog import Catalog, csv_source, prepare
    from molorec.catalog.prepare import clean_noun

    check_least(1, core=arguments.core)
    noun = arguments.noun and clean_noun(arguments.noun)  # before any large file is read
    files = arguments.items, arguments.interactions
    catalog = Catalog()
    if arguments.original:
        if any(files) or arguments.item_columns or arguments.event_columns:
            raise BadInput("--from is a data set as it was published, whose columns are known; it goes without --items, "
                           "--interactions and their columns")
        columns, lines = None, []
        info = datasets.add_original(catalog, arguments.name, arguments.original, noun=noun, terms=arguments.terms,
                                     core=arguments.core, replace=arguments.replace)
    else:
        if not all(files):
            raise BadInput("give --items and --interactions, two CSV files, or --from, a data set as it was published")
        columns = {"items": _columns(files[0], csv_source.ITEM_COLUMNS, "--item-columns", arguments.item_columns),
                   "interactions": _columns(files[1], csv_source.EVENT_COLUMNS, "--event-columns", arguments.event_columns)}
        source = csv_source.read(*files, item_columns=columns["items"], event_columns=columns["interactions"])
        lines = [_taken(file, columns[what]) for what, file in zip(("items", "interactions"), files, strict=True)]
        info = catalog.add_domain(prepare(arguments.name, source, arguments.core), noun=noun or "items",
                                  source=", ".join(file.name for file in files), terms=arguments.terms, replace=arguments.replace)
    shared = {other.name: catalog.shared_titles(info.name, other.name) for other in catalog.domains() if other.name != info.name}
    lines += [f"{info.name}: {info.users:,} users, {info.items:,} {info.noun}, {info.events:,} events"]
    lines += [f"{count} titles in common with {other} (removed where a general adapter is trained for it)"
              for other, count in shared.items() if count]
    notes = list(info.notes)
    if not catalog.first_users(info.name, limit=1):
        notes.append("nobody in it has a list of 30 titles to rank; give more data, or rank lists of your own with --history-ids "
                     "and --candidate-ids")
    note(*notes)
    emit(arguments, {"schema": SCHEMA, "domain": vars(info), "columns": columns, "shared_titles": shared, "notes": notes}, lines)


def remove(arguments: argparse.Namespace) -> None:
    """Delete a domain."""
    from molorec.catalog import Catalog

    Catalog().remove_domain(arguments.name)
    stays = sorted(str(folder) for folder in (config.home() / "adapters").glob("*/*") if folder.name == arguments.name)
    emit(arguments, {"schema": SCHEMA, "removed": arguments.name, "adapters": stays}, [f"{arguments.name} is gone", *(
        f"its adapter stays in {folder}; delete it too, or another domain of that name is ranked with it" for folder in stays)])


def compare(arguments: argparse.Namespace) -> None:
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
        emit(arguments, {"schema": SCHEMA, "targets": arguments.targets, "general": [
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
    emit(arguments, {"schema": SCHEMA, "titles": own, "pairs": [
        {"domains": pair.domains, "shared": len(pair.titles), **({"titles": pair.titles} if arguments.titles else {})}
        for pair in pairs]}, lines)


def search(arguments: argparse.Namespace) -> None:
    """Find items by the words of their titles, best match first; where none fits, those that are written much like it."""
    from molorec.catalog import Catalog

    check_least(1, limit=arguments.limit)
    text = " ".join(arguments.words)
    found = Catalog().search(arguments.name, text, arguments.limit)
    if not found:
        note(f"no title of '{arguments.name}' is written like '{text}'")
    width = max((len(item.item_id) for item in found), default=0)
    emit(arguments, {"schema": SCHEMA, "domain": arguments.name, "items": [asdict(item) for item in found]},
         [f"{item.item_id:{width}}  {item.title}" for item in found])


def users(arguments: argparse.Namespace) -> None:
    """Print the ids of the first users who have a list; the first of all is whom `molorec rank` takes."""
    from molorec.catalog import Catalog

    check_least(1, limit=arguments.limit)
    found = Catalog().first_users(arguments.name, arguments.setting, arguments.limit)
    if not found:
        note(f"nobody in '{arguments.name}' has a list in the setting '{arguments.setting}'")
    emit(arguments, {"schema": SCHEMA, "domain": arguments.name, "setting": arguments.setting, "users": found}, found)


def lists(arguments: argparse.Namespace) -> None:
    """Print the stored candidate lists as JSON lines, in prompt order; with --json as one document with their hash."""
    from molorec.catalog import Catalog

    catalog = Catalog()
    lines = catalog.export_lists(arguments.name, arguments.setting, arguments.split)
    if not arguments.json:
        for line in lines:
            print(line)
        return
    emit(arguments, {"schema": SCHEMA, "domain": arguments.name, "setting": arguments.setting, "split": arguments.split,
                     "lists_sha256": catalog.lists_sha256(arguments.name, arguments.setting, arguments.split),
                     "lists": [json.loads(line) for line in lines]}, [])


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
