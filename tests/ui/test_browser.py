"""The app as a person uses it: a real browser, the real model, the shipped adapters."""

import os
import re
import shutil
from contextlib import contextmanager

import pytest

from molorec.catalog import prepare
from molorec.ui import page, style
from tests import embedded
from tests.conftest import source_data

pytestmark = [pytest.mark.embedded, pytest.mark.browser]
PATIENCE = 120_000  # ms; a shared machine can be slow


@contextmanager
def served(engine):
    app = page.build(engine)
    _, url, _ = app.launch(prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, theme=style.THEME, css=style.CSS)
    yield url
    app.close()


@pytest.fixture(scope="module")
def address():
    with served(embedded.engine()) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium")
    if not executable:
        message = "chromium is not installed"
        pytest.fail(message) if os.environ.get("MOLOREC_REQUIRE_BROWSER") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable,
                                          args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, url):
    tab = browser.new_page(viewport={"width": 1400, "height": 1000})
    tab.set_default_timeout(PATIENCE)
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(url)
    tab.wait_for_selector(".ml-row")
    yield tab
    tab.close()
    assert not errors


@pytest.fixture
def tab(browser, address):
    with opened(browser, address) as tab:
        yield tab


@pytest.fixture
def tab_of_two_domains(browser, engine):
    """A page on a pico model: "toybox" has a pair of adapters, "zoo" the general one alone."""
    engine.catalog.add_domain(prepare("zoo", source_data(seed=1)), noun="animals")
    with served(engine) as url, opened(browser, url) as tab:
        yield tab


def percentages(tab) -> list[str]:
    return tab.locator(".ml-percent").all_inner_texts()


def wait_for_lam(tab, lam: str) -> None:
    tab.wait_for_function("text => [...document.querySelectorAll('.ml-status b')].some(b => b.innerText == text)",
                          arg=f"λ = {lam}")


def wait_until_idle(tab) -> None:
    """Auto-tune can be pressed again."""
    from playwright.sync_api import expect

    expect(tab.get_by_role("button", name="Auto-tune")).to_be_enabled(timeout=PATIENCE)


def test_pick_a_user_and_move_lam_by_keyboard(tab):
    assert tab.locator(".ml-row").count() == 30
    before = tab.locator(".ml-ranking").inner_text()
    tab.get_by_role("button", name="Random user").click()
    tab.wait_for_function("old => document.querySelector('.ml-ranking').innerText != old", arg=before)
    at_half = percentages(tab)
    slider = tab.get_by_role("slider", name=re.compile("weight of the general"))
    slider.focus()
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    wait_for_lam(tab, "0.55")
    assert percentages(tab) != at_half
    tab.get_by_role("button", name="Specific").click()
    wait_for_lam(tab, "0.00")
    tab.get_by_role("button", name="½").click()
    wait_for_lam(tab, "0.50")
    tab.wait_for_function("old => [...document.querySelectorAll('.ml-percent')].map(e => e.innerText).join() == old",
                          arg=",".join(at_half))


def test_nonsense_gets_a_notice_and_the_page_lives_on(tab):
    box = tab.get_by_label("User id")
    box.fill("<img src=x onerror=window.__xss=1>")
    box.press("Enter")
    tab.wait_for_selector(".ml-note")
    assert "has no user" in tab.locator(".ml-note").last.inner_text()
    assert tab.evaluate("window.__xss") is None
    number = tab.get_by_label("λ as a number")
    number.fill("9")
    tab.wait_for_selector("text=outside 0 to 1")
    box.fill("1")
    box.press("Enter")
    tab.wait_for_selector(".ml-row, .ml-note")


def test_tune_to_the_end_and_go_there(tab):
    prompts = tab.get_by_role("spinbutton", name=re.compile("Prompts"))
    prompts.fill("10")
    prompts.press("Enter")
    tab.get_by_role("button", name="Auto-tune").click()
    tab.wait_for_selector("text=/Done/")
    assert tab.locator(".js-plotly-plot").first.is_visible()
    wait_until_idle(tab)
    tuned = re.search(r"Done · λ = ([01]\.\d\d)", tab.locator(".ml-progress + .ml-status").inner_text())
    wait_for_lam(tab, tuned.group(1))


def test_stop_a_tuning_midway(tab):
    tab.get_by_role("button", name="Auto-tune").click()
    tab.wait_for_selector(".ml-progress")
    tab.get_by_role("button", name="Stop tuning").click()
    tab.wait_for_selector("text=/Stopped\\. After/")
    wait_until_idle(tab)
    tab.get_by_role("button", name="General").click()
    wait_for_lam(tab, "1.00")


def test_explain_the_first_title(tab):
    tab.get_by_role("button", name="Explain the first title").click()
    tab.wait_for_selector("text=/Checked:|did not pass the check/")
    assert tab.locator(".js-plotly-plot .bars path").count() > 0
    tab.get_by_role("button", name="Specific").click()  # another λ, another first title: the reason would be of the old one
    wait_for_lam(tab, "0.00")
    tab.wait_for_function("() => !document.querySelector('.ml-reason') && !document.querySelector('.js-plotly-plot .bars path')")


def test_a_domain_with_one_adapter_has_nothing_to_mix(tab_of_two_domains):
    tab = tab_of_two_domains
    slider = tab.get_by_role("slider", name=re.compile("weight of the general"))
    assert slider.is_visible()
    tab.get_by_label("Domain", exact=True).click()
    tab.get_by_role("option", name="zoo").click()
    tab.wait_for_selector("text=general adapter alone")
    tab.wait_for_selector("text=nothing to mix")
    slider.wait_for(state="hidden")
    assert tab.locator(".ml-row").count() == 30


def test_a_typed_lam_moves_the_slider_and_is_not_typed_over(tab):
    number = tab.get_by_label("λ as a number")
    number.click()
    number.fill("")
    number.press_sequentially("0.375", delay=60)
    wait_for_lam(tab, "0.38")
    assert number.input_value() == "0.375"
