"""The MoLoRec app: ``python app.py`` here, and the entry point of a Hugging Face Space."""

import argparse
import os
import sys

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401 - a Space on ZeroGPU has it, and wants it before torch

import molorec  # noqa: F401 - its thread settings have to be in place before torch loads
from molorec import config, port
from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.errors import MolorecError
from molorec.ui import page


def main(argv: list[str] | None = None) -> None:
    """Fetch what is missing, load the model, serve the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", help=f"base model: {', '.join(config.PROFILES)} (default: MOLOREC_PROFILE, else the best "
                                          "that has adapters here)")
    parser.add_argument("--base", help="folder or hub id of another base model")
    parser.add_argument("--precision", help="of its weights: nf4, bfloat16 or float32")
    parser.add_argument("--backend", help="what computes: local, vllm, or the address of a server")
    parser.add_argument("--port", type=port.of, default=7860, help="from 1 to 65535 (default: %(default)s)")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    arguments = parser.parse_args(argv)
    try:
        port.check_free(arguments.port, arguments.host)
        catalog = Catalog()
        ensure_movielens(catalog)
        engine = Engine.start(config.profile(arguments.profile), arguments.base, catalog, precision=arguments.precision,
                              backend=arguments.backend)
        app = page.build(engine)
        port.past_proxies(arguments.host)  # Gradio asks its own page whether it answers
        app.launch(server_name=arguments.host, server_port=arguments.port, **page.launch_options())
    except MolorecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # the disk is full, the cache folder cannot be written
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
