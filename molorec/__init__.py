"""MoLoRec: mix a domain-general and a domain-specific LoRA adapter, and see what changes."""

from molorec.threads import configure as _configure_threads

_configure_threads()  # has to run before anything imports torch

__version__ = "0.1.0"
