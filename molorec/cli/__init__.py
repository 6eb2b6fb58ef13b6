"""``molorec``: rank, tune, explain and measure on the command line; data, adapters and a server for them."""

import argparse
import io
import signal
import sys
import threading
from collections.abc import Sequence

from molorec import __version__
from molorec.cli import adapters, common, doctor, domains, evaluation, ranking
from molorec.command_line import command_line
from molorec.errors import MolorecError


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: exit code 0 done, 1 failed, 2 bad input."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # titles and λ are beyond what a Windows console's code page has
            stream.reconfigure(encoding="utf-8", newline="\n")
    arguments = parser().parse_args(argv)
    arguments.command_line = command_line("molorec", sys.argv[1:] if argv is None else [str(word) for word in argv])
    try:
        if getattr(arguments, "lam_file", None):
            arguments.lam = common.lam_of(arguments.lam_file, arguments)
        arguments.run(arguments)
    except MolorecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is computed now ends in seconds; another Ctrl-C ends it at once
        print("stopped" + getattr(arguments, "when_stopped", ""), file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe (`| head`) has gone
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a file that the user named cannot be written, a full disk
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; what it gives has the command as ``run``."""
    found = argparse.ArgumentParser(prog="molorec", description=__doc__)
    found.add_argument("--version", action="version", version=f"molorec {__version__}")
    commands, options = found.add_subparsers(required=True, metavar="COMMAND"), common.options()
    for part in (doctor, domains, ranking, evaluation, adapters):
        part.add_parsers(commands, options)
    return found
