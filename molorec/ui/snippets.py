"""A view as code: what is on screen, got by the library, the command line or the API."""

import shlex

from molorec import id_list
from molorec.backbone import Backbone
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.ui.session import BUILT, View


def python(view: View, base: Backbone) -> str:
    """A program with the library that prints the view's ranking by this base model; ``ranking`` holds it."""
    options = _options(base)
    start = ["catalog=catalog"]
    if "--profile" in options:
        start.append(f"profile=config.profile({options['--profile']!r})")
    start += [f"{name}={options[f'--{name}']!r}" for name in ("base", "precision") if f"--{name}" in options]
    lines = ["from molorec import config"] if "--profile" in options else []
    lines += ["from molorec.catalog import Catalog, RankingExample" if view.scenario == BUILT else
             "from molorec.catalog import Catalog"]
    if view.domain == MOVIELENS:
        lines.append("from molorec.datasets import ensure_movielens")
    lines += ["from molorec.engine import Engine", "", "catalog = Catalog()"]
    if view.domain == MOVIELENS:
        lines.append("ensure_movielens(catalog)")
    lines.append(f"engine = Engine.start({', '.join(start)})")
    if view.scenario == BUILT:
        lines += [f"domain = {view.domain!r}", f"history = {list(view.history)!r}", f"candidates = {list(view.candidates)!r}",
                  "history, candidates = (tuple(engine.catalog.item(domain, item_id) for item_id in ids)",
                  "                       for ids in (history, candidates))",
                  "example = RankingExample(domain, history, candidates)"]
    else:
        lines.append(f"example = engine.catalog.example({view.domain!r}, {view.user!r}, {view.scenario!r})")
    lines += [f"ranking = engine.rank(example, lam={view.lam!r}, rule={view.rule!r})", "for ranked in ranking.items:",
              '    print(ranked.rank, f"{ranked.probability:.1%}", ranked.item.title)']
    return "\n".join(lines) + "\n"


def command(view: View, base: Backbone) -> str:
    """A command line for a POSIX shell that prints the view's ranking by this base model."""
    words = ["molorec", "rank", f"--domain={view.domain}"]
    if view.scenario == BUILT:  # the form with "=", because an id may begin with "-"
        words += [f"--history-ids={id_list.join(view.history)}", f"--candidate-ids={id_list.join(view.candidates)}"]
    else:
        words += [f"--user={view.user}", f"--setting={view.scenario}"]
    words += [f"--lam={view.lam!r}", f"--rule={view.rule}", f"--top={max(30, len(view.candidates))}"]
    words += [f"{name}={value}" for name, value in _options(base).items()]
    return shlex.join(words) + "\n"


def client(view: View, address: str) -> str:
    """A program with gradio_client that asks the page at ``address`` for the view's ranking; ``answer`` holds it."""
    asked = {"domain": view.domain, "scenario": view.scenario}
    if view.scenario == BUILT:
        asked |= {"history": list(view.history), "candidates": list(view.candidates)}
    else:
        asked["user"] = view.user
    asked |= {"lam": view.lam, "rule": view.rule, "api_name": "/rank"}
    arguments = "".join(f"    {name}={value!r},\n" for name, value in asked.items())
    return ("from gradio_client import Client\n\n"
            f"client = Client({address!r})\nanswer = client.predict(\n{arguments})\n"
            'for line in answer["ranking"]:\n    print(line["rank"], f"{line[\'probability\']:.1%}", line["title"])\n')


def _options(base: Backbone) -> dict[str, str]:
    """What a command takes this model by, option by option."""
    return dict(zip(base.options[::2], base.options[1::2], strict=True))
