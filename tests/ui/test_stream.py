"""An event that is asked for while the end of the page's stream is on its way."""

import gradio as gr
import pytest

from molorec.ui import stream
from tests.ui import pages
from tests.ui.pages import PATIENCE

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
    with pages.served(page) as url, pages.opened(browser, url, ready="text=Two is idle", script=LATE) as tab:
        yield tab


def press(tab, name):
    tab.get_by_role("button", name=name, exact=True).click()


@pytest.mark.browser
def test_an_event_is_answered_that_was_asked_for_while_the_streams_end_was_on_its_way(late_tab):
    press(late_tab, "One")
    late_tab.wait_for_selector("text=One is done")
    late_tab.wait_for_function("window.ends === 1")
    with late_tab.expect_response("**/queue/join*"):
        press(late_tab, "Two")
    late_tab.wait_for_timeout(1000)  # so that the page has seen the answer
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


# -- without a server: every answer comes when the test says so -----------------------------------------------------

SCRIPTED = """
window.streams = [], window.answers = {}, window.seen = [], window.refused = false;
window.fetch = async (address, options) => {
  if (address.endsWith("/queue/join")) return new Promise(done => window.answers[options.body] = done);
  if (window.refused) return new Response("", {status: 502});
  return new Response(new ReadableStream({start: stream => { window.streams.push(stream); }}));
};
"""
READING = """
window.ask = name => { fetch("/queue/join", {body: name}); };
window.answer = name => window.answers[name](Response.json({event_id: name}));
window.say = (i, message) => window.streams[i].enqueue(new TextEncoder().encode(`data: ${JSON.stringify(message)}\n\n`));
window.read = async () => {
  try {
    for await (const bytes of (await fetch("/queue/data")).body) {
      const message = JSON.parse(new TextDecoder().decode(bytes).slice(5));
      window.seen.push(message.msg + " " + (message.event_id ?? ""));
    }
    window.seen.push("closed");
  } catch (error) { window.seen.push(error.name); }
};
"""


class Page:
    """A page with the script alone: ``done`` and ``end`` are what the server says on its i-th stream."""

    def __init__(self, tab):
        self.tab = tab
        tab.goto("about:blank")
        for script in (SCRIPTED, stream.HEAD.removeprefix("<script>").removesuffix("</script>"), READING):
            tab.add_script_tag(content=script)
        tab.evaluate("() => { read() }")
        self.wait("streams.length === 1")

    def ask(self, *names):
        for name in names:
            self.tab.evaluate("name => ask(name)", name)

    def answer(self, *names):
        for name in names:
            self.tab.evaluate("name => answer(name)", name)
            self.tab.wait_for_timeout(50)

    def done(self, i, name):
        self.tab.evaluate("([i, id]) => say(i, {msg: 'process_completed', event_id: id})", [i, name])

    def end(self, i):
        self.tab.evaluate("i => { say(i, {msg: 'close_stream'}); streams[i].close() }", i)

    def cut(self, i):
        self.tab.evaluate("i => streams[i].close()", i)

    def wait(self, what):
        self.tab.wait_for_function(f"() => {what}", timeout=PATIENCE)

    def seen(self, *messages):
        self.wait(f"seen.length >= {len(messages)}")
        self.tab.wait_for_timeout(100)
        assert self.tab.evaluate("seen") == list(messages)


@pytest.fixture
def scripted(browser):
    tab = browser.new_page()
    yield Page(tab)
    tab.close()


@pytest.mark.browser
def test_events_that_ended_before_they_were_answered_hold_no_end_back(scripted):
    scripted.ask("a")
    scripted.done(0, "a")
    scripted.seen("process_completed a")
    scripted.answer("a")
    scripted.end(0)
    scripted.seen("process_completed a", "close_stream ", "closed")


@pytest.mark.browser
def test_one_slow_answer_keeps_no_other_event_waiting(scripted):
    scripted.ask("slow", "fast")
    scripted.end(0)
    scripted.tab.wait_for_timeout(100)
    scripted.seen()  # whether the end is one is not known yet
    scripted.answer("fast")
    scripted.wait("streams.length === 2")
    scripted.done(1, "fast")
    scripted.end(1)
    scripted.answer("slow")
    scripted.wait("streams.length === 3")
    scripted.done(2, "slow")
    scripted.end(2)
    scripted.seen("process_completed fast", "process_completed slow", "close_stream ", "closed")


@pytest.mark.browser
def test_an_event_that_the_server_forgot_holds_the_end_back_once(scripted):
    scripted.ask("lost")
    scripted.answer("lost")
    scripted.end(0)
    scripted.wait("streams.length === 2")
    scripted.end(1)
    scripted.seen("close_stream ", "closed")


@pytest.mark.browser
@pytest.mark.parametrize("how", ["refused", "cut"])
def test_a_page_whose_event_cannot_be_followed_learns_of_it(scripted, how):
    scripted.ask("a")
    scripted.answer("a")
    if how == "refused":
        scripted.tab.evaluate("() => { refused = true }")
        scripted.end(0)
    else:
        scripted.cut(0)
    scripted.seen("TypeError")
    scripted.tab.evaluate("() => { refused = false; seen = []; read() }")
    scripted.wait("streams.length === 2")
    scripted.end(1)
    scripted.seen("close_stream ", "closed")  # nothing of it holds the next end back


@pytest.mark.browser
def test_a_stream_that_is_cut_while_nothing_waits_is_at_its_end(scripted):
    scripted.cut(0)
    scripted.seen("close_stream ", "closed")
