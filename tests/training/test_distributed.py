"""Two processes learn what one does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from molorec.training.distributed import Workers
from tests.conftest import pico_model, pico_tokenizer, toybox_catalog

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the domain "toybox" in its catalogue and a pico model."""
    path = tmp_path_factory.mktemp("distributed")
    toybox_catalog(path / "catalog.db")
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(path / "pico")
    tokenizer.save_pretrained(path / "pico")
    return path


def train(home, out, processes, *options, code=0):
    """Runs the training script in ``processes`` processes; returns what it said."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    script = [REPOSITORY / "training_scripts" / "train_specific.py", "--domain", "toybox", "--base", home / "pico", "--out", out,
              "--precision", "float32", "--steps", 6, "--rows", 5, "--length", 100, "--warmup", 1, "--micro-rows", 2,
              "--validation-lists", 5, "--validate-every", 3, "--threads", 1, *options]
    command = [*(launcher if processes > 1 else [sys.executable]), *script]
    done = subprocess.run([str(word) for word in command], cwd=REPOSITORY, capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(REPOSITORY), "MOLOREC_HOME": str(home)})
    assert done.returncode == code, done.stderr[-2000:]
    return done.stdout


def weights(out):
    return load_file(out / "last" / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def alone(home):
    """What one process said, and its adapter's weights."""
    said = train(home, home / "alone", 1)
    assert any(tensor.abs().max() > 0 for name, tensor in weights(home / "alone").items() if "lora_B" in name)
    return said, weights(home / "alone")


def assert_same(found, wanted):
    for name, tensor in wanted.items():
        assert torch.allclose(found[name], tensor, atol=2e-3), name  # the files are in bf16


def test_two_processes_give_the_result_of_one(home, alone):
    said = train(home, home / "together", 2)
    assert_same(weights(home / "together"), alone[1])
    losses, losses_alone = (re.findall(r"loss ([\d.]+).*?validation ([\d.]+)", text) for text in (said, alone[0]))
    assert losses and losses == losses_alone  # and only one of the two speaks


def test_two_processes_go_on_where_one_was_stopped(home, alone):
    stopped = train(home, home / "stopped", 1, "--progress-json", code=130)  # stdin is at its end: one step, then a checkpoint
    assert '"step": 1,' in stopped and '"step": 6,' not in stopped
    train(home, home / "stopped", 2)
    assert_same(weights(home / "stopped"), alone[1])


def test_tensors_are_put_back_in_their_own_shapes(monkeypatch):
    workers = Workers(0, 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(3))
    tensors = [torch.tensor(1.0), torch.ones(2, 3), torch.full((4,), 2.0)]
    workers.add_up(tensors)
    assert [tensor.tolist() for tensor in tensors] == [3.0, [[3.0] * 3] * 2, [6.0] * 4]
