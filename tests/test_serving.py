"""What a server is given: the slider's mixtures, and no way to load others."""

from dataclasses import replace

import pytest
import torch

from molorec import backbone
from molorec.backends.server import name_of
from molorec.errors import BadInput
from molorec.mixture import adapters, export
from molorec.serving import command, export_mixtures
from tests.conftest import pico_model, pico_tokenizer


def test_the_exported_mixtures_are_those_of_the_slider(engine, tmp_path):
    mixture = engine.mixture("toybox")
    made = export_mixtures(mixture, "sum", 5, tmp_path)
    lams = [name.rpartition("-")[2] for name in made]
    assert lams == sorted(lams) and {"0.0000", "0.2500", "0.5000", "0.7500", "1.0000"} <= set(lams)
    again = adapters.read(made[name_of(mixture.stack.key, "sum", [0.25, 0.75])], engine.base.shapes)
    expected = export.merge(mixture.stack, [0.25, 0.75], "sum")
    assert all(torch.equal(again.factors[path][0], a) for path, (a, _) in expected.factors.items())
    for points in (1, 10_002):
        with pytest.raises(BadInput, match="cannot be served"):
            export_mixtures(mixture, "sum", points, tmp_path)
    with pytest.raises(BadInput, match="two adapters, not of 3"):
        export_mixtures(replace(mixture, adapters=(*mixture.adapters, mixture.adapters[0])), "sum", 3, tmp_path)


def test_the_server_listens_to_this_machine_alone_and_loads_nothing_later(tmp_path):
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(tmp_path / "pico")
    tokenizer.save_pretrained(tmp_path / "pico")
    base = backbone.outline(tmp_path / "pico", precision="nf4")
    words, environment = command(base, {"one": tmp_path / "one"}, 8, 8000)
    assert words[words.index("--host") + 1] == "127.0.0.1" and environment == {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0"}
    more, _ = command(base, {"one": tmp_path / "one"}, 8, 8000, ["--data-parallel-size", "2", "--host", "0.0.0.0"])
    assert more.index("--data-parallel-size") < more.index("0.0.0.0") < more.index("127.0.0.1")  # of two, the last one counts
    assert words[words.index("--max-lora-rank") + 1] == "8" and words[words.index("--quantization") + 1] == "bitsandbytes"
    with pytest.raises(BadInput, match="rank 600"):
        command(base, {}, 600, 8000)
