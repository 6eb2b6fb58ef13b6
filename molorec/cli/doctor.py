"""``molorec doctor``."""

import argparse
import importlib.metadata
import platform

from molorec import __version__, config
from molorec.cli.common import SCHEMA, Options, emit

PACKAGES = ("torch", "transformers", "peft", "gradio", "plotly", "sqlite-utils", "safetensors", "bitsandbytes")


def add_parsers(commands, options: Options) -> None:
    """Add the command's parser."""
    options.add(commands, "doctor", doctor, [options.common])


def doctor(arguments: argparse.Namespace) -> None:
    """Versions, device, what is here, what is missing and how to get it."""
    import torch

    from molorec import backbone, hub, precision
    from molorec.catalog import Catalog

    profile = config.profile(arguments.profile)
    model = backbone.here(profile)
    domains = [info.name for info in Catalog().domains()]
    found = hub.here(profile)
    adapters = sorted(entry.folder.name for entry in found if entry.is_used)
    report = {
        "schema": SCHEMA, "molorec": __version__, "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES}, "home": str(config.home()), "profile": profile.name,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "precision": precision.chosen(None, profile.precision), "threads": torch.get_num_threads(),
        "model": str(model) if model else None, "domains": domains, "adapters": adapters,
        "missing": [text for absent, text in (
            (not model, f"the base model {profile.base}: it is fetched on first use"),
            (not domains, "data: `molorec domains fetch`"),
            (not adapters, "adapters: see training_scripts/"),
        ) if absent],
        "damaged": [f"{entry.folder}: {entry.problem}" for entry in found if entry.problem],
    }
    lines = [f"{key:10} {', '.join(value) if isinstance(value, list) else value}" for key, value in report.items()
             if key not in ("schema", "packages", "missing", "damaged")]
    lines += [f"{name:14} {version or 'not installed'}" for name, version in report["packages"].items()]
    lines += [f"{key}: {text}" for key in ("missing", "damaged") for text in report[key]] or ["nothing is missing"]
    emit(arguments, report, lines)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
