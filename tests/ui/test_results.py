"""The tab Results: what it shows is what the files say, and nothing in it runs an evaluation."""

import csv
import inspect
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from molorec import tuning, wording
from molorec.catalog import prepare
from molorec.evaluation import entropies, published, runs
from molorec.evaluation.runs import Interval, System
from molorec.ui import results, shelf
from molorec.ui.results import BOTH, HERE, THERE
from tests.conftest import source_data
from tests.ui.conftest import PAYLOAD, plain_screen

SHIPPED = runs.read(runs.SHIPPED / "movielens-1m-warm-full.json")
ML = "movielens-1m"


def ask(engine, source=BOTH, domain=ML, setting="warm", metric="ndcg@1", chosen=None, visitor="visitor-1"):
    """The panel's outputs by name."""
    names = ("domain", "run", "about", "figure", "words", "table", "download", "json")
    return dict(zip(names, results._shown(engine, visitor, source, domain, setting, metric, chosen), strict=True))


def said(shown) -> str:
    """What stands above the figure, without markup."""
    return re.sub("<[^>]+>", "", shown["about"])


def cells(shown) -> list[list[str]]:
    return shown["table"].value["data"]


def downloaded(shown) -> list[dict]:
    with open(shown["download"].value["path"] if isinstance(shown["download"].value, dict) else shown["download"].value,
              encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(io.StringIO(stream.read(), newline="")))


def test_the_shipped_run_and_the_paper_stand_in_separate_panels(engine):
    shown = ask(engine)
    assert len(cells(shown)) == len(SHIPPED.systems) + 13
    specific = SHIPPED.system("specific").scores["ndcg@1"]
    row = next(row for row in cells(shown) if row[1] == "specific")
    assert row[:5] == ["Measured here", "specific", "0.00", f"{SHIPPED.n:,}", wording.score(specific.mean)]
    assert row[5] == f"{wording.score(specific.low)} to {wording.score(specific.high)}" and row[6].startswith("+.")
    assert cells(shown)[-1][:5] == ["Paper, Table 1", "MoLoRec", "", "", ".5783"]
    assert "cannot be set beside" in shown["about"] and SHIPPED.lists_sha256[:12] in shown["about"]
    offered = [value.partition(", ")[2] for _, value in shown["run"].choices]  # behind the day
    assert sorted(offered) == ["full, 4,705 people", "quick, 962 people", "quick, 962 people, few-shot 10%"]


@pytest.mark.parametrize(("source", "rows"), [(HERE, len(SHIPPED.systems)), (THERE, 13)])
def test_the_source_is_a_filter(engine, source, rows):
    shown = ask(engine, source)
    assert len(cells(shown)) == rows
    assert ("cannot be set beside" in shown["about"]) == (source == THERE)


def test_the_words_are_of_the_numbers(engine):
    words = ask(engine)["words"]
    above = SHIPPED.system("specific").against_popularity["ndcg@1"]
    assert f"specific, λ=0.00 is surely above popularity: {wording.difference(above.mean, above.low, above.high)}" in words
    assert "general, λ=1.00 is surely below popularity" in words
    near = Interval(0.01, -0.02, 0.04)
    unsure = replace(SHIPPED.system("half"), against_popularity={metric: near for metric in runs.METRICS})
    runs.save(replace(SHIPPED, n=9_000, systems=(SHIPPED.systems[0], unsure)))
    assert "half, λ=0.50 is not shown to differ from popularity" in ask(engine)["words"]
    assert "contrast prefers the specific adapter alone, so with this pair mixing is not shown to help" in words
    assert "blind guess would score .033" in words
    assert "would score .100" in ask(engine, metric="hr@3")["words"]


def test_to_be_above_a_popularity_that_knows_nothing_is_no_feat(engine):
    shown = ask(engine, HERE, setting="new-item")
    assert "Popularity is no yardstick here" in shown["words"] and "above popularity" not in shown["words"]
    assert {row[6] for row in cells(shown)} == {""}


def test_nothing_measured_says_what_to_run(engine):
    shown = ask(engine, HERE, "toybox")
    assert "run molorec evaluate --domain toybox --split quick on the machine" in said(shown) and "<code" in shown["about"]
    assert not shown["figure"].visible and not shown["table"].visible and not shown["download"].visible and not shown["words"]
    assert "--setting new-item" in said(ask(engine, HERE, "toybox", "new-item"))
    assert "molorec domains add" not in said(shown)
    about = said(ask(engine, HERE, "amazon14_sports"))
    assert "McAuley" in about and "molorec domains fetch amazon14_sports" in about and "--domain amazon14_sports" in about
    assert ("Amazon Beauty (amazon14_beauty)", "amazon14_beauty") in ask(engine)["domain"].choices  # its data is not here
    runs.save(replace(SHIPPED, domain="gone"))
    assert "molorec domains add gone" in said(ask(engine, HERE, "gone", "new-item"))


def test_what_the_paper_does_not_have_is_said(engine):
    assert "does not report HR@3" in ask(engine, metric="hr@3")["about"]
    assert "The paper has no numbers for toybox" in ask(engine, THERE, "toybox")["about"]


def test_the_run_of_most_people_comes_first_and_another_can_be_chosen(engine):
    few = replace(SHIPPED, n=5, limit=5, rule="product", date="2027-01-01T00:00:00+00:00")
    runs.save(few)
    shown = ask(engine)
    assert shown["run"].value.endswith("4,705 people")
    other = "01 Jan 2027, full, 5 people, rule product"
    assert other in [value for _, value in shown["run"].choices]
    assert cells(ask(engine, chosen=other))[0][3] == "5"
    assert "Only the first 5 people" in ask(engine, chosen=other)["about"]


def test_a_few_shot_run_is_called_so_and_comes_last(engine):
    runs.save(replace(SHIPPED, n=9_000, share=0.1, date="2027-01-01T00:00:00+00:00"))
    few = "01 Jan 2027, full, 9,000 people, few-shot 10%"
    shown = ask(engine)
    assert shown["run"].value.endswith("4,705 people") and few in [value for _, value in shown["run"].choices]
    assert "has learned from 10% of its people" in ask(engine, chosen=few)["about"]


def test_a_damaged_file_is_named_and_the_rest_is_shown(engine):
    runs.folder().mkdir(parents=True)
    (runs.folder() / f"{PAYLOAD[:4]}.json").write_text("{")
    shown = ask(engine)
    assert "Left out:" in shown["about"] and "<img" not in shown["about"] and len(cells(shown)) == len(SHIPPED.systems) + 13


def test_the_lams_that_entropy_chooses_are_drawn_where_they_were_measured():
    assert results._learned("toybox")[0] == "" and not results._learned("toybox")[1].visible
    curve = [[3.0 - 0.1 * i for i in range(9)]] * 12
    for setting in tuning.SETTINGS:
        entropies.save(entropies.Entropies("toybox", setting, curve, {"command": "molorec entropies"}))
    words, plot = results._learned("toybox")
    assert "new-item: λ 1.00 on 12 prompts" in words and plot.visible


def test_hard_lists_are_not_looked_for_in_the_paper(engine):
    assert "The paper has no lists of this kind" in ask(engine, setting="warm-popular")["about"]


def test_another_visitors_domain_is_not_shown(engine):
    engine.catalog.add_domain(prepare("secret", source_data()), noun="items", owner="visitor-2")
    runs.save(replace(SHIPPED, domain="secret"))
    assert ("secret (only you)", "secret") in ask(engine, visitor="visitor-2")["domain"].choices
    shown = ask(engine, domain="secret")
    assert "secret" not in [name for _, name in shown["domain"].choices] and shown["domain"].value in published.DOMAINS
    assert "secret" not in [name for _, name in ask(engine, visitor="")["domain"].choices]


def test_the_csv_has_full_numbers_and_no_formula(engine):
    first = SHIPPED.system("base")
    systems = (replace(first, name="@SUM(1)"), SHIPPED.system("general"))
    runs.save(replace(SHIPPED, base="=cmd|' /C calc'!A0", n=9_000, systems=systems))
    shown = ask(engine, HERE)
    rows = downloaded(shown)
    assert shelf.TABLES.folder in Path(shown["download"].value["path"]).parents  # where the oldest make room
    assert rows[0]["system"] == "'@SUM(1)" and rows[0]["base_model"].startswith("'=cmd")
    assert float(rows[0]["minus_popularity"]) == first.against_popularity["ndcg@1"].mean < 0
    paper = downloaded(ask(engine, THERE))
    assert [float(row["score"]) for row in paper] == list(published.TABLES["warm"].of(ML, "ndcg@1").values())
    assert paper[0]["source"] == "arXiv:2502.08271, Table 1" and paper[0]["lists_sha256"] == ""


def test_the_json_has_the_rows_of_the_csv(engine):
    shown = ask(engine)
    file = shown["json"].value
    with open(file["path"] if isinstance(file, dict) else file, encoding="utf-8") as stream:
        rows = json.load(stream)
    assert [row["system"] for row in rows] == [row["system"] for row in downloaded(shown)]
    specific = next(row for row in rows if row["system"] == "specific")
    assert specific["score"] == SHIPPED.system("specific").scores["ndcg@1"].mean and specific["lambda"] == 0.0


def test_no_text_of_a_file_is_markup(engine):
    one = Interval(0.1, 0.0, 0.2)
    scores = {metric: one for metric in runs.METRICS}
    runs.save(replace(SHIPPED, base=PAYLOAD, verdict=PAYLOAD, rule=PAYLOAD, lists_sha256=PAYLOAD, adapters={PAYLOAD: PAYLOAD},
                      n=9_999, systems=(System(PAYLOAD, None, scores, scores),)))
    shown = ask(engine, HERE)
    assert "<img" not in shown["about"] + shown["words"] and "&lt;img" in shown["words"]
    assert "<img" not in json.dumps(shown["figure"].value, default=str).replace("&lt;img", "")


def test_no_button_runs_an_evaluation(engine):
    assert "evaluate(" not in inspect.getsource(results)
    with gr.Blocks() as page:
        results.panel(engine, plain_screen(engine))
    buttons = [block for block in page.blocks.values() if isinstance(block, gr.Button | gr.DownloadButton)]
    assert [button.label or button.value for button in buttons] == ["Download the table as CSV", "Download the table as JSON"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 390])
def test_look_filter_and_download(panel_tab, engine, width):
    one = System(PAYLOAD + "${window.__xss=1}", None, SHIPPED.systems[0].scores, {})
    runs.save(replace(SHIPPED, n=9_999, setting="new-item", systems=(one, *SHIPPED.systems)))
    with panel_tab(results.panel, engine, results.CSS, width) as tab:
        tab.wait_for_selector("text=/measured here on toybox/")  # it follows the domain on screen
        tab.get_by_label("Domain of the results").click()
        tab.get_by_role("option", name=SHIPPED.domain).click()
        tab.wait_for_selector("text=specific, λ=0.00 is surely above popularity")
        tab.locator(".js-plotly-plot text", has_text="TALLRec").wait_for()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.get_by_label("Measured here", exact=True).check()
        tab.locator(".js-plotly-plot text", has_text="TALLRec").wait_for(state="detached")
        tab.get_by_label("Score", exact=True).click()
        tab.get_by_role("option", name="HR@3").click()
        tab.wait_for_selector("text=/would score .100/")
        with tab.expect_download() as download:
            tab.get_by_text("Download the table as CSV").click()
        with open(download.value.path(), encoding="utf-8-sig") as stream:
            assert [row["metric"] for row in csv.DictReader(stream)] == ["hr@3"] * len(SHIPPED.systems)
        tab.get_by_label("Setting", exact=True).click()
        tab.get_by_role("option", name="New titles").click()
        tab.wait_for_selector("text=9,999 people")
        tab.locator(".js-plotly-plot text", has_text="<img").first.wait_for()
        assert tab.evaluate("window.__xss") is None
        tab.get_by_label("Domain of the results").click()
        tab.get_by_role("option", name="toybox").click()
        tab.wait_for_selector("text=/measured here on toybox/")
