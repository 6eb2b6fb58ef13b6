"""The port that a server of ours is to listen on."""

import argparse
import errno
import os
import socket

from molorec.errors import BadInput, MolorecError


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


def check_free(port: int, host: str | None = None) -> None:
    """Before what takes a while.

    Raises
    ------
    BadInput : ``host`` is no address of this machine. MolorecError : nobody can listen on the port there.
    """
    try:
        family, *_, address = socket.getaddrinfo(host or "127.0.0.1", port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise BadInput(f"--host '{host}' is no address ({error}); 0.0.0.0 listens on all of this machine's") from error
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that a server has just left is free
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise BadInput(f"--host '{host}' is no address of this machine; 0.0.0.0 listens on all of its own") from error
            raise MolorecError(f"port {port} is taken, or not for us ({error.strerror}); give another --port") from error


def past_proxies(host: str | None = None) -> None:
    """Have this process reach this machine, and ``host``, without the proxy that the environment may name for the network.

    """
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    wanted = dict.fromkeys([*direct.split(","), "localhost", "127.0.0.1", "::1", host])
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, wanted))
