"""Two small components: a list of titles that a person edits, and search results to add to such lists.

Both are HTML of our own because Gradio's components can neither reorder rows nor carry an id behind a title. The value
of a list lives in the browser and comes with every event, so the server keeps no copy that could disagree with it.

The rows are made by script, with ``textContent``: what stands in ``html_template`` is evaluated as a JavaScript template
after its values were filled in, so a title that holds ``${…}`` would run there.
"""

import gradio as gr

_TOOLS = """
const button = (text, label, data) => {
  const made = document.createElement('button');
  made.type = 'button'; made.textContent = text; made.setAttribute('aria-label', label); Object.assign(made.dataset, data);
  return made;
};
const row = (title, ...buttons) => {
  const made = document.createElement('li'), parts = ['div', 'span', 'span'].map(kind => document.createElement(kind));
  const [line, name, tools] = parts;
  parts.forEach((part, at) => { part.className = ['ml-edit-row', 'ml-edit-title', 'ml-edit-buttons'][at]; });
  name.textContent = title;
  tools.append(...buttons);
  line.append(name, tools);
  made.append(line);
  return made;
};
"""

_EDIT = _TOOLS + """
const rows = () => Array.isArray(props.value) ? props.value : [];
const draw = () => {
  const list = document.createElement('ol');
  list.className = 'ml-edit'; list.setAttribute('aria-label', props.label);
  list.append(...rows().map((entry, at) => row(entry.title, button('↑', `Move ${entry.title} up`, {act: 'up', at}),
    button('↓', `Move ${entry.title} down`, {act: 'down', at}), button('×', `Remove ${entry.title}`, {act: 'remove', at}))));
  if (!list.children.length) {
    const empty = document.createElement('p');
    empty.className = 'ml-dim'; empty.textContent = props.empty;
    element.replaceChildren(empty);
    return;
  }
  const all = button('Remove all', `Remove all of: ${props.label}`, {act: 'clear', at: 0});
  all.className = 'ml-edit-all';
  element.replaceChildren(list, ...(list.children.length > 1 ? [all] : []));
};
element.addEventListener('click', event => {
  const pressed = event.target.closest('button[data-act]');
  if (!pressed) return;
  const at = Number(pressed.dataset.at), act = pressed.dataset.act, list = act === 'clear' ? [] : [...rows()];
  const to = act === 'up' ? at - 1 : act === 'down' ? at + 1 : at;
  if (act !== 'clear') {
    if (to < 0 || to >= list.length) return;
    const [moved] = list.splice(at, 1);
    if (act !== 'remove') list.splice(to, 0, moved);
  }
  props.value = list;
  trigger('input');
  // the rows are drawn anew: keep the keyboard where it was
  setTimeout(() => {
    draw();
    const again = element.querySelectorAll(`button[data-act=${act}]`);
    if (again.length) again[Math.min(to, again.length - 1)].focus();
  }, 50);
});
watch('value', draw);
draw();
"""

_FIND = _TOOLS + """
const rows = () => props.value?.rows ?? [];
const draw = () => {
  const list = document.createElement('ul');
  list.className = 'ml-edit ml-found'; list.setAttribute('aria-label', 'Search results');
  list.append(...rows().map((entry, at) => row(entry.title,
    button('+ history', `Add ${entry.title} to the history`, {to: 'history', at}),
    button('+ candidates', `Add ${entry.title} to the candidates`, {to: 'candidates', at}))));
  const nothing = document.createElement('p');
  nothing.className = 'ml-dim'; nothing.setAttribute('role', 'status');
  nothing.textContent = props.value?.text ? `No title here is written like “${props.value.text}”.` : '';
  element.replaceChildren(list.children.length ? list : nothing);
};
element.addEventListener('click', event => {
  const pressed = event.target.closest('button[data-to]');
  if (pressed) trigger('select', {to: pressed.dataset.to, title: rows()[Number(pressed.dataset.at)]});
});
watch('value', draw);
draw();
"""


def edited_list(label: str, empty: str) -> gr.HTML:
    """A list of ``{"id", "title"}`` to reorder and shorten; fires ``input`` when somebody does."""
    return gr.HTML([], html_template="<div></div>", js_on_load=_EDIT, label=label, empty=empty, padding=False)


def search_results() -> gr.HTML:
    """What was found, ``{"text": what was looked for, "rows": [{"id", "title"}, …]}``; fires ``select`` with ``to`` ("history"
    or "candidates") and ``title`` when one is to be added."""
    return gr.HTML({"text": "", "rows": []}, html_template="<div></div>", js_on_load=_FIND, padding=False)
