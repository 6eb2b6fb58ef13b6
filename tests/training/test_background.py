"""Training beside the app: a process that reports, stops with a checkpoint, goes on, and leaves a usable adapter."""

import json
import os
import subprocess
import sys
import textwrap
import time

import pytest

from molorec import backbone, config
from molorec.catalog import Catalog, prepare
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.mixture import adapters
from molorec.training import background
from molorec.training import command as training_command
from molorec.training.background import BackgroundTraining, State, Trainings
from tests.conftest import card_for, pico_model, pico_tokenizer, random_adapter, source_data

PATIENCE = 60
# Counts steps with a checkpoint like a training, and stops when stdin ends.
FAKE = """
    import json, os, pathlib, sys, threading, time
    out, steps, pause, best = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    state, ended = out / "checkpoint.safetensors", threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()


    def keep(step):
        head = json.dumps({"__metadata__": {"molorec": json.dumps({"step": step})}}).encode()
        state.write_bytes(len(head).to_bytes(8, "little") + head)  # as safetensors does


    step = json.loads(json.loads(state.read_bytes()[8:])["__metadata__"]["molorec"])["step"] if state.exists() else 0
    print("toybox: what a training says besides")
    while step < steps:
        time.sleep(pause)
        step += 1
        report = {"step": step, "steps": steps, "loss": 5 / step, "seconds": step * 2.0, "validation": None, "best": 4.0}
        if step == steps:
            report.update(validation=best, best=min(4.0, best))
        print(json.dumps(report), flush=True)
        if ended.is_set() and step < steps:
            keep(step)
            sys.exit(130)
    keep(step)
    (out / "best").mkdir(exist_ok=True)
    (out / "best" / "adapter.txt").write_text("trained")
"""


@pytest.fixture
def fake(tmp_path):
    """Makes a training of the fake script."""
    script = tmp_path / "fake.py"
    script.write_text(textwrap.dedent(FAKE))
    made = []

    def make(steps=3, pause=0.0, best=3.0, **options) -> BackgroundTraining:
        out = tmp_path / "out"
        command = [sys.executable, str(script), str(out), str(steps), str(pause), str(best)]
        made.append(BackgroundTraining(command, out, tmp_path / "adapters" / "toybox", **options))
        return made[-1]

    yield make
    for training in made:
        training.kill()


def wait_for_step(training, step):
    ends = time.monotonic() + PATIENCE
    while training.state.step < step:
        assert time.monotonic() < ends and training.state.is_running, training.state
        time.sleep(0.02)


def test_a_finished_training_is_put_in_use(fake, tmp_path):
    called = []
    training = fake(finished=lambda: called.append(True))
    training.start()
    state = training.wait(PATIENCE)
    assert (state.status, state.step, state.steps) == ("done", 3, 3)
    assert state.losses == ((1, 5.0), (2, 2.5), (3, 5 / 3))
    assert state.validations == ((3, 3.0),)
    assert (state.first, state.best, state.seconds_left) == (4.0, 3.0, None)
    assert (tmp_path / "adapters" / "toybox" / "adapter.txt").read_text() == "trained"
    assert called == [True]


def test_an_adapter_that_is_no_better_is_not_used(fake, tmp_path):
    training = fake(best=4.5)
    training.start()
    state = training.wait(PATIENCE)
    assert state.status == "done" and not state.is_useful
    assert not (tmp_path / "adapters").exists()


def test_a_stopped_training_goes_on_where_it_was(fake):
    training = fake(steps=40, pause=0.05)
    training.start()
    wait_for_step(training, 3)
    training.stop()
    state = training.wait(PATIENCE)
    assert state.status == "stopped" and state.message == "Stopped." and 3 <= state.step < 40
    training.start()
    state = training.wait(PATIENCE)
    assert state.status == "done"
    assert [step for step, _ in state.losses] == list(range(1, 41))


def test_another_app_knows_what_an_earlier_one_trained(fake):
    training = fake(steps=40, pause=0.05)
    training.start()
    wait_for_step(training, 3)
    training.stop()
    before = training.wait(PATIENCE)
    again = fake(steps=40, pause=0.05)
    assert (again.state.status, again.state.step, again.state.losses) == ("stopped", before.step, before.losses)


def test_what_was_reported_after_the_last_checkpoint_is_not_gone_on_from(fake):
    training = fake(steps=40, pause=0.05)
    training.start()
    wait_for_step(training, 3)
    training.stop()
    kept = training.wait(PATIENCE).step
    with (training.out / "progress.jsonl").open("a") as reports:  # of a run that was killed before its next checkpoint
        for step in range(kept + 1, kept + 5):
            reports.write(json.dumps({"step": step, "steps": 40, "loss": 1.0, "seconds": 2.0 * step, "best": 4.0}) + "\n")
    assert fake(steps=40).state.step == kept


def test_a_run_that_ends_leaves_the_next_one_alone(fake, monkeypatch):
    training = fake(steps=2)
    training.start()
    first = training._process
    training.wait(PATIENCE)
    training.command = fake(steps=400, pause=0.05).command
    training.start()
    second = training._process
    training.stop("2 minutes are over.", first)  # the first one's limit comes late
    wait_for_step(training, 4)
    assert second.poll() is None and training.state.status == "training"


def test_time_left_is_the_pace_under_the_limit(fake):
    training = fake(steps=1000, pause=0.02, minutes=10)
    training.start()
    wait_for_step(training, 2)
    assert training.state.seconds_left is None  # the first steps are no measure
    wait_for_step(training, 6)
    assert 590 < training.state.seconds_left <= 600  # at 2 s a step there are 33 minutes to go


def test_a_training_is_stopped_at_its_limit(fake):
    training = fake(steps=1000, pause=0.02, minutes=0.02)
    training.start()
    state = training.wait(PATIENCE)
    assert state.status == "stopped" and "0.02 minutes are over" in state.message


def test_a_failure_is_told_in_the_scripts_words(tmp_path):
    command = [sys.executable, "-c", "import sys; print('error: the disk is full', file=sys.stderr); sys.exit(1)"]
    training = BackgroundTraining(command, tmp_path / "out", tmp_path / "adapters")
    training.start()
    state = training.wait(PATIENCE)
    assert (state.status, state.message) == ("failed", "The training failed: the disk is full")
    with pytest.raises(MolorecError, match="cannot be started"):
        BackgroundTraining([str(tmp_path / "none")], tmp_path / "out", tmp_path / "adapters").start()


@pytest.mark.skipif(os.name == "nt", reason="no signals there")
def test_a_training_that_another_program_ended_says_so(fake):
    training = fake(steps=1000, pause=0.02)
    training.start()
    wait_for_step(training, 2)
    training._process.terminate()
    state = training.wait(PATIENCE)
    assert (state.status, state.message) == ("failed", "The training failed: another program ended it (signal 15)")


def test_an_adapter_that_cannot_be_put_in_use_leaves_the_one_before(fake, fail_on, tmp_path):
    before = tmp_path / "adapters" / "toybox" / "adapter.txt"
    before.parent.mkdir(parents=True)
    before.write_text("before")
    training = fake()
    fail_on(os, "replace", 2, OSError("No space left on device"))
    training.start()
    state = training.wait(PATIENCE)
    assert (state.status, state.step) == ("failed", 3) and "could not be written" in state.message
    assert before.read_text() == "before"


def test_a_folder_that_cannot_be_made_is_said_and_the_next_start_works(fake, fail_on):
    training = fake()
    fail_on(background.Path, "mkdir", 1, OSError("No space left on device"))
    with pytest.raises(MolorecError, match="cannot be started.*No space left"):
        training.start()
    training.start()
    assert training.wait(PATIENCE).status == "done"


def test_a_disk_that_is_full_for_the_reports_leaves_the_training_going(fake, fail_on, tmp_path):
    training = fake()
    asked = fail_on(background.Path, "open", 1, OSError("No space left on device"), lasting=True)
    training.start()
    state = training.wait(PATIENCE)
    assert (state.status, state.step) == ("done", 3) and len(asked) >= 3
    assert (tmp_path / "adapters" / "toybox" / "adapter.txt").is_file()


def test_a_failure_whose_words_cannot_be_read_is_a_failure(tmp_path):
    errors = tmp_path / "out" / "errors.txt"
    command = [sys.executable, "-c", "import os, sys; os.remove(sys.argv[1]); sys.exit(3)", str(errors)]
    training = BackgroundTraining(command, tmp_path / "out", tmp_path / "adapters")
    training.start()
    state = training.wait(PATIENCE)
    assert (state.status, state.message) == ("failed", "The training failed: it ended with code 3")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_goes_wrong_beside_it_a_training_ends(fake, fail_on):
    training = fake(steps=1000, pause=0.02)
    fail_on(background, "_after", 2, RuntimeError("a defect"))
    training.start()
    state = training.wait(PATIENCE)
    assert (state.status, state.step) == ("failed", 1) and "train again" in state.message
    assert training._process.poll() is not None


def test_one_that_has_not_begun_is_stopped_at_once(tmp_path):
    training = BackgroundTraining([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "out", tmp_path / "a")
    training.start()
    started = time.monotonic()
    training.stop()
    assert training.wait(PATIENCE).status == "stopped"
    assert time.monotonic() - started < 10


def test_only_so_many_train_at_once(tmp_path):
    trainings = Trainings(lambda domain, out: [sys.executable, "-c", "import time; time.sleep(60)"], "pico")
    try:
        trainings.start("one", tmp_path / "one")
        trainings.start("one", tmp_path / "one")  # pressed twice
        with pytest.raises(BadInput, match="already"):
            trainings.start("two", tmp_path / "two")
        trainings.forget("one")
        assert trainings.state("one") is None
        assert not background.folder_of("one").exists()
        trainings.start("two", tmp_path / "two")
    finally:
        trainings.kill()


def test_another_models_checkpoint_is_not_gone_on_from():
    """The same domain under two models: each has a training of its own, and forgetting the domain takes both along."""
    ours, theirs = (Trainings(lambda domain, out: [], model) for model in ("small", "large"))
    checkpoint = background.folder_of("one") / "small" / "checkpoint.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert ours.state("one").status == "stopped" and theirs.state("one") is None
    theirs.forget("one")
    assert ours.state("one") is None


def test_the_child_ends_with_the_app(tmp_path):
    """An app that ends, with a training going on, leaves no process behind."""
    app = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from molorec.training.background import Trainings
        trainings = Trainings(lambda domain, out: [sys.executable, "-c", "import time; time.sleep(60)"], "pico")
        trainings.start("one", Path({str(tmp_path)!r}) / "one")
        print(trainings._known["one"]._process.pid, flush=True)
    """)
    done = subprocess.run([sys.executable, "-c", app], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, "PYTHONPATH": str(config.PACKAGE.parent)})
    assert done.returncode == 0, done.stderr
    with pytest.raises(OSError):
        os.kill(int(done.stdout), 0)


@pytest.mark.parametrize("line", ["", "step 3/4", "[]", "{}", "null", "3", '{"step": 1, "steps"',
                                  '{"step": 2, "steps": 1, "loss": 1}'])
def test_other_lines_are_no_reports(line):
    assert background._report(line) is None


def test_steps_that_are_repeated_count_once():
    state = State()
    for step in (1, 2, 3, 2, 3, 4):
        state = background._after(state, {"step": step, "steps": 9, "loss": float(step), "seconds": step, "best": None}, 100.0)
    assert state.losses == ((1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0))


def asked(engine):
    """What the training script takes the command for "toybox" as."""
    command = background.command_for(engine, "toybox", config.home() / "out")
    options = training_command.parser("test")
    options.add_argument("--domain")
    return options.parse_args(command[2:])


def test_the_command_is_one_that_the_script_takes(engine):
    arguments = asked(engine)
    assert arguments.progress_json and arguments.threads == 1 and arguments.domain == "toybox"
    assert (arguments.template, arguments.length) == ("open", 128)


def test_it_trains_for_the_model_and_the_template_that_the_app_has(catalog, tmp_path):
    folder, tokenizer = tmp_path / "pico", pico_tokenizer()
    pico_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    base = backbone.load(folder, config.PROFILES["qwen2-7b"], "float32")
    general = random_adapter(base.shapes, card=card_for(base, "general", "general", template="listed"))
    adapters.save(general, tmp_path / "adapters" / "general", base.name)
    arguments = asked(Engine(base, catalog, [tmp_path / "adapters"]))
    assert (arguments.profile, arguments.base, arguments.precision) == ("qwen2-7b", str(folder), "float32")
    assert (arguments.template, arguments.length, arguments.micro_rows) == ("listed", 1000, 1)
    assert asked(Engine(base, catalog)).template == "open"  # with no adapter beside it, the one that needs least


def test_the_real_script_trains_stops_and_makes_a_pair(tmp_path):
    """The whole way on a pico model: checkpoint at Stop, Resume, and an adapter that the engine mixes."""
    folder = tmp_path / "pico"
    tokenizer = pico_tokenizer()
    pico_model("llama", len(tokenizer)).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    catalog = Catalog()
    catalog.add_domain(prepare("toybox", source_data()), owner="visitor-1")
    out, target = tmp_path / "out", config.home() / "adapters" / "embedded" / "toybox"
    command = [sys.executable, str(background.SCRIPT), "--domain", "toybox", "--out", str(out), "--threads", "1",
               "--progress-json", "--base", str(folder), "--steps", "400", "--rows", "2", "--length", "64", "--replay", "0",
               "--validation-lists", "4", "--validate-every", "200"]
    training = BackgroundTraining(command, out, target)
    training.start()
    try:
        wait_for_step(training, 2)
        training.stop()
        state = training.wait(PATIENCE)
        assert state.status == "stopped", state.message
        assert (out / "checkpoint.safetensors").is_file()
        stopped_at = state.step
        training.start()
        state = training.wait(5 * PATIENCE)
    finally:
        training.kill()
    assert state.status == "done", state.message
    assert [step for step, _ in state.losses] == list(range(1, 401)) and stopped_at < 400
    assert json.loads((out / "best" / "molorec.json").read_text())["role"] == "specific"
    assert state.is_useful, (state.first, state.best)
    base = backbone.load(folder, precision="float32")
    general = random_adapter(base.shapes, card=card_for(base, "general", "general"))
    adapters.save(general, tmp_path / "shipped" / "general", base.name)
    engine = Engine(base, catalog, [config.home() / "adapters" / "embedded", tmp_path / "shipped"])
    assert engine.mixture("toybox").is_pair
