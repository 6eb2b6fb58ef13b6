"""An adapter's card: what is known about it, kept beside its weights as ``molorec.json`` and, for people, ``README.md``."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from molorec import whole_file
from molorec.errors import BadAdapter, BadInput
from molorec.mixture.lam import from_saved

CARD, FOR_PEOPLE = "molorec.json", "README.md"
SCHEMA = 1
A_SEED = 2025  # of the A that all adapters of a base begin with
MERGED, SECOND_ROUND = "merged", "second-round"
# an exported mixture of the other two; a baseline, the general one trained on in one domain: neither is mixed again
ALONE = (MERGED, SECOND_ROUND)
ROLES = ("general", "specific", *ALONE)


@dataclass
class Card:
    """What is known about an adapter, kept beside its weights as ``molorec.json``.

    Attributes
    ----------
    share : of the domains' training people, in (0, 1]; below 1 the adapter is one of the few-shot setting.
    """

    role: str
    domain: str
    base: str
    base_revision: str
    base_sha256: str
    template: str
    noun: str
    tokenizer: str
    objective: str
    a_seed: int = A_SEED
    data: dict = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    device: str = ""
    scores: dict = field(default_factory=dict)
    tuned_lam: dict | None = None  # see lam.to_saved
    data_terms: str = ""
    share: float = 1.0
    schema: int = SCHEMA


def read_card(folder: Path) -> Card | None:
    """An adapter folder's card, None if it has none. Raises BadAdapter if it is damaged or of another version."""
    path = folder / CARD
    if not path.exists():
        return None
    content = read_object(path)
    if content.get("schema") != SCHEMA:
        raise BadAdapter(f"adapter '{folder.name}': its card has schema {content.get('schema')!r}, this MoLoRec "
                         f"reads {SCHEMA}")
    try:
        card = Card(**content)
    except TypeError as error:
        raise BadAdapter(f"adapter '{folder.name}': its card is not as it should be ({error})") from error
    for each in fields(Card):
        value = getattr(card, each.name)
        if not isinstance(value, each.type) and not (each.type in (float, float | None) and isinstance(value, int)):
            raise BadAdapter(f"adapter '{folder.name}': its card has {each.name} = {value!r}")
    if not 0 < card.share <= 1:
        raise BadAdapter(f"adapter '{folder.name}': its card has share = {card.share}, no number above 0 and up to 1")
    if card.tuned_lam is not None:
        try:
            from_saved(card.tuned_lam)
        except BadInput as error:
            raise BadAdapter(f"adapter '{folder.name}': its card has tuned_lam that cannot be used ({error})") from error
    if card.role not in ROLES:
        raise BadAdapter(f"adapter '{folder.name}': its role is '{card.role}', not one of {', '.join(ROLES)}")
    return card


def write_card(card: Card, folder: Path) -> None:
    """Write a card into its adapter's folder, for programs and for people. Raises OSError if that is not possible."""
    write_object(folder / CARD, asdict(card))
    whole_file.write(folder / FOR_PEOPLE, card_text(card))


def update_card(folder: Path | str, **changes: object) -> None:
    """Change fields of a saved adapter's card (scores, the tuned λ) and its README. Raises BadAdapter if it has none."""
    folder = Path(folder)
    card = read_card(folder)
    if card is None:
        raise BadAdapter(f"adapter '{folder.name}' has no {CARD}")
    write_card(replace(card, **changes), folder)


def card_text(card: Card) -> str:
    """The card as Markdown, for people who come across the folder elsewhere."""
    data = "\n".join(f"- {name}: {value}" for name, value in card.data.items()) or "- not recorded"
    scores = "\n".join(f"- {name}: {value}" for name, value in card.scores.items()) or "- not measured yet"
    name = card.role if card.role == card.domain else f"{card.role}, {card.domain}"
    if card.role == MERGED:
        made, use = "Several adapters mixed at one λ, which is fixed here", "PEFT's `PeftModel.from_pretrained`"
    else:
        part = ("A baseline, trained on top of the general adapter; it is no part of a mixture" if card.role == SECOND_ROUND
                else f"Role in a mixture: {card.role}")
        made = f"{part}. {card.steps} steps in {card.seconds:.0f} s on {card.device}"
        command = "molorec rank --lam 1" if card.role == "general" else f"molorec rank --domain {card.domain}"
        use = f"`{command}`, or PEFT's `PeftModel.from_pretrained`"
    return (
        f"---\nbase_model: {card.base}\nlibrary_name: peft\ntags: [lora, recommendation, molorec]\n---\n"
        f"# MoLoRec adapter: {name}\n\n"
        f"A LoRA adapter of all linear layers for `{card.base}` ({card.base_revision}). {made}.\n\n"
        f"Template `{card.template}`, objective: {card.objective}.\n\n"
        f"## Data\n{data}\n\nTerms of the data: {card.data_terms or 'not recorded'}\n\n"
        f"## Scores\n{scores}\n\nUse: {use}.\n"
    )


def read_object(path: Path) -> dict:
    """A JSON file of an adapter folder. Raises BadAdapter if it is missing, damaged, or no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadAdapter(f"'{path.parent}' is no adapter folder: it has no {path.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadAdapter(f"adapter '{path.parent.name}': {path.name} cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise BadAdapter(f"adapter '{path.parent.name}': {path.name} does not hold an object")
    return content


def write_object(path: Path, content: dict) -> None:
    """Write a JSON file of an adapter folder, all of it or nothing. Raises OSError if that is not possible."""
    whole_file.write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
