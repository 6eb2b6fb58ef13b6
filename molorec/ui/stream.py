"""Keeps the stream by which a page learns what came of its events from ending while an event is still waiting on it."""

# The server ends a page's stream once none of the page's events is left, and the page then opens a new one for its next event. An
# event that is asked for while the end is on its way, which takes longer the more proxies there are between the two, is
# answered before the end arrives: the page takes the ending stream for an open one, and shows nothing of that event until the
# next. So the end is held back here; as long as an event is waiting, the stream goes on in a new one, unseen by the page.
HEAD = """<script>
(() => {
  const ask = window.fetch;
  const asking = new Set();  // events that are asked for, and not answered yet
  const waiting = new Set(), early = new Set();  // ids of events that are answered; of those whose end came before that

  window.fetch = (...request) => {
    const address = String(request[0].url ?? request[0]).split("?")[0];
    if (address.endsWith("/queue/join")) return join(request);
    return address.endsWith("/queue/data") ? follow(request) : ask(...request);
  };

  function join(request) {
    const answer = ask(...request);
    const noted = answer.then(response => response.clone().json()).then(({event_id}) => {
      if (event_id && !early.delete(event_id)) waiting.add(event_id);
    }).catch(() => {}).finally(() => asking.delete(noted));
    asking.add(noted);
    return answer;
  }

  async function follow(request) {
    const first = await ask(...request);
    if (!first.ok) return first;
    const body = new ReadableStream({
      async start(page) {
        try {
          let response = first, before = [];
          while (await pass(response, page)) {
            before.forEach(id => waiting.delete(id));  // the server knows nothing of them any more
            while (!waiting.size && asking.size) await Promise.race(asking);
            if (!waiting.size) break;
            before = [...waiting];
            response = await ask(...request);
          }
          page.enqueue(END);
          page.close();
        } catch (error) {  // the page says that the connection is lost, and looks for a new one
          waiting.clear();
          early.clear();
          page.error(error);
        }
      },
    });
    return new Response(body, {status: first.status, headers: first.headers});
  }

  const encoder = new TextEncoder();
  const END = encoder.encode('data: {"msg": "close_stream"}\\n\\n');

  // Hands on all messages but the end. Whether there was one; a stream may be cut instead, if nothing waits for it.
  async function pass(response, page) {
    let text = "";
    const reader = (response.ok ? response.body : new Blob().stream()).pipeThrough(new TextDecoderStream()).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const messages = (text + read.value).split("\\n\\n");
      text = messages.pop();
      for (const message of messages) {
        const matters = /"(close_stream|process_completed)"/.test(message);
        const {msg, event_id} = matters ? JSON.parse(message.slice("data:".length)) : {};
        if (msg === "close_stream") return true;
        if (msg === "process_completed" && !waiting.delete(event_id)) early.add(event_id);
        page.enqueue(encoder.encode(message + "\\n\\n"));
      }
    }
    if (waiting.size) throw new TypeError(`the stream ended (${response.status}) while an event was waiting on it`);
    return false;
  }
})();
</script>"""
