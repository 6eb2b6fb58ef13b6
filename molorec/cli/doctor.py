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

    from molorec import backbone, precision
    from molorec.catalog import Catalog

    profile = config.profile(arguments.profile)
    model = backbone.here(profile)
    domains = [info.name for info in Catalog().domains()]
    adapters = sorted({folder.name for root in config.adapter_folders(profile) if root.is_dir()
                       for folder in root.iterdir() if folder.is_dir()})
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
    }
    lines = [f"{key:10} {', '.join(value) if isinstance(value, list) else value}" for key, value in report.items()
             if key not in ("schema", "packages", "missing")]
    lines += [f"{name:14} {version or 'not installed'}" for name, version in report["packages"].items()]
    lines += [f"missing: {text}" for text in report["missing"]] or ["nothing is missing"]
    emit(arguments, report, lines)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
