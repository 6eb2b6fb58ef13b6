"""Who is in which split, and which items nobody may train on."""

import hashlib

from molorec.errors import BadInput

TUNE_USERS = 100
QUICK_USERS = 1_000
HELD_OUT_ONE_IN = 20

SPLITS = ("tune", "quick", "full")


def digest(text: str) -> int:
    """The SHA-256 of ``text`` as one integer."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def user_order(user_ids: list[str]) -> list[str]:
    """Users in the order that decides their split: by SHA-256 of the id."""
    return sorted(user_ids, key=lambda user_id: hashlib.sha256(user_id.encode()).hexdigest())


def split_of(position: int) -> str:
    """The split of the user at ``position`` of :func:`user_order`.

    >>> split_of(0), split_of(99), split_of(100), split_of(1099), split_of(1100)
    ('tune', 'tune', 'quick', 'quick', 'full')
    """
    if position < TUNE_USERS:
        return "tune"
    return "quick" if position < TUNE_USERS + QUICK_USERS else "full"


def positions_of(split: str) -> tuple[int, int | None]:
    """First position of a split and the first one after it (None: to the end). Raises BadInput if there is no such split."""
    bounds = {
        "tune": (0, TUNE_USERS),
        "quick": (TUNE_USERS, TUNE_USERS + QUICK_USERS),
        "full": (TUNE_USERS + QUICK_USERS, None),
    }
    if split not in bounds:
        raise BadInput(f"there is no split '{split}'; choose one of: {', '.join(bounds)}")
    return bounds[split]


def is_held_out(domain: str, item_id: str) -> bool:
    """Whether an item is kept from all training and validation, for the new-item setting."""
    return digest(f"{domain}|{item_id}") % HELD_OUT_ONE_IN == 0
