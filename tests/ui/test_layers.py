"""λ layer by layer on the screen: a map of the λs found, a ranking with them beside the one at one λ, and both as files."""

import json
import threading
import zipfile
from dataclasses import replace

import pytest

from molorec import descent
from molorec.entropy import Meter
from molorec.errors import BadInput
from molorec.mixture import lam as lams
from molorec.mixture.lam import Lam
from molorec.ui import compare, layers
from molorec.ui.layers import Found
from molorec.ui.session import View

CSS = layers.CSS + compare.CSS


@pytest.fixture
def view(engine):
    return View("toybox", engine.catalog.users("toybox", "quick")[0], lam=0.5)


@pytest.fixture
def found(engine):
    *_, step = descent.descend(engine, "toybox", prompts=4, settings=descent.Settings(rounds=1))
    return Found("toybox", "sum", engine.mixture("toybox").key, "layer", replace(
        step, lam=Lam("layer", {"0": [1, 0], "1": [0.25, 0.75]})))


def test_the_list_on_screen_is_ranked_with_them_beside_the_one_lam(engine, view, found):
    one, own = layers.columns(engine, view, found)
    example = engine.catalog.example("toybox", view.user)
    assert one.is_now and one.ranking.items == engine.rank(example, 0.5).items
    assert own.ranking.items == engine.rank(example, found.step.lam).items != one.ranking.items
    assert "a λ for each of 2 layers (0.62 on average)" in own.about
    assert "λ = 0.5, rule" in one.about and "ml-moved" in compare.table([one, own])


def test_lams_for_something_else_are_refused_in_words(engine, view, found):
    with pytest.raises(BadInput, match="no λs yet"):
        layers.columns(engine, view, None)
    with pytest.raises(BadInput, match="under the rule 'sum', and the screen shows toybox under 'product'"):
        layers.columns(engine, replace(view, rule="product"), found)
    with pytest.raises(BadInput, match="adapters of toybox have changed"):
        layers.columns(engine, view, replace(found, key="others"))


def test_the_status_says_where_it_stands_and_what_came_of_it(found):
    done = layers.status_of(found)
    assert "weighs 0.62 on average, from 0.25 to 1.00" in done and "at λ = ½" in done and "width:100%" in done
    going = replace(found, step=replace(found.step, settled=False, steps=3, most=12))
    assert "Step 3 of at most 12" in layers.status_of(going) and "width:55%" in layers.status_of(going)
    first = replace(found, step=replace(found.step, settled=False, held_out=None, looked=2, prompts=4))
    assert "after 2 of 4 lists" in layers.status_of(first)
    assert "Stopped. Step 3" in layers.status_of(going, "Stopped.") and "ml-progress" not in layers.status_of(going, "Stopped.")


def wait_for_cells(tab, count: int) -> None:
    """The map is there, with so many cells."""
    tab.wait_for_function("count => document.querySelector('.ml-layers-map .js-plotly-plot')?.data?.[0].z.flat().length == count",
                          arg=count)


@pytest.mark.browser
def test_tune_look_rank_and_take_along(panel_tab, engine, monkeypatch):
    monkeypatch.setattr(descent.Settings, "__init__", short(descent.Settings.__init__))
    with panel_tab(layers.panel, engine, CSS, width=390) as tab:
        tab.get_by_label("each of the seven parts of a layer").check()
        tab.get_by_role("button", name="Tune layer by layer").click()
        tab.wait_for_selector("text=/Done for toybox: the general adapter weighs 0\\.\\d\\d on average/")
        wait_for_cells(tab, 14)
        tab.locator(".ml-layers-map .nsewdrag").hover()
        assert "general weighs" in tab.wait_for_selector(".hoverlayer .hovertext").text_content()
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        with tab.expect_download() as download:
            tab.get_by_role("link", name="Download these").or_(tab.get_by_role("button", name="Download these")).click()
        told = json.loads(open(download.value.path(), encoding="utf-8").read())
        assert told["granularity"] == "module" and isinstance(lams.from_json(told["lam"]), Lam)
        tab.get_by_role("button", name="Rank with these λs").click()
        tab.wait_for_function("() => document.querySelectorAll('.ml-column').length == 2")
        assert tab.locator(".ml-column h4").all_inner_texts() == ["One λ for all layers", "λ layer by layer"]
        tab.get_by_label("User id").fill(engine.catalog.users("toybox", "quick")[1])
        tab.wait_for_selector("text=have changed since this comparison")
        tab.get_by_role("button", name="Make an adapter").click()
        tab.wait_for_selector("text=/Ready: one adapter of rank 8, .* at a λ for each of 14 modules/")
        with tab.expect_download() as download:
            tab.get_by_role("link", name="Download that").or_(tab.get_by_role("button", name="Download that")).click()
        with zipfile.ZipFile(download.value.path()) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
            assert {"adapter_config.json", "adapter_model.safetensors"} <= names


def short(init):
    """The same settings, with one round."""
    def made(self, *arguments, **named):
        init(self, *arguments, **{"rounds": 1, **named})

    return made


@pytest.mark.browser
def test_a_run_can_be_stopped_and_what_it_had_is_kept(panel_tab, engine, monkeypatch):
    go_on, backward = threading.Semaphore(1), Meter.backward

    def held(*arguments):
        go_on.acquire(timeout=30)
        return backward(*arguments)

    monkeypatch.setattr(Meter, "backward", held)
    with panel_tab(layers.panel, engine, CSS) as tab:
        tab.get_by_role("button", name="Tune layer by layer").click()
        tab.wait_for_selector("text=/Step 1 of at most/")
        tab.get_by_role("button", name="Stop this tuning").click()
        tab.wait_for_timeout(300)
        go_on.release(100)
        tab.wait_for_selector("text=/Stopped\\. Step 2 of at most/")
        assert tab.get_by_role("button", name="Tune layer by layer").is_enabled()
        wait_for_cells(tab, 2)
        tab.get_by_role("button", name="Rank with these λs").click()
        tab.wait_for_function("() => document.querySelectorAll('.ml-column').length == 2")


@pytest.mark.browser
def test_one_adapter_has_no_layers_to_mix(panel_tab, engine, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    with panel_tab(layers.panel, engine, CSS) as tab:
        tab.get_by_role("button", name="Tune layer by layer").click()
        tab.wait_for_selector("text=one adapter only")
        assert tab.get_by_role("button", name="Tune layer by layer").is_enabled()
