"""``molorec doctor``."""

import shutil

import huggingface_hub

from molorec import config
from tests.cli.conftest import document


def test_doctor_prints_one_document(molorec, stored):
    report = document(molorec("doctor", "--json"))
    assert report["schema"] == 1 and report["domains"] == ["toybox"] and report["model"] is None
    assert any("base model" in text for text in report["missing"])


def test_doctor_looks_for_a_hub_model_in_the_hubs_own_cache(molorec, monkeypatch, tmp_path):
    report = document(molorec("doctor", "--json", "--profile", "qwen2-7b"))
    assert report["precision"] == "nf4" and report["model"] is None
    assert any("Qwen/Qwen2-7B-Instruct" in text for text in report["missing"])
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file, revision: str(tmp_path / name / file))
    folder = tmp_path / "Qwen/Qwen2-7B-Instruct"
    folder.mkdir(parents=True)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}')

    def model():
        return document(molorec("doctor", "--json", "--profile", "qwen2-7b"))["model"]

    for part in ("1.safetensors", "2.safetensors"):
        assert model() is None  # a download that was stopped
        (folder / part).touch()
    assert model() == str(folder)


def test_doctor_names_what_is_damaged(molorec, home):
    broken = home / "adapters" / "embedded" / "movielens-1m"
    shutil.copytree(config.SHIPPED_ADAPTERS / "embedded" / "movielens-1m", broken)
    assert document(molorec("doctor", "--json"))["damaged"] == []
    (broken / "adapter_model.safetensors").write_bytes(b"half a fi")
    report = document(molorec("doctor", "--json"))
    assert len(report["damaged"]) == 1 and str(broken) in report["damaged"][0] and "movielens-1m" not in report["adapters"]
    code, out, _ = molorec("doctor")
    assert code == 0 and f"damaged: {broken}" in out and "nothing is missing" not in out


def test_doctor_says_how_to_get_what_is_missing(molorec):
    code, out, _ = molorec("doctor")
    assert code == 0 and "molorec domains fetch" in out
