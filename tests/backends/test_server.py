"""A server over HTTP, played by one that answers as vLLM does."""

import asyncio
import json

import httpx
import pytest
import torch

from molorec import backbone, tuning
from molorec.backends import Writing, server
from molorec.backends.server import Server, name_of
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.mixture.lam import Lam
from molorec.serving import export_mixtures
from tests.conftest import pico_model, pico_tokenizer, toybox_adapters

ADDRESS = "http://127.0.0.1:8000"


class Played:
    """Answers for the mixtures it was given, with the pico model behind it."""

    def __init__(self, engine, lams):
        mixture = engine.mixture("toybox")
        self.model, self.stack, self.bodies, self.broken = engine.base.model, mixture.stack, [], False
        self.lams = {name_of(mixture.stack.key, "sum", [lam, 1 - lam]): lam for lam in lams}

    def __call__(self, request):
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "pico"}, *({"id": name} for name in self.lams)]})
        if self.broken:
            return httpx.Response(500, text="the engine is dead")
        body = json.loads(request.content)
        self.bodies.append(body)
        if body.get("stream"):
            lines = "".join(f"data: {json.dumps({'choices': [{'token_ids': ids}]})}\n\n" for ids in ([11], [12, 13], [1]))
            return httpx.Response(200, text=lines + "data: [DONE]\n\n")
        with torch.inference_mode(), self.stack.at([self.lams[body["model"]], 1 - self.lams[body["model"]]], "sum"):
            logs = self.model(input_ids=torch.tensor([body["prompt"]])).logits[0, -1].float().log_softmax(-1)
        top = {f"token_id:{token}": float(logs[token]) for token in body["logprob_token_ids"]}
        return httpx.Response(200, json={"choices": [{"logprobs": {"top_logprobs": [top]}}]})


@pytest.fixture
def played(engine, monkeypatch):
    made = Played(engine, [0.0, 0.5, 1.0])
    client = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **named: client(**{**named, "transport": httpx.MockTransport(made)}))
    return made


def test_rankings_are_those_of_the_local_backend(engine, played, base):
    other = Engine(base, engine.catalog, engine.adapter_folders, Server(ADDRESS, 420))
    example = engine.catalog.examples("toybox", "quick")[0]
    for lam in (0.0, 0.5, 1.0):
        ours, theirs = engine.rank(example, lam).probabilities(), other.rank(example, lam).probabilities()
        assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-4
    assert all(body["max_tokens"] == 1 and set(body["allowed_token_ids"]) == set(body["logprob_token_ids"])
               for body in played.bodies)


def test_a_lam_that_the_server_was_started_without_is_refused_with_those_it_has(engine, played, base):
    other = Engine(base, engine.catalog, engine.adapter_folders, Server(ADDRESS, 420))
    example = engine.catalog.examples("toybox", "quick")[0]
    with pytest.raises(BadInput, match=r"without λ = 0.3; it has λ = 0.0000, 0.5000, 1.0000"):
        other.rank(example, 0.3)
    with pytest.raises(BadInput, match="without these adapters under the rule 'product'"):
        other.rank(example, 0.5, "product")


def test_a_lam_of_each_layer_is_refused_in_words(engine, played, base):
    other = Engine(base, engine.catalog, engine.adapter_folders, Server(ADDRESS, 420))
    with pytest.raises(BadInput, match="two adapters at one λ for all layers.*--backend local or vllm"):
        other.rank(engine.catalog.examples("toybox", "quick")[0], Lam("layer", {"0": [1, 0], "1": [0.5, 0.5]}))


def test_a_text_is_streamed_without_its_stop(engine, played):
    stack = engine.mixture("toybox").stack
    texts = list(Server(ADDRESS, 420).write([5, 6], [0.5, 0.5], stack, "sum", Writing(8, 2, frozenset({1}), [7], 1.5)))
    assert texts == [[11], [11, 12], [11, 12, 13]]
    body = played.bodies[-1]
    assert body["stop_token_ids"] == [1] and 7 not in body["allowed_token_ids"] and len(body["allowed_token_ids"]) == 419
    assert (body["presence_penalty"], body["min_tokens"], body["max_tokens"]) == (1.5, 2, 8)


def test_what_the_server_says_is_said(engine, played, base):
    made = Server(ADDRESS, 420)
    played.broken = True
    other = Engine(base, engine.catalog, engine.adapter_folders, made)
    with pytest.raises(MolorecError, match="answers 500: the engine is dead"):
        other.rank(engine.catalog.examples("toybox", "quick")[0], 0.5)
    with pytest.raises(MolorecError, match="answers 500"):
        list(made.write([5], [0.5, 0.5], engine.mixture("toybox").stack, "sum", Writing(2, 0, frozenset(), [], 0.0)))


@pytest.mark.parametrize("error", [httpx.ReadError(""), httpx.RemoteProtocolError("Server disconnected")])
def test_a_request_on_a_connection_that_is_being_closed_is_sent_again(engine, played, monkeypatch, error):
    made, left, answer = Server(ADDRESS, 420), [error], Played.__call__
    monkeypatch.setattr(Played, "__call__", lambda self, request: throw(left.pop()) if left else answer(self, request))
    assert made._wait(made._answer("GET", "/models"))["data"]
    left += [error, error]
    with pytest.raises(MolorecError, match=r"does not answer \((ReadError|Server disconnected)\)"):
        made._wait(made._answer("GET", "/models"))


def throw(error):
    raise error


def test_nobody_there_is_said_with_what_to_do():
    with pytest.raises(MolorecError, match="does not answer .*molorec serve"):
        Server("http://127.0.0.1:9", 420)


@pytest.mark.parametrize("address", ["http://localhost:80000", "http://localhost:0", "http://", "http://[::1", "http://a:b",
                                     "http://a\0b", "ftp://localhost"])
def test_what_is_no_address_is_said_before_anybody_is_asked(address):
    with pytest.raises(BadInput, match="no address of a server"):
        Server(address, 420)


@pytest.mark.parametrize("answer", [
    {"text": "<html></html>"}, {"json": {"models": []}}, {"json": []}, {"json": {"data": [3]}}, {"json": {"data": [{"id": 3}]}}])
def test_another_program_at_the_address_is_said(played, monkeypatch, answer):
    monkeypatch.setattr(Played, "__call__", lambda self, request: httpx.Response(200, **answer))
    with pytest.raises(MolorecError, match="does not answer as vLLM's server does"):
        Server(ADDRESS, 420)


def timeout():
    raise httpx.ReadTimeout("")


@pytest.mark.parametrize(("answer", "said"), [
    (timeout, r"does not answer \(ReadTimeout\)"), (lambda: httpx.Response(200, text="data: <html>\n\n"), "does not answer as")])
def test_a_server_that_fails_later_is_said_too(engine, played, base, monkeypatch, answer, said):
    made = Server(ADDRESS, 420)
    monkeypatch.setattr(Played, "__call__", lambda self, request: answer())
    other = Engine(base, engine.catalog, engine.adapter_folders, made)
    with pytest.raises(MolorecError, match=said):
        other.rank(engine.catalog.examples("toybox", "quick")[0], 0.5)
    with pytest.raises(MolorecError, match=said):
        list(made.write([5], [0.5, 0.5], engine.mixture("toybox").stack, "sum", Writing(2, 0, frozenset(), [], 0.0)))


def test_a_served_domain_can_be_tuned(engine, played, base, tmp_path):
    mixture = engine.mixture("toybox")
    served = [float(name.rpartition("-")[2]) for name in export_mixtures(mixture, "sum", 2, tmp_path)]
    played.lams = {name_of(mixture.stack.key, "sum", [lam, 1 - lam]): lam for lam in served}
    other = Engine(base, engine.catalog, engine.adapter_folders, Server(ADDRESS, 420))
    ours, theirs = (list(tuning.tune(each, "toybox", 2))[-1] for each in (engine, other))
    assert theirs.settled and theirs.lam == pytest.approx(ours.lam, abs=0.005)


def test_an_outline_has_everything_but_weights(tmp_path, catalog):
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(tmp_path / "pico")
    tokenizer.save_pretrained(tmp_path / "pico")
    whole, outline = (make(tmp_path / "pico", precision="float32") for make in (backbone.load, backbone.outline))
    assert outline.is_outline and not whole.is_outline and outline.device.type == "cpu"
    assert (outline.shapes, outline.sha256, outline.prompter.fingerprint()) == (whole.shapes, whole.sha256,
                                                                                whole.prompter.fingerprint())
    mixture = Engine(outline, catalog, [toybox_adapters(whole, tmp_path / "adapters")]).mixture("toybox")
    assert mixture.is_pair and next(mixture.stack.parameters()).device.type == "cpu"


def test_closing_ends_the_loop_and_what_waits_for_it(played):
    made = Server(ADDRESS, 420)
    assert server.PREFIX in next(iter(made._mixtures))
    waiting = asyncio.run_coroutine_threadsafe(asyncio.sleep(600), made._loop)
    made.close()
    made._thread.join(5)
    assert not made._thread.is_alive() and waiting.cancelled() and made._client.is_closed
    made.close()  # once more does no harm


def test_a_server_that_is_not_there_leaves_no_loop_behind(monkeypatch):
    loops = []
    begin = server.OneToken.__init__
    monkeypatch.setattr(server.OneToken, "__init__", lambda self: begin(self) or loops.append(self))
    with pytest.raises(MolorecError, match="does not answer"):
        Server("http://127.0.0.1:9", 420)
    loops[0]._thread.join(5)
    assert not loops[0]._thread.is_alive()
