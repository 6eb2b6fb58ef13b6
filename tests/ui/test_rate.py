"""Too much from one address is refused in words; everybody else is served."""

from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from molorec.config import LIMITS
from molorec.ui import page, rate
from tests.ui.pages import served


@pytest.fixture(autouse=True)
def five(monkeypatch):
    monkeypatch.setattr(rate, "LIMITS", replace(LIMITS, requests=5))


@pytest.fixture
def client():
    async def read(request):
        return PlainTextResponse(f"there {len(await request.body())}")

    served = Starlette(routes=[Route(path, read, methods=["GET", "POST"]) for path in ("/", "/upload")],
                       middleware=[Middleware(rate.RateLimit)])
    return TestClient(served)


def test_the_sixth_request_of_a_minute_is_refused_and_another_address_is_not(client, monkeypatch):
    monkeypatch.setenv("MOLOREC_PROXY", "1")
    assert [client.post("/").status_code for _ in range(6)] == [200] * 5 + [429]
    refused = client.post("/").json()
    assert refused["detail"] == refused["error"] and "more than 5 requests in a minute" in refused["detail"]
    assert client.post("/", headers={"x-forwarded-for": "192.0.2.7"}).status_code == 200


def test_behind_a_proxy_nobody_gets_more_by_naming_another_address_before_its_own(client, monkeypatch):
    monkeypatch.setenv("MOLOREC_PROXY", "1")
    asked = [client.post("/", headers={"x-forwarded-for": f"192.0.2.{i}, 198.51.100.7"}).status_code for i in range(6)]
    assert asked == [200] * 5 + [429]


def test_behind_a_proxy_that_adds_a_line_of_its_own_that_line_counts(client, monkeypatch):
    monkeypatch.setenv("MOLOREC_PROXY", "1")
    asked = [client.post("/", headers=[("x-forwarded-for", f"192.0.2.{i}"), ("x-forwarded-for", "198.51.100.7")]).status_code
             for i in range(6)]
    assert asked == [200] * 5 + [429]


def test_without_a_proxy_nobody_gets_more_by_naming_another_address(client):
    asked = [client.post("/", headers={"x-forwarded-for": f"192.0.2.{i}"}).status_code for i in range(6)]
    assert asked == [200] * 5 + [429]


def test_looking_is_free(client):
    assert {client.get("/").status_code for _ in range(20)} == {200}


@pytest.mark.parametrize(("path", "size", "status"), [
    ("/upload", str(LIMITS.upload_bytes), 200), ("/upload", str(LIMITS.upload_bytes + 2**21), 413), ("/upload", "x", 200),
    ("/", str(LIMITS.request_bytes), 200), ("/", str(LIMITS.request_bytes + 2**21), 413)])
def test_a_request_that_says_it_is_too_large_is_not_read(client, path, size, status):
    answer = client.post(path, headers={"content-length": size})
    assert answer.status_code == status and ("the most that can be sent" in answer.text) == (status == 413)


@pytest.mark.parametrize(("pieces", "status"), [(2, 200), (4, 413), (9, 413)])
def test_a_request_that_does_not_say_its_length_is_counted(client, pieces, status):
    def body():
        for _ in range(pieces):
            yield b"x" * (LIMITS.request_bytes // 2)

    answer = client.post("/", content=body())
    assert answer.status_code == status and ("larger than 2 MB" in answer.text) == (status == 413)


def test_so_many_files_in_an_hour_and_no_more(client, monkeypatch):
    monkeypatch.setattr(rate, "LIMITS", replace(LIMITS, requests=50, uploads=3))
    assert [client.post("/upload").status_code for _ in range(4)] == [200] * 3 + [429]
    assert "3 files in an hour" in client.post("/upload").text and client.post("/").status_code == 200


def test_the_page_is_served_behind_it(engine):
    with served(page.build(engine)) as url:
        answers = [httpx.post(f"{url}gradio_api/queue/join", json={}) for _ in range(6)]
        assert [answer.status_code == 429 for answer in answers] == [False] * 5 + [True]
        assert "wait a little" in answers[-1].json()["detail"] and httpx.get(url).status_code == 200
        assert httpx.get(f"{url}health").json()["status"] == "ok"
