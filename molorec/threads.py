"""Thread settings that only count if they are in place before torch loads its OpenMP runtime."""

import os


def configure() -> None:
    """Let idle OpenMP threads sleep instead of spin.

    Spinning threads make a second busy process several times slower on a machine with few cores. Values that
    the user has set are kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
