"""Pico models made on the fly: all of the code runs in seconds, without a download."""

import random
import sqlite3

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from molorec import backbone, config
from molorec.catalog import Catalog, SourceData, prepare
from molorec.catalog.prepare import PreparedDomain
from molorec.engine import Engine
from molorec.evaluation import rows
from molorec.evaluation.rows import SystemRows
from molorec.mixture import adapters
from molorec.mixture.adapters import Adapter
from molorec.mixture.card import Card
from molorec.mixture.lam import to_saved

WORDS = ["amber", "basin", "cedar", "delta", "ember", "fable", "grove", "harbor", "island", "jungle",
         "kettle", "lantern", "meadow", "nectar", "orchid", "prairie", "quartz", "river", "saddle", "timber"]
KINDS = ("song", "lamp", "chair", "story")


def titles(count: int) -> list[str]:
    """``count`` different two-word titles with a year, some sharing their first word."""
    made = [f"{word.capitalize()} {kind.capitalize()} ({1950 + i})" for i, (word, kind) in
            enumerate((word, kind) for kind in KINDS for word in WORDS)]
    return made[:count]


def pico_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(
        [f" {title}\n" for title in titles(80)] * 3,
        trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False,
                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>",
                                   additional_special_tokens=special[1:])


def pico_model(kind: str = "llama", vocabulary: int = 420, seed: int = 0):
    torch.manual_seed(seed)
    shape = {"vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024, "initializer_range": 0.2}
    return LlamaForCausalLM(LlamaConfig(**shape)) if kind == "llama" else Qwen2ForCausalLM(Qwen2Config(**shape))


def pico_backbone(kind: str = "llama", seed: int = 0) -> backbone.Backbone:
    tokenizer = pico_tokenizer()
    return backbone.wrap(pico_model(kind, len(tokenizer), seed).float(), tokenizer,
                         f"pico-{kind}", "random", f"pico-{kind}-{seed}")


def random_adapter(shapes, rank: int = 4, alpha: float = 8.0, seed: int = 1, strength: float = 0.3,
                   card: Card | None = None) -> Adapter:
    """An adapter whose effect is large enough to change rankings."""
    generator = torch.Generator().manual_seed(seed)
    factors = {path: (torch.randn(rank, i, generator=generator) * strength, torch.randn(o, rank, generator=generator) * strength)
               for path, (o, i) in shapes.items()}
    return Adapter(factors, rank, alpha, card)


def card_for(base: backbone.Backbone, role: str, domain: str, **changes) -> Card:
    facts = {"role": role, "domain": domain, "base": base.name, "base_revision": base.revision, "base_sha256": base.sha256,
             "template": "open", "noun": "items", "tokenizer": base.prompter.fingerprint(), "objective": "listwise"}
    return Card(**{**facts, **changes})


def source_data(users: int = 130, items: int = 80, events: int = 16, seed: int = 0) -> SourceData:
    """People who wander over neighbouring items: enough users for a ``tune`` and a ``quick`` split."""
    rng = random.Random(seed)
    names = titles(items)
    made = SourceData({f"i{n}": name for n, name in enumerate(names)}, [])
    for user in range(users):
        place, seen = rng.randrange(items), set()
        for time in range(events):
            while place in seen:
                place = (place + rng.randrange(1, 5)) % items
            seen.add(place)
            made.events.append((f"u{user}", f"i{place}", float(time)))
    return made


def with_new_items(**source) -> PreparedDomain:
    """Toybox with every second item held out: enough of them for lists of new items."""
    domain = prepare("toybox", source_data(**source))
    domain.held_out = [i % 2 == 0 for i in range(len(domain.item_ids))]
    return domain


def toybox_catalog(path) -> Catalog:
    made = Catalog(path)
    made.add_domain(prepare("toybox", source_data()), noun="items", source="made up")
    return made


def toybox_adapters(base: backbone.Backbone, folder):
    for seed, (name, role) in enumerate((("general", "general"), ("toybox", "specific")), start=1):
        adapter = random_adapter(base.shapes, seed=seed, card=card_for(base, role, name))
        adapters.save(adapter, folder / name, base.name, torch.float32)
    return folder


def system_rows(system: str = "mixed", **changes) -> SystemRows:
    """What is kept of a system for three users of the split quick."""
    values = {"system": system, "domain": "toybox", "split": "quick", "setting": "warm", "lists_sha256": "ab" * 32, "limit": None,
              "lam": to_saved(0.25), "made_with": rows.facts("molorec evaluate", ["numpy"], seed=0), "users": (100, 103, 104),
              "ranks": (1, 30, 2), "probabilities": (0.5, 0.0, 1 / 3), "positions": (0, 29, 7), "firsts": (0, 3, 1)}
    return SystemRows(**{**values, **changes})


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch, request):
    """Every test has a MOLOREC_HOME of its own, but for those that use the fetched model."""
    if "embedded" not in request.keywords:
        monkeypatch.setenv("MOLOREC_HOME", str(tmp_path_factory.mktemp("home")))
    return config.home()


@pytest.fixture(scope="session")
def base() -> backbone.Backbone:
    return pico_backbone()


@pytest.fixture
def catalog(tmp_path) -> Catalog:
    """One domain, "toybox", with 80 items and 130 users."""
    return toybox_catalog(tmp_path / "catalog.db")


@pytest.fixture
def adapter_folder(base, tmp_path):
    """A folder with the adapters "general" and "toybox" for the pico base."""
    return toybox_adapters(base, tmp_path / "adapters")


@pytest.fixture
def fail_on(monkeypatch):
    """A function that makes one call of ``owner.name`` fail, the ``nth`` from now, and lets all others through.

    It returns a list that grows by an entry for each call. With ``lasting``, all later calls fail too, until the list's
    ``mend()``.
    """

    class Calls(list):
        failing = True

        def mend(self):
            self.failing = False

    def set_up(owner, name: str, nth: int, error: BaseException, lasting: bool = False) -> Calls:
        works, calls = getattr(owner, name), Calls()

        def counted(*arguments, **named):
            calls.append(len(calls) + 1)
            if calls.failing and (calls[-1] == nth or lasting and calls[-1] > nth):
                raise error
            return works(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)
        return calls

    return set_up


class Disk:
    """SQLite's files on a disk that can be made to fail, for connections opened from now on."""

    def __init__(self, monkeypatch):
        self.file, self.left, self.lasting, self.error = "", 0, False, ""
        disk, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, sql, *arguments):
                disk.count(self.file)
                return super().execute(sql, *arguments)

        def opened(path, *arguments, **named):
            connection = connect(path, *arguments, **{**named, "factory": Connection})
            connection.file = str(path)
            return connection

        monkeypatch.setattr(sqlite3, "connect", opened)

    def fail(self, file: str, nth: int = 1, error: str = "database or disk is full", lasting: bool = False) -> None:
        """Make the ``nth`` statement from now on a file (its name's end) fail, and all after it if it is ``lasting``."""
        self.file, self.left, self.lasting, self.error = file, nth, lasting, error

    def mend(self) -> bool:
        """Let everything work again; whether a statement failed."""
        failed, self.file = bool(self.file) and self.left <= 0, ""
        return failed

    def count(self, file: str) -> None:
        if self.file and file.endswith(self.file):
            self.left -= 1
            if self.left == 0 or (self.lasting and self.left < 0):
                raise sqlite3.OperationalError(self.error)


@pytest.fixture
def disk(monkeypatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def engine(base, catalog, adapter_folder) -> Engine:
    return Engine(base, catalog, [adapter_folder])
