"""An event that is asked for while the end of the page's stream is on its way."""

import gradio as gr
import pytest

from molorec.ui import stream
from tests.ui.conftest import PATIENCE

LATE = """
const ask = window.fetch;
window.ends = 0;
window.fetch = async (...request) => {
  const response = await ask(...request);
  if (!String(request[0].url ?? request[0]).includes("/queue/data")) return response;
  const late = new TransformStream({async transform(bytes, out) {
    const text = new TextDecoder().decode(bytes), end = text.indexOf('data: {"msg":"close_stream"');
    if (end < 0) return out.enqueue(bytes);
    out.enqueue(new TextEncoder().encode(text.slice(0, end)));
    window.ends += 1;
    await new Promise(done => window.arrive = done);
    out.enqueue(new TextEncoder().encode(text.slice(end)));
  }});
  return new Response(response.body.pipeThrough(late), {status: response.status, headers: response.headers});
};
"""


@pytest.fixture
def late_tab(browser):
    """A page with two buttons whose stream's end arrives when the test lets it, by ``window.arrive()``."""
    with gr.Blocks(analytics_enabled=False) as page:
        for name in ("One", "Two"):
            said = gr.Markdown(f"{name} is idle")
            gr.Button(name).click(lambda name=name: f"{name} is done", None, said, show_progress="hidden")
    _, url, _ = page.launch(prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, head=stream.HEAD)
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.add_init_script(LATE)
    tab.goto(url)
    yield tab
    tab.close()
    page.close()
    assert not errors


def press(tab, name):
    tab.get_by_role("button", name=name, exact=True).click()


@pytest.mark.browser
def test_an_event_is_answered_that_was_asked_for_while_the_streams_end_was_on_its_way(late_tab):
    press(late_tab, "One")
    late_tab.wait_for_selector("text=One is done")
    late_tab.wait_for_function("window.ends === 1")
    with late_tab.expect_response("**/queue/join*"):
        press(late_tab, "Two")
    late_tab.wait_for_timeout(300)  # so that the page has seen the answer
    assert late_tab.get_by_text("Two is idle").is_visible()
    late_tab.evaluate("window.arrive()")
    late_tab.wait_for_selector("text=Two is done")


@pytest.mark.browser
def test_a_stream_with_nothing_left_to_say_ends_and_the_next_event_has_one_of_its_own(late_tab):
    for name in ("One", "Two"):
        asked = []
        late_tab.on("request", lambda request, asked=asked: asked.append(request.url))
        press(late_tab, name)
        late_tab.wait_for_selector(f"text={name} is done")
        late_tab.wait_for_function("!!window.arrive")
        late_tab.evaluate("() => { const arrive = window.arrive; window.arrive = null; arrive() }")
        late_tab.wait_for_timeout(300)
        assert sum("/queue/data" in url for url in asked) == 1
