"""What is different where the app runs as a Hugging Face Space or behind a proxy, as the environment tells."""

import os
from pathlib import Path

DISK = Path("/data")  # where a Space's own disk is, if it has one


def is_space() -> bool:
    """Whether this is a Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


def home() -> Path | None:
    """Where a Space keeps what should outlive a restart; None if nothing does, or if this is none."""
    return DISK / "molorec" if is_space() and os.access(DISK, os.W_OK) else None


def forgets() -> bool:
    """Whether all that is kept here is gone at the next restart."""
    return is_space() and home() is None and not os.environ.get("MOLOREC_HOME")


def is_behind_proxy() -> bool:
    """Whether requests come through a proxy that names the address they are from; else anybody could name any address."""
    return is_space() or os.environ.get("MOLOREC_PROXY", "") == "1"
