"""The app as a person uses it: a real browser, the real model, the shipped adapters."""

import re
import threading
import time

import pytest

from molorec.catalog import prepare
from molorec.entropy import Meter
from molorec.ui import link, page, session
from molorec.ui.session import Latest, View
from tests import embedded
from tests.conftest import source_data
from tests.ui.pages import PATIENCE, opened, served

pytestmark = [pytest.mark.embedded, pytest.mark.browser]


@pytest.fixture(scope="module")
def address():
    with served(page.build(embedded.engine())) as url:
        yield url


@pytest.fixture
def tab(browser, address):
    with opened(browser, address) as tab:
        yield tab


@pytest.fixture
def tab_of_two_domains(browser, engine):
    """A page on a pico model: "toybox" has a pair of adapters, "zoo" the general one alone."""
    engine.catalog.add_domain(prepare("zoo", source_data(seed=1)), noun="animals")
    with served(page.build(engine)) as url, opened(browser, url) as tab:
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
    tab.locator(".ml-note", has_text="has no user").wait_for()  # another note may say that the adapters are weak
    assert tab.evaluate("window.__xss") is None
    number = tab.get_by_label("λ as a number")
    number.fill("9")
    tab.wait_for_selector("text=outside 0 to 1")
    box.fill("1")
    box.press("Enter")
    tab.wait_for_selector(".ml-row, .ml-note")


def test_what_is_typed_fast_and_is_no_lam_leaves_slider_and_ranking_at_one(pico_tab):
    slider = pico_tab.get_by_role("slider", name=re.compile("weight of the general"))
    number = pico_tab.get_by_label("λ as a number")
    for _ in range(3):
        number.fill("0.37")
        wait_for_lam(pico_tab, "0.37")
        number.click()
        pico_tab.keyboard.press("Control+A")
        pico_tab.keyboard.press("Delete")
        pico_tab.keyboard.type("15")  # the slider follows the 1
        pico_tab.wait_for_selector("text=outside 0 to 1")
        number.blur()
        wait_for_lam(pico_tab, f"{float(slider.input_value()):.2f}")
        assert float(number.input_value()) == float(slider.input_value())


def test_a_run_that_fails_as_nobody_foresaw_can_be_started_again(pico_tab, monkeypatch):
    monkeypatch.setattr("molorec.tuning.tune", lambda *_, **__: 1 / 0)
    pico_tab.get_by_role("button", name="Auto-tune").click()
    pico_tab.wait_for_selector("text=nobody foresaw")
    wait_until_idle(pico_tab)


def test_tune_to_the_end_and_go_there(tab):
    tab.get_by_role("button", name="On which prompts, and judged by what").click()
    prompts = tab.get_by_role("spinbutton", name=re.compile("Prompts"))
    prompts.fill("10")
    prompts.press("Enter")
    tab.get_by_role("button", name="Auto-tune").click()
    tab.wait_for_selector("text=/Done/")
    assert tab.locator(".js-plotly-plot").first.is_visible()
    wait_until_idle(tab)
    tuned = re.search(r"λ = ([01]\.\d\d)", tab.locator(".ml-answer").inner_text())
    wait_for_lam(tab, tuned.group(1))


def test_stop_a_tuning_midway(tab, monkeypatch):
    measured = Meter.at
    # not done before anybody can press Stop
    monkeypatch.setattr(Meter, "at", lambda *arguments: time.sleep(0.1) or measured(*arguments))
    tab.get_by_role("button", name="Auto-tune").click()
    tab.wait_for_selector(".ml-progress")
    tab.get_by_role("button", name="Stop tuning").click()
    tab.wait_for_selector("text=/Stopped\\. After/")
    wait_until_idle(tab)
    tab.get_by_role("button", name="General").click()
    wait_for_lam(tab, "1.00")


def test_explain_the_first_title(tab):
    tab.get_by_role("button", name="Explain the first title").click()
    tab.wait_for_selector("text=/How the sentence goes on|did not pass the check/")
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
    tab.get_by_text("Mixing takes two adapters").wait_for()
    slider.wait_for(state="hidden")
    assert tab.locator(".ml-row").count() == 30


def test_a_domain_that_another_tab_has_deleted_gets_a_notice_and_the_page_lives_on(tab_of_two_domains, engine):
    tab = tab_of_two_domains
    engine.catalog.remove_domain("zoo")
    tab.get_by_label("Domain", exact=True).click()
    tab.get_by_role("option", name="zoo").click()
    tab.wait_for_selector("text=/there is no domain 'zoo'; there are: toybox/")
    tab.get_by_label("Domain", exact=True).click()
    tab.get_by_role("option", name="toybox").click()
    tab.wait_for_selector(".ml-row")


def test_what_is_no_lam_gives_way_to_the_one_that_is_ranked_at(pico_tab):
    number = pico_tab.get_by_label("λ as a number")
    for typed in ("1.5", "-2", ""):
        number.fill(typed)
        number.press("Tab")
        pico_tab.wait_for_function("() => document.querySelector('input[aria-label=\"λ as a number\"]').value === '0.5'")
        assert pico_tab.get_by_role("slider", name=re.compile("weight of the general")).input_value() == "0.5"


def test_everything_in_an_own_list_can_be_removed_at_once(pico_tab):
    pico_tab.get_by_role("radio", name="Build your own").check()
    pico_tab.wait_for_selector("ol.ml-edit li")
    assert not pico_tab.get_by_label("Show what they really chose next").is_visible()  # nobody chose from it
    pico_tab.get_by_role("button", name="Remove all of: Your history, oldest first").click()
    pico_tab.wait_for_selector("text=/the history is empty/")


def test_presenter_mode_keeps_person_slider_and_ranking_and_is_large_throughout(pico_tab):
    size = "element => parseFloat(getComputedStyle(element).fontSize)"
    parts = [pico_tab.locator(".ml-status").first, pico_tab.get_by_role("button", name="General"),
             pico_tab.locator(".ml-title").first, pico_tab.get_by_text("Show what they really chose next")]
    plain = [part.evaluate(size) for part in parts]
    button = pico_tab.get_by_role("button", name="Presenter mode")
    button.click()
    leave = pico_tab.get_by_role("button", name="Leave presenter mode")
    leave.wait_for()
    for there in (".ml-who .ml-list", ".ml-lam input[type=range]", ".ml-ranking"):
        assert pico_tab.locator(there).first.is_visible()
    for gone in ("User id", "λ as a number", "Mixing rule"):
        assert not pico_tab.get_by_label(gone).is_visible()
    pico_tab.wait_for_timeout(500)  # letters grow smoothly
    assert all(part.evaluate(size) >= 1.25 * before for part, before in zip(parts, plain, strict=True))
    leave.click()
    pico_tab.get_by_label("User id").wait_for()


def test_a_reason_that_comes_at_once_has_all_its_evidence_and_can_be_read(pico_tab, monkeypatch):
    """Of two messages that come within one frame the browser may show the later one only: the last one holds everything."""
    explain = session.explain
    monkeypatch.setattr(session, "explain", lambda *arguments: iter(list(explain(*arguments))))
    pico_tab.get_by_role("button", name="Explain the first title").click()
    pico_tab.wait_for_selector("text=/How the sentence goes on|did not pass the check/")
    pico_tab.wait_for_function("() => document.querySelectorAll('.js-plotly-plot .bars .point').length === 10")
    alike = """() => getComputedStyle(document.querySelector('.js-plotly-plot .ytick text')).fill ===
        getComputedStyle(document.querySelector('.ml-title')).color"""
    assert pico_tab.evaluate(alike)  # the page's own colour, not the grey of the lines
    pico_tab.get_by_role("button", name="Light or dark").click()
    pico_tab.wait_for_function(alike)


def test_the_tab_key_leaves_no_list_of_choices_open(pico_tab):
    from playwright.sync_api import expect

    pico_tab.get_by_role("button", name="Light or dark").focus()
    for _ in range(6):  # past Domain and Sample users
        pico_tab.keyboard.press("Tab")
    assert pico_tab.get_by_label("User id").evaluate("box => box === document.activeElement")
    expect(pico_tab.locator("ul[role=listbox]:visible")).to_have_count(0)  # one that is left fades, for a tenth of a second
    pico_tab.keyboard.press("Shift+Tab")  # who comes to a list by keyboard can choose in it
    assert pico_tab.get_by_role("option").count() == 12
    before = pico_tab.get_by_label("User id").input_value()
    pico_tab.keyboard.press("ArrowDown")
    pico_tab.keyboard.press("Enter")
    expect(pico_tab.get_by_label("User id")).not_to_have_value(before, timeout=PATIENCE)


def test_a_typed_lam_moves_the_slider_and_is_not_typed_over(tab):
    number = tab.get_by_label("λ as a number")
    number.click()
    number.fill("")
    number.press_sequentially("0.375", delay=60)
    wait_for_lam(tab, "0.38")
    assert number.input_value() == "0.375"


@pytest.fixture
def pico_address(engine):
    """The whole page on a pico model."""
    with served(page.build(engine)) as url:
        yield url


@pytest.fixture
def pico_tab(browser, pico_address):
    with opened(browser, pico_address) as tab:
        yield tab


def texts(tab, name: str) -> list[str]:
    return tab.get_by_role("list", name=name).locator(".ml-edit-title").all_inner_texts()


def test_build_your_own_search_add_reorder_remove_and_draw(pico_tab):
    tab = pico_tab
    tab.get_by_role("radio", name="Build your own").check()
    tab.wait_for_selector("ol.ml-edit li")  # starts from the person who was on screen
    before = texts(tab, "Your history, oldest first")
    tab.get_by_label("Search titles").press_sequentially("latern chiar", delay=30)  # two typing errors
    add = tab.get_by_role("button", name=re.compile("Add Lantern Chair .* to the history"))
    add.click()
    tab.wait_for_function("n => document.querySelectorAll('ol.ml-edit')[0].children.length == n", arg=len(before) + 1)
    assert texts(tab, "Your history, oldest first")[-1].startswith("Lantern Chair")
    up = tab.get_by_role("button", name=re.compile("Move Lantern Chair .* up"))
    up.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_function("() => [...document.querySelectorAll('ol.ml-edit')[0].children].at(-2).innerText.startsWith('Lantern')")
    tab.get_by_role("button", name=re.compile("Remove Lantern Chair")).click()
    tab.wait_for_function("n => document.querySelectorAll('ol.ml-edit')[0].children.length == n", arg=len(before))
    assert texts(tab, "Your history, oldest first") == before
    tab.get_by_label("Search titles").fill("zzzqqq")
    tab.wait_for_selector("text=No title here is written like “zzzqqq”.")
    tab.get_by_role("spinbutton", name=re.compile("How many to draw")).fill("12")
    tab.get_by_role("spinbutton", name=re.compile("How many to draw")).press("Enter")
    tab.get_by_role("button", name="Draw at random").click()
    tab.wait_for_function("() => document.querySelectorAll('.ml-ranking .ml-row').length == 12")
    tab.get_by_role("button", name="Paste a list").click()
    tab.get_by_label("Titles, one a line").fill("River Lamp\nno such thing at all\nTimber Song\n")
    tab.get_by_role("button", name="As candidates").click()
    tab.wait_for_function("() => document.querySelectorAll('.ml-ranking .ml-row').length == 2")
    tab.wait_for_selector("text=/1 of the lines name no title/")


def test_a_link_opens_its_view_and_a_wrong_one_says_so(browser, pico_address, engine):
    user = engine.catalog.users("toybox", "quick")[3]
    query = link.query_of(View("toybox", user, 0.3, "product"))
    with opened(browser, pico_address + query) as tab:
        wait_for_lam(tab, "0.30")
        assert tab.get_by_label("User id").input_value() == user
        assert tab.get_by_label("λ as a number").input_value() == "0.3"
        assert tab.get_by_label("Mixing rule").input_value() == "product"
        tab.wait_for_function("() => !location.search")  # it has been followed: a reload shows what is on screen
        tab.get_by_role("button", name="General").click()
        wait_for_lam(tab, "1.00")
        tab.wait_for_timeout(300)  # until the browser has it
        tab.reload()
        wait_for_lam(tab, "1.00")
        assert tab.get_by_label("User id").input_value() == user
    with opened(browser, pico_address + "?lam=nan&user=%3Cimg%20src%3Dx%20onerror%3Dwindow.__xss%3D1%3E&rule=9&domain=") as tab:
        wait_for_lam(tab, "0.50")
        tab.wait_for_selector("text=/no number from 0 to 1/")
        assert tab.evaluate("window.__xss") is None


HOW = ".ml-note:has-text('Amazon Beauty is not here yet') code:has-text('molorec domains fetch amazon14_beauty')"


def test_a_domain_whose_data_is_not_here_says_how_to_get_it_and_the_page_lives_on(pico_tab):
    from playwright.sync_api import expect

    tab = pico_tab
    tab.get_by_label("Domain", exact=True).click()
    tab.get_by_role("option", name="Amazon Beauty (data not here)").click()
    tab.wait_for_selector(HOW)
    assert tab.locator(HOW).count() == 1 and not tab.locator(".ml-row, .ml-list").count()
    tab.get_by_text("Mixing takes two adapters").wait_for(state="hidden")
    for name in ("User id", "λ as a number", "Search titles"):
        tab.get_by_label(name).wait_for(state="hidden")
    tab.get_by_role("radio", name="New titles").check()
    tab.get_by_role("radio", name="Build your own").check()
    tab.wait_for_timeout(2_000)  # what is still on its way for that would take away what the first button says
    for panel, press in ((None, "Explain the first title"), (None, "Does the order of the list matter?"),
                         ("λ landscape", "Sweep λ"), ("Side by side", "Compare"), ("How it works", "Draw the pictures"),
                         ("Use it elsewhere", "Show for this view"), ("Use it elsewhere", "Make the mixed adapter")):
        if panel:
            tab.get_by_role("tab", name=panel).click()
        before = tab.locator(HOW).count()
        tab.get_by_role("button", name=press).click()
        expect(tab.locator(HOW)).to_have_count(before + 1, timeout=PATIENCE)
    assert "domain=amazon14_beauty" in tab.get_by_label("Link to this view").input_value()
    tab.get_by_role("tab", name="Results").click()
    tab.locator(".js-plotly-plot text", has_text="TALLRec").first.wait_for()  # the paper has numbers for it
    assert not tab.get_by_text("Error", exact=True).count()
    tab.get_by_label("Domain", exact=True).click()
    tab.get_by_role("option", name="toybox").click()
    tab.wait_for_selector(".ml-row")
    assert tab.get_by_label("User id").is_visible() and tab.get_by_label("λ as a number").is_visible()


def test_a_link_to_a_domain_whose_data_is_not_here(browser, pico_address):
    with opened(browser, pico_address + "?domain=amazon14_beauty&user=u1&lam=0.2", ready=HOW) as tab:
        assert tab.get_by_label("Domain", exact=True).input_value() == "Amazon Beauty (data not here)"
        tab.get_by_label("User id").wait_for(state="hidden")
        tab.goto(pico_address)  # what was on screen last is a ranking, or there was none
        tab.wait_for_selector(".ml-row")


def test_what_was_on_screen_comes_back_after_a_reload(pico_tab):
    tab = pico_tab
    tab.get_by_role("button", name="Specific", exact=True).click()
    wait_for_lam(tab, "0.00")
    tab.wait_for_timeout(500)  # the browser writes it down
    tab.reload()
    tab.wait_for_selector(".ml-row")
    wait_for_lam(tab, "0.00")


def test_a_list_of_ones_own_comes_back_after_a_reload(pico_tab):
    tab = pico_tab
    tab.get_by_role("button", name="Change this history").click()
    tab.get_by_role("button", name="Remove").first.click()
    history = tab.get_by_role("list", name="Your history, oldest first")
    tab.wait_for_function("() => document.querySelectorAll('ol.ml-edit')[0].children.length == 9")
    mine = history.inner_text()
    tab.wait_for_timeout(1000)  # the browser writes it down
    tab.reload()
    tab.wait_for_selector(".ml-row")
    history.wait_for()
    assert history.inner_text() == mine


def test_a_person_and_a_lam_given_at_once_are_both_on_screen(pico_tab, engine):
    """Two events on their way at the same time: whichever ends last, the screen shows what was asked for last."""
    for number, user in enumerate(engine.catalog.users("toybox", "quick", limit=8), start=1):
        pico_tab.get_by_label("User id").fill(user)
        pico_tab.get_by_label("User id").press("Enter")
        pico_tab.get_by_label("λ as a number").fill(f"0.{number}")
        shown = sorted(item.title for item in engine.catalog.example("toybox", user).candidates)
        pico_tab.wait_for_function(
            "([titles, lam]) => document.querySelector('.ml-facts').textContent.includes(lam) && titles.join() == "
            "[...document.querySelectorAll('.ml-ranking .ml-title')].map(row => row.textContent).sort().join()",
            arg=[shown, f"λ = 0.{number} "])


def test_an_answer_that_comes_late_does_not_stay_on_screen(pico_tab, engine, monkeypatch):
    """The ranking at the earlier λ ends after that at the later one, and nothing on the server keeps it back."""
    rank, late = engine.rank, threading.Event()

    def ranked(example, lam, rule):
        if lam == 0.0:
            late.wait(10)
        return rank(example, lam, rule)

    monkeypatch.setattr(engine, "rank", ranked)
    monkeypatch.setattr(Latest, "is_latest", lambda *_: True)
    pico_tab.evaluate("""() => { window.drawn = []; new MutationObserver(() => {
        const now = document.querySelector('.ml-status b')?.innerText;
        if (now && now !== window.drawn.at(-1)) window.drawn.push(now);
      }).observe(document.body, {childList: true, subtree: true, characterData: true}); }""")
    pico_tab.get_by_role("button", name="Specific", exact=True).click()
    pico_tab.wait_for_timeout(300)
    pico_tab.get_by_role("button", name="General", exact=True).click()
    wait_for_lam(pico_tab, "1.00")
    late.set()
    pico_tab.wait_for_function("() => window.drawn.includes('λ = 0.00')")
    wait_for_lam(pico_tab, "1.00")


def test_a_list_that_waits_for_its_ranking_is_paler_until_it_is_there(pico_tab, engine, monkeypatch):
    shade = "() => getComputedStyle(document.querySelector('.ml-follows .html-container')).opacity"
    there, rank = threading.Event(), engine.rank
    monkeypatch.setattr(engine, "rank", lambda *arguments: there.wait(PATIENCE / 1000) and rank(*arguments))
    try:
        pico_tab.get_by_role("button", name="Random user").click()
        pico_tab.wait_for_function(f"({shade})() === '0.5'")
        assert pico_tab.locator(".ml-row").first.is_visible()
    finally:
        there.set()
    pico_tab.wait_for_function(f"({shade})() === '1'")


def test_a_dragged_slider_draws_what_is_under_way_and_the_last(pico_tab, engine, monkeypatch):
    """However fast λ moves, what still comes before the last λ is the ranking under way; no queue of old ones is drawn."""
    rank = engine.rank
    monkeypatch.setattr(engine, "rank", lambda *arguments: time.sleep(0.2) or rank(*arguments))
    pico_tab.evaluate("""() => {
      window.drawn = [];
      new MutationObserver(() => {
        const now = document.querySelector('.ml-status b')?.innerText;
        if (now && now !== window.drawn.at(-1)) window.drawn.push(now);
      }).observe(document.body, {childList: true, subtree: true, characterData: true});
      document.addEventListener('input', () => { window.drawn = []; }, true);
    }""")
    pico_tab.get_by_role("slider", name=re.compile("weight of the general")).focus()
    for _ in range(20):
        pico_tab.keyboard.press("ArrowRight")
        pico_tab.wait_for_timeout(40)
    wait_for_lam(pico_tab, "0.70")
    drawn = pico_tab.evaluate("window.drawn")
    # one more on a busy machine: of the step that the browser had just taken in
    assert drawn[-1] == "λ = 0.70" and len(drawn) <= 3, drawn


def test_two_tabs_at_two_lam_do_not_meet(browser, pico_address):
    with opened(browser, pico_address) as one, opened(browser, pico_address) as other:
        for tab, name, lam in ((one, "Specific", "0.00"), (other, "General", "1.00")) * 2:
            tab.get_by_role("button", name=name, exact=True).click()
            wait_for_lam(tab, lam)
        assert percentages(one) != percentages(other)
        kept = percentages(one)
        other.get_by_role("button", name="½").click()
        wait_for_lam(other, "0.50")
        assert percentages(one) == kept


def test_new_titles_and_the_order_of_the_list(pico_tab):
    pico_tab.get_by_role("button", name="Does the order of the list matter?").click()
    pico_tab.wait_for_selector("text=/6 of 6 other orders/")


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_scrolls_down_only(browser, pico_address, dark):
    with opened(browser, pico_address, width=390, dark=dark) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_the_slider_stays_in_sight_above_the_ranking(browser, pico_address):
    with opened(browser, pico_address, width=390) as tab:
        tab.locator(".ml-row").nth(8).scroll_into_view_if_needed()
        tab.evaluate("() => window.scrollTo(0, document.querySelector('.ml-row').getBoundingClientRect().top + scrollY - 200)")
        top = tab.evaluate("() => document.querySelector('.ml-lam').getBoundingClientRect().top")
        assert 0 <= top < 20
        tab.get_by_role("slider", name=re.compile("weight of the general")).focus()
        tab.keyboard.press("ArrowRight")
        wait_for_lam(tab, "0.51")
        above = "getComputedStyle(document.querySelector('.form:has(> .ml-lam)'), '::after').content"  # the box is out of sight
        assert tab.evaluate(above) == '"0.51"'
        tab.get_by_role("button", name="On which prompts, and judged by what").click()
        tab.get_by_text("Prompts from", exact=True).evaluate("label => scrollBy(0, label.getBoundingClientRect().top - 30)")
        covered = "label => document.elementFromPoint(70, label.getBoundingClientRect().top + 5).closest('.ml-lam') !== null"
        assert tab.get_by_text("Prompts from", exact=True).evaluate(covered)
        tab.evaluate("() => window.scrollTo(0, document.querySelector('.ml-row').getBoundingClientRect().top + scrollY - 200)")
        shown = tab.locator(".ml-row").first.bounding_box()
        assert 0 < shown["y"] < 900  # and what it changes is on the same screen


def test_presenter_mode_hides_what_distracts(browser, pico_address):
    with opened(browser, pico_address) as tab:
        tab.get_by_role("button", name="Presenter mode").click()
        tab.get_by_label("User id").wait_for(state="hidden")
        assert tab.locator(".ml-row").first.is_visible()
    with opened(browser, pico_address + "?presenter=1") as tab:
        tab.get_by_label("User id").wait_for(state="hidden")


def test_hostile_titles_stay_text_everywhere(browser, hostile_engine):
    with served(page.build(hostile_engine)) as url, opened(browser, url) as tab:
        tab.get_by_role("radio", name="Build your own").check()
        tab.wait_for_selector("ol.ml-edit li")
        tab.get_by_label("Search titles").press_sequentially("amber", delay=60)
        tab.wait_for_selector(".ml-found li")
        tab.get_by_role("button", name="Explain the first title").click()
        tab.wait_for_selector("text=/How the sentence goes on|did not pass the check/")
        for name in ("Side by side", "How it works", "Use it elsewhere"):
            tab.get_by_role("tab", name=name).click()
        assert tab.evaluate("window.__xss") is None


def test_axe_finds_nothing_serious_in_our_own_markup(pico_tab):
    """Gradio's own widgets are not ours to mend; what carries our class names is."""
    from axe_playwright_python.sync_playwright import Axe

    pico_tab.get_by_role("tab", name="Side by side").click()
    pico_tab.get_by_role("button", name="Compare").click()
    pico_tab.wait_for_selector("text=/of the first 10 titles/")
    found = Axe().run(pico_tab).response["violations"]
    ours = [(violation["id"], node["html"][:200]) for violation in found if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"] if "ml-" in node["html"].split(">")[0]]
    assert not ours
