"""``molorec doctor``."""


import huggingface_hub

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
    assert document(molorec("doctor", "--json", "--profile", "qwen2-7b"))["model"] == str(tmp_path / "Qwen/Qwen2-7B-Instruct")


def test_doctor_says_how_to_get_what_is_missing(molorec):
    code, out, _ = molorec("doctor")
    assert code == 0 and "molorec domains fetch" in out
