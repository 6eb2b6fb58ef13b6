"""The port that a server of ours is to listen on."""

import argparse
import os
import socket

from molorec.errors import MolorecError


def of(text: str) -> int:
    """An argument's port, for :mod:`argparse`.

    >>> of("7860")
    7860

    Raises
    ------
    argparse.ArgumentTypeError : it is no whole number from 1 to 65535.
    """
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; give a whole number from 1 to 65535")
    return int(text)


def check_free(port: int) -> None:
    """Before what takes a while. Raises MolorecError if nobody can listen on the port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that a server has just left is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise MolorecError(f"port {port} is taken, or not for us ({error.strerror}); give another --port") from error


def past_proxies(*hosts: str) -> None:
    """Have this process reach this machine, and ``hosts``, without the proxy that the environment may name for the network.

    """
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    wanted = [*filter(None, direct.split(",")), "localhost", "127.0.0.1", "::1", *hosts]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys(wanted))
