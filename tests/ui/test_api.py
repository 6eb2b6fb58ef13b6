"""The API answers like the command line, many at once, and says in words what it cannot do."""

import json
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from molorec import cli, landscape
from molorec.catalog import prepare
from molorec.errors import BadInput
from molorec.evaluation import protocol, runs
from molorec.mixture.lam import Lam, to_saved
from molorec.ui import api, snippets
from molorec.ui.session import View
from tests.conftest import source_data

NAMES = {"/domains", "/users", "/search", "/rank", "/tune", "/sweep", "/explain", "/compare", "/order", "/results"}


@pytest.fixture
def served(engine):
    engine.catalog.add_domain(prepare("secret", source_data(seed=3)), owner="ann")
    with api.Page(analytics_enabled=False) as page:
        api.endpoints(engine)
    _, url, _ = page.launch(prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, show_error=False)
    yield engine, url
    page.close()


@pytest.fixture
def client(served):
    return Client(served[1], verbose=False)


@pytest.fixture
def user(engine):
    return engine.catalog.users("toybox", "quick")[0]


def test_every_endpoint_is_typed(client):
    found = client.view_api(return_format="dict")["named_endpoints"]
    assert found.keys() == NAMES
    for endpoint in found.values():
        answer, = endpoint["returns"]
        assert answer["type"]["properties"]["schema"] == {"type": "integer"}
    assert found["/rank"]["parameters"][2]["parameter_name"] == "lam"


def asked(url, endpoint, *data):
    """The last event of a call by plain HTTP, as (its name, what it brings)."""
    call = httpx.post(f"{url}gradio_api/call/{endpoint}", json={"data": data}).raise_for_status().json()["event_id"]
    events = httpx.get(f"{url}gradio_api/call/{endpoint}/{call}", timeout=60).text.strip().split("\n\n")
    name, brought = (line.partition(": ")[2] for line in events[-1].splitlines())
    return name, json.loads(brought)


def test_what_is_left_out_of_a_plain_request_is_the_default(served, client, user):
    _, url = served
    wanted = client.predict(domain="toybox", user=user, lam=0.5, api_name="/rank")
    assert asked(url, "rank", "toybox", user) == ("complete", [wanted])
    name, steps = asked(url, "sweep", "toybox", user)
    assert name == "complete" and len(steps[0]["points"]) == landscape.POINTS
    name, said = asked(url, "rank")
    assert name == "error" and said["error"] == "/rank needs a value for 'domain'"


def test_six_at_once_get_each_their_own_lam(served, client, user):
    engine, _ = served
    lams = [i / 5 for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda lam: client.predict(domain="toybox", user=user, lam=lam, api_name="/rank"), lams))
    example = engine.catalog.example("toybox", user)
    for lam, answer in zip(lams, answers, strict=True):
        expected = engine.rank(example, lam)
        assert answer["lam"] == lam
        assert [line["item_id"] for line in answer["ranking"]] == [ranked.item.item_id for ranked in expected.items]
        assert [line["probability"] for line in answer["ranking"]] == [ranked.probability for ranked in expected.items]
    assert len({json.dumps(answer["ranking"]) for answer in answers}) == 6


def test_answers_are_the_command_lines_documents(served, client, user, monkeypatch, capsys):
    monkeypatch.setattr(cli.common, "engine", lambda arguments: served[0])

    def printed(*words):
        cli.main([*words, "--domain", "toybox", "--json"])
        return json.loads(capsys.readouterr().out)

    asked = {"domain": "toybox", "user": user, "lam": 0.3}
    assert client.predict(**asked, api_name="/rank") == printed("rank", "--user", user, "--lam", "0.3")
    assert client.predict(**asked, api_name="/explain") == printed("explain", "--user", user, "--lam", "0.3")
    tuned, expected = client.predict(domain="toybox", prompts=3, api_name="/tune"), printed("tune", "--prompts", "3")
    assert {**tuned, "seconds": 0} == {**expected, "seconds": 0}
    contrast = client.predict(domain="toybox", prompts=3, objective="contrast", api_name="/tune")
    expected = printed("tune", "--prompts", "3", "--objective", "contrast")
    assert {**contrast, "seconds": 0} == {**expected, "seconds": 0}


def test_a_tuning_is_streamed(client):
    steps = list(client.submit(domain="toybox", prompts=4, api_name="/tune"))
    assert len(steps) > 4 and steps[0]["prompts"] == 1 and steps[-1]["prompts"] == 4


def test_a_sweep_grows_to_all_its_points(client, user):
    steps = list(client.submit(domain="toybox", user=user, points=9, api_name="/sweep"))
    assert len(steps) == 2 and len(steps[-1]["points"]) == steps[-1]["total"] == 9
    assert [point["lam"] for point in steps[-1]["points"]] == [i / 8 for i in range(9)]
    at_half = {line["item_id"]: line["probability"]
               for line in client.predict(domain="toybox", user=user, lam=0.5, api_name="/rank")["ranking"]}
    swept = dict(zip([title["item_id"] for title in steps[-1]["candidates"]], steps[-1]["points"][4]["probabilities"],
                     strict=True))
    assert swept == pytest.approx(at_half, abs=1e-4)


def test_side_by_side_is_the_base_model_each_adapter_and_the_mixture(client, user):
    answer = client.predict(domain="toybox", user=user, lam=0.25, api_name="/compare")
    assert [(column["name"], column["lam"]) for column in answer["columns"]] == [
        ("Base model", None), ("General adapter", 1.0), ("Specific adapter", 0.0), ("Mixture", 0.25)]
    alone = client.predict(domain="toybox", user=user, lam=0.25, api_name="/rank")
    assert answer["columns"][-1]["ranking"] == alone["ranking"]


def test_the_order_of_a_list_is_checked_order_by_order(client, user):
    steps = list(client.submit(domain="toybox", user=user, api_name="/order"))
    assert [step["shuffles"] for step in steps] == list(range(1, 7)) and steps[-1]["same_first"] == 6
    assert sum(steps[-1]["mean"]) == pytest.approx(1) and len(steps[-1]["candidates"]) == 30


def test_with_one_adapter_lam_is_one_in_every_answer(served, client, user, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    served[0].forget("toybox")
    for name in ("/rank", "/explain", "/compare", "/order"):
        assert client.predict(domain="toybox", user=user, lam=0.3, api_name=name)["lam"] == 1


def test_results_are_what_is_kept_here_and_nobody_elses(served, client):
    engine, _ = served
    for domain in ("toybox", "secret"):
        runs.save(runs.record(protocol.evaluate(engine, domain, limit=3, systems=("popularity", "general"))))
    answer = client.predict(domain="toybox", api_name="/results")
    assert [run["people"] for run in answer["measured"]] == [3] and answer["paper"] == {}
    assert [(run["limit"], run["share"]) for run in answer["measured"]] == [(3, 1.0)]
    assert [system["name"] for system in answer["measured"][0]["systems"]] == ["popularity", "general"]
    with pytest.raises(AppError, match="no domain 'secret'"):
        client.predict(domain="secret", api_name="/results")


def test_results_at_a_lam_of_each_layer_are_answered(served, client):
    lam = Lam("layer", {"0": [1, 0], "1": [0.5, 0.5]})
    runs.save(runs.record(protocol.evaluate(served[0], "toybox", limit=3, systems=("mixed",), lam=lam)))
    answer = client.predict(domain="toybox", api_name="/results")
    assert {system["name"]: system["lam"] for system in answer["measured"][0]["systems"]}["chosen"] == to_saved(lam)


def test_domains_users_and_titles_are_found(served, client, user):
    assert [domain["name"] for domain in client.predict(api_name="/domains")["domains"]] == ["toybox"]
    users = client.predict(domain="toybox", limit=3, api_name="/users")["users"]
    assert users[0] == {"user": user, "latest": served[0].catalog.example("toybox", user).history[-1].title}
    items = client.predict(domain="toybox", text="amber lamp", api_name="/search")["items"]
    assert items[0]["title"].startswith("Amber Lamp")


def test_a_built_list_is_ranked(client):
    answer = client.predict(domain="toybox", scenario="built", history=["i1", "i2"], candidates=["i3", "i4", "i5"],
                            api_name="/rank")
    assert {line["item_id"] for line in answer["ranking"]} == {"i3", "i4", "i5"} and answer["user"] == ""


def test_the_shown_client_program_runs(served, user, capsys):
    names = {}
    exec(snippets.client(View("toybox", user, 0.3), served[1]), names)
    assert names["answer"]["lam"] == 0.3 and len(capsys.readouterr().out.splitlines()) > 30


@pytest.mark.parametrize(("endpoint", "asked", "said"), [
    ("/rank", {"user": "nobody"}, "no user 'nobody'"), ("/rank", {}, "choose a user"),
    ("/rank", {"lam": 9}, "outside 0 to 1"), ("/rank", {"lam": "abc"}, "λ is 'abc'"), ("/rank", {"lam": [1]}, "λ is [1]"),
    ("/rank", {"lam": True}, "λ is True"), ("/rank", {"domain": "nowhere"}, "no domain 'nowhere'"),
    ("/rank", {"domain": "secret"}, "no domain 'secret'"), ("/rank", {"domain": ["toybox"]}, "no domain"),
    ("/rank", {"user": "u1", "rule": "mean"}, "mean"), ("/rank", {"rule": ["sum"]}, "give a text"),
    ("/rank", {"scenario": "validation"}, "no scenario 'validation'"),
    ("/rank", {"scenario": "built", "history": "i1"}, "list of ids"), ("/rank", {"scenario": "built"}, "history is empty"),
    ("/rank", {"scenario": "built", "history": ["i1"], "candidates": ["i2", "none"]}, "no item 'none'"),
    ("/rank", {"scenario": "built", "history": ["i1"], "candidates": [2, 3]}, "give a text"),
    ("/rank", {"user": "u1", "candidates": ["i2"]}, "'built'"), ("/rank", {"user": "u" * 999}, "999 characters"),
    ("/tune", {"prompts": 0}, "from 1 to 100"), ("/tune", {"prompts": 1.5}, "whole number"),
    ("/tune", {"rule": "mean"}, "mean"), ("/tune", {"objective": "tokens"}, "candidates, contrast"),
    ("/sweep", {"user": "u1", "points": 10**9}, "from 1 to 201"), ("/sweep", {"user": "u1", "points": 1}, "too few"),
    ("/users", {"limit": -1}, "from 1 to 200"), ("/users", {"scenario": "built"}, "no scenario 'built'"),
    ("/search", {"text": 7}, "give a text"), ("/explain", {"user": "u1", "item_id": "i999"}, "not among the candidates"),
])
def test_what_cannot_be_answered_is_said_in_words(client, endpoint, asked, said):
    with pytest.raises(AppError) as error:
        client.predict(**{"domain": "toybox", **asked}, api_name=endpoint)
    assert said in str(error.value) and "Traceback" not in str(error.value)


def test_half_a_surrogate_pair_is_no_text():
    with pytest.raises(BadInput, match="surrogate"):
        api._text("user", "\ud800")


def test_endpoints_wait_in_the_screens_queues(engine):
    with gr.Blocks(analytics_enabled=False) as page:
        api.endpoints(engine)
    queues = {event.api_name: event.concurrency_id for event in page.fns.values()}
    assert {name for name, queue in queues.items() if queue == "model"} == {
        "domains", "users", "search", "rank", "compare", "results"}
    assert {name for name, queue in queues.items() if queue == "long"} == {"tune", "sweep", "explain", "order"}
