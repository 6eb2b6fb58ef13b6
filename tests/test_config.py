"""Profiles and paths: chosen by name, by environment, or by default."""

from pathlib import Path

import pytest
import torch

from molorec import config
from molorec.errors import BadInput


def test_home_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLOREC_HOME", str(tmp_path / "here"))
    assert config.home() == (tmp_path / "here").resolve()
    monkeypatch.setenv("MOLOREC_HOME", "~/there")
    assert config.home() == (Path.home() / "there").resolve()


def test_home_is_the_users_cache_without_a_choice(monkeypatch):
    monkeypatch.setenv("MOLOREC_HOME", "")
    assert config.home().name == "molorec" and config.home().is_absolute()


def test_the_profile_is_the_named_one_before_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("MOLOREC_PROFILE", "none such")
    assert config.profile("embedded") is config.EMBEDDED
    with pytest.raises(BadInput, match="no profile 'none such'; choose one of: embedded"):
        config.profile()


def test_the_profile_has_a_default(monkeypatch):
    monkeypatch.delenv("MOLOREC_PROFILE", raising=False)
    assert config.profile() is config.EMBEDDED


@pytest.mark.parametrize(("adapter", "gpu", "found"), [
    (True, True, "qwen2-7b"), (True, False, "embedded"), (False, True, "embedded")])
def test_the_large_model_is_the_default_only_where_it_can_mix(monkeypatch, home, adapter, gpu, found):
    monkeypatch.delenv("MOLOREC_PROFILE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    if adapter:
        (home / "adapters" / "qwen2-7b" / "general").mkdir(parents=True)
    assert config.profile().name == found


def test_every_model_of_the_hub_is_pinned_by_commit():
    for profile in config.PROFILES.values():
        assert profile.wheel or (len(profile.revision) == 40 and set(profile.revision) <= set("0123456789abcdef"))


def test_what_was_trained_here_comes_before_what_ships(home):
    first, second = config.adapter_folders(config.EMBEDDED)
    assert first == home / "adapters" / "embedded"
    assert second == config.SHIPPED_ADAPTERS / "embedded"


def test_what_was_trained_for_another_base_has_a_folder_of_its_own(home, tmp_path):
    (tmp_path / "my-own").mkdir()
    for base in (tmp_path / "my-own", "someone/my-own", "someone/my-own@v2"):
        assert config.adapter_folders(config.EMBEDDED, base) == [home / "adapters" / "my-own",
                                                                 *config.adapter_folders(config.EMBEDDED)]


def test_every_wheel_is_pinned_by_version_and_hash():
    for wheel in (config.EMBEDDED.wheel, config.MOVIELENS_WHEEL):
        assert "==" in wheel.requirement
        assert len(wheel.sha256) == 64 and set(wheel.sha256) <= set("0123456789abcdef")
