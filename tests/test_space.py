"""What a Hugging Face Space and a container need, checked on this machine: ``make space``."""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from gradio_client import Client

from molorec import config, space
from tests import embedded

ROOT = config.PACKAGE.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
USER = "1328"
STAND_INS = Path(__file__).parent / "stand_ins"


def front_matter():
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", (ROOT / "README.md").read_text(), re.DOTALL)[1])


def test_the_readme_tells_the_hub_how_to_run_the_app():
    found = front_matter()
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().split() if "==" in line)
    assert (found["sdk"], found["sdk_version"], found["python_version"]) == ("gradio", pins["gradio"], "3.12")
    assert (ROOT / found["app_file"]).is_file() and len(found["short_description"]) <= 60  # the hub refuses longer ones
    assert {found["colorFrom"], found["colorTo"]} <= {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_the_container_copies_what_is_there_and_the_app_needs():
    copied = [word for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
              if not word.startswith("--")]
    assert all((ROOT / name).exists() for name in copied)
    assert {"app.py", "molorec", "assets", "training_scripts", "requirements.txt"} <= set(copied)
    assert f"python:{front_matter()['python_version']}" in DOCKERFILE and "USER molorec" in DOCKERFILE
    pin = re.search(r"^torch==.*$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[0]
    assert f'ARG TORCH="{pin}"' in DOCKERFILE and "/health" in DOCKERFILE


@pytest.mark.parametrize(("variables", "disk", "home", "forgets"), [
    ({}, True, None, False), ({"SPACE_ID": "a/b"}, True, "molorec", False), ({"SPACE_ID": "a/b"}, False, None, True),
    ({"SPACE_ID": "a/b", "MOLOREC_HOME": "x"}, False, None, False)])
def test_a_space_with_a_disk_keeps_what_is_made_there(monkeypatch, tmp_path, variables, disk, home, forgets):
    monkeypatch.delenv("MOLOREC_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(space, "DISK", tmp_path if disk else tmp_path / "none")
    assert space.home() == (tmp_path / home if home else None) and space.forgets() == forgets
    if home:
        assert config.home() == tmp_path / home


@contextmanager
def started(tmp_path, **variables):
    """The address of ``python app.py``, as a Space starts it: on all interfaces, with nothing of ours installed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    surroundings = {**os.environ, "SPACE_ID": "someone/molorec", "GRADIO_SERVER_NAME": "0.0.0.0", "HOME": str(tmp_path),
                    "MOLOREC_HOME": str(config.home()), **variables}
    said = tmp_path / "said.txt"
    with open(said, "w") as stream:
        process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT, env=surroundings, stdout=stream,
                                   stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, said.read_text()
            try:
                if httpx.get(f"{address}/health", timeout=2).json() == {"status": "ok", "version": front_version()}:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield address
        assert "Traceback" not in said.read_text()
    finally:
        process.terminate()
        process.wait(30)


def front_version():
    from molorec import __version__

    return __version__


@pytest.mark.embedded
def test_it_starts_as_a_space_on_a_processor_and_ranks(tmp_path):
    engine = embedded.engine()
    with started(tmp_path) as address:
        client = Client(address, verbose=False)
        found = client.predict("movielens-1m", user=USER, lam=0.4, api_name="/rank")
        expected = engine.rank(engine.catalog.example("movielens-1m", found["user"]), 0.4)
        assert [line["item_id"] for line in found["ranking"]] == [ranked.item.item_id for ranked in expected.items]
        page = httpx.get(address, headers={"x-forwarded-proto": "https", "x-forwarded-host": "someone-molorec.hf.space"})
        assert page.status_code == 200 and '"root":"https://someone-molorec.hf.space' in page.text.replace(" ", "")


@pytest.mark.embedded
def test_on_zerogpu_each_call_runs_in_a_process_of_its_own(tmp_path):
    engine, calls = embedded.engine(), tmp_path / "calls"
    with started(tmp_path, SPACES_ZERO_GPU="true", PYTHONPATH=str(STAND_INS), CALLS=str(calls)) as address:
        client = Client(address, verbose=False)
        for lam in (0.0, 0.7):
            found = client.predict("movielens-1m", user=USER, lam=lam, api_name="/rank")
            expected = engine.rank(engine.catalog.example("movielens-1m", found["user"]), lam)
            assert [line["probability"] for line in found["ranking"]] == pytest.approx(
                [ranked.probability for ranked in expected.items], abs=0.02)
        assert set(calls.read_text().splitlines()) == {"_score 8.25"}
