"""Training a domain's own adapter in a process of its own, one core at low priority, while the app goes on."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from molorec import config, whole_folder
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.hashing import json_sha256

SCRIPT = config.PACKAGE.parent / "training_scripts" / "train_specific.py"
# Short rows and few of them: about 4 seconds a step on one core, so some ten minutes in all. From scratch, for an adapter
# starts from one of its own role only. For 400 people of MovieLens-1M, −log p of held-out choices was 4.53 before the first
# step, 3.60 after 50 and 3.20 after 100.
RECIPE = ("--steps", "150", "--rows", "4", "--length", "128", "--learning-rate", "8e-4", "--validation-lists", "20",
          "--validate-every", "50")
LISTED = ("--template", "listed", "--length", "1000", "--micro-rows", "1")  # in place of rows that hold a history alone
PACE = 5  # steps after which the time left is told
_IN_USE = "in-use"  # a file beside a checkpoint: the adapter was copied to where it comes into use
GRACE = 60.0  # seconds for the step in progress and a checkpoint, once a training is told to stop


@dataclass(frozen=True)
class State:
    """Where a training stands.

    Attributes
    ----------
    status : "starting", "training", "stopping", "stopped", "failed" or "done".
    losses : (step, loss in nats) of every step so far, those before a stop included.
    validations : (step, loss on held-out choices in nats, see :meth:`molorec.training.loop.Training.validate`), where taken.
    first, best : the same at the start and of the best checkpoint, in nats; None where there are no lists to measure on.
    seconds_left : of this run, at its pace so far and under its limit; None before its first few steps.
    message : why it stopped or failed.
    waited : seconds since it was started, while it has not begun to train.
    """

    status: str = "starting"
    step: int = 0
    steps: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    validations: tuple[tuple[int, float], ...] = ()
    first: float | None = None
    best: float | None = None
    seconds_left: float | None = None
    message: str = ""
    waited: float = 0.0

    @property
    def is_running(self) -> bool:
        return self.status in ("starting", "training", "stopping")

    @property
    def is_useful(self) -> bool:
        """Whether the trained adapter foresees held-out choices better than none; taken as so where nothing can be measured."""
        return self.best is None or self.first is None or self.best < self.first


def command_for(engine: Engine, domain: str, out: Path) -> list[str]:
    """The command that trains a domain's adapter into ``out``, for the engine's base and the template of its general adapter.

    Raises
    ------
    MolorecError : the training scripts are not there.
    """
    if not SCRIPT.is_file():
        raise MolorecError(f"the training script {SCRIPT} is not there; run the app from the project's folder to train")
    try:
        listed = engine.mixture(domain).template.listed
    except MolorecError:  # there is no adapter to mix with
        listed = False
    return [sys.executable, str(SCRIPT), "--domain", domain, "--out", str(out), "--threads", "1", "--progress-json",
            *engine.base.options, *RECIPE, *(LISTED if listed else ())]


def model_key(engine: Engine) -> str:
    """Tells what is trained from all that could not go on from its checkpoints: another model, precision or recipe."""
    return f"{engine.base.sha256[:12]}-{json_sha256([engine.base.precision, RECIPE, LISTED])[:8]}"


def folder_of(domain: str) -> Path:
    """Where a domain's checkpoints lie, each model's in a folder of its own: none can go on from another's."""
    return config.home() / "training" / "own" / domain


class BackgroundTraining:
    """One domain's training: start it, look at :attr:`state`, stop it, start it again to go on from its checkpoint.

    Parameters
    ----------
    out : the folder of checkpoints. What has been reported so far lies there too, for the next app.
    target : the folder that the finished adapter is copied to, if it is of use.
    finished : called after that, in another thread.
    """

    def __init__(self, command: Sequence[str], out: Path, target: Path, finished: Callable[[], None] = lambda: None,
                 minutes: float = LIMITS.training_minutes):
        self.command, self.out, self.target, self.finished, self.minutes = list(command), out, target, finished, minutes
        self._process: subprocess.Popen | None = None
        self._watcher: threading.Thread | None = None
        self._lock = threading.Lock()
        self._why = ""
        self._started = time.monotonic()
        self.state = self._earlier()

    def start(self) -> None:
        """Start, or go on from the last checkpoint. Raises MolorecError if the process cannot be started."""
        with self._lock:
            if self.state.is_running and self._process:
                return
            self._why = ""
            path = os.pathsep.join(filter(None, (str(config.PACKAGE.parent), os.environ.get("PYTHONPATH"))))
            surroundings = {**os.environ, "PYTHONPATH": path, "MOLOREC_HOME": str(config.home()), "OMP_NUM_THREADS": "1",
                            "PYTHONIOENCODING": "utf-8"}
            try:
                self.out.mkdir(parents=True, exist_ok=True)
                with open(self.out / "errors.txt", "wb") as errors:
                    self._process = subprocess.Popen(
                        self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=surroundings,
                        text=True, encoding="utf-8", errors="replace",
                        creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0))
            except OSError as error:
                raise MolorecError(f"the training cannot be started ({error})") from error
            self._started = time.monotonic()
            self.state = replace(self.state, status="starting", seconds_left=None, message="")
            self._watcher = threading.Thread(target=self._watch, args=(self._process,), daemon=True)
            self._watcher.start()

    def stop(self, why: str = "Stopped.", of: subprocess.Popen | None = None) -> None:
        """Ask it to write a checkpoint and end; one that has not begun to train ends at once.

        Parameters
        ----------
        of : the process that is meant, if it is not whichever runs now.
        """
        with self._lock:
            process = self._process
            if of is not None and of is not process:
                return
            if not process or process.poll() is not None or self.state.status == "stopping":
                return
            begun, self._why = self.state.status == "training", why
            self.state = replace(self.state, status="stopping", seconds_left=None)
        if not begun:
            process.kill()
            return
        _close(process)
        late = threading.Timer(GRACE, process.kill)
        late.daemon = True
        late.start()

    def kill(self) -> None:
        """End the process now; its last checkpoint stays."""
        process = self._process
        if process and process.poll() is None:
            self._why = self._why or "The app ended."
            process.kill()
            process.wait(10)

    def now(self) -> State:
        """The state at this moment: until it trains, nothing but the time that has passed changes it."""
        state = self.state
        return replace(state, waited=time.monotonic() - self._started) if state.status == "starting" else state

    def wait(self, seconds: float | None = None) -> State:
        """The state once the run has ended, or after so many seconds."""
        if self._watcher:
            self._watcher.join(seconds)
        return self.state

    def _watch(self, process: subprocess.Popen) -> None:
        limit = threading.Timer(60 * self.minutes, self.stop, [f"{self.minutes:g} minutes are over.", process])
        limit.daemon = True
        limit.start()
        ended = None
        try:
            self._follow(process)
            ended = self._ended(process.wait())
        finally:  # also after a defect here: what seems to be training for ever keeps every other training out
            limit.cancel()
            if process.poll() is None:  # not `kill`, for the next run may begin as soon as the state says that this one is over
                process.kill()
                process.wait(10)
            with self._lock:
                self.state = replace(ended or replace(self.state, status="failed", message="The training failed: the app could "
                                                      "not follow it; train again."), seconds_left=None)

    def _follow(self, process: subprocess.Popen) -> None:
        started = time.monotonic()
        for line in process.stdout:
            report = _report(line)
            if report:
                # on a full disk only the next app misses it; the training says itself if it has no room for what matters
                with suppress(OSError), (self.out / "progress.jsonl").open("a", encoding="utf-8") as kept:
                    kept.write(json.dumps(report) + "\n")
                left = 60 * self.minutes - (time.monotonic() - started)
                with self._lock:
                    self.state = _after(self.state, report, left)

    def _ended(self, code: int) -> State:
        """The last state of a run; what it made is in use then, if it is of use."""
        with self._lock:
            state, why = self.state, self._why
        if code == 0 and state.is_useful:
            try:
                with whole_folder.replacing(self.target) as new:
                    shutil.copytree(self.out / "best", new, dirs_exist_ok=True)
                (self.out / _IN_USE).touch()
                self.finished()
            except OSError as error:
                return replace(state, status="failed", message=f"The adapter could not be written ({error}).")
        if code == 0:
            return replace(state, status="done")
        if why:
            return replace(state, status="stopped", message=why)
        return replace(state, status="failed", message=self._last_error(code))

    def _last_error(self, code: int) -> str:
        lines = []
        with suppress(OSError):
            lines = (self.out / "errors.txt").read_text("utf-8", "replace").strip().splitlines()
        ended = f"it ended with code {code}" if code >= 0 else f"another program ended it (signal {-code})"
        said = lines[-1].removeprefix("error: ") if lines else ended
        return f"The training failed: {said}"

    def _earlier(self) -> State:
        """What an earlier run left: reports up to its checkpoint, which the next run goes on from."""
        state = State(status="stopped")
        kept = _kept_step(self.out / "checkpoint.safetensors")
        if kept is None:
            return state
        try:
            for line in (self.out / "progress.jsonl").read_text("utf-8").splitlines():
                report = _report(line)
                state = _after(state, report, 0.0) if report and report["step"] <= kept else state
        except OSError:
            return state
        # done is only what came into use, or was of none: the app may have ended before the adapter was copied
        done = state.steps and state.step == state.steps and ((self.out / _IN_USE).is_file() or not state.is_useful)
        return replace(state, status="done" if done else "stopped", seconds_left=None)


class Trainings:
    """The trainings of one app by domain, :attr:`molorec.config.Limits.trainings` of them at once.

    Parameters
    ----------
    command : what trains a domain's adapter into a folder, see :func:`command_for`.
    model : tells the model that is trained from others, as a folder's name.
    """

    def __init__(self, command: Callable[[str, Path], list[str]], model: str):
        self._command, self._model = command, model
        self._known: dict[str, BackgroundTraining] = {}
        self._lock = threading.Lock()
        atexit.register(self.kill)

    def start(self, domain: str, target: Path, finished: Callable[[], None] = lambda: None) -> None:
        """Start a domain's training, or let it go on.

        Raises
        ------
        BadInput : as many as may run are running.
        MolorecError : it cannot be started.
        """
        with self._lock:
            known = self._known.get(domain)
            if known and known.state.is_running:
                return
            if sum(training.state.is_running for training in self._known.values()) >= LIMITS.trainings:
                raise BadInput(f"{LIMITS.trainings} adapter is being trained here already, which is as many as may be at once; "
                               f"try again later: each takes {LIMITS.training_minutes} minutes at most")
            if not known:
                out = self._folder(domain)
                known = self._known[domain] = BackgroundTraining(self._command(domain, out), out, target, finished)
            known.start()

    def stop(self, domain: str) -> None:
        """Stop a domain's training, if it runs; its checkpoint stays."""
        if domain in self._known:
            self._known[domain].stop()

    def state(self, domain: str) -> State | None:
        """Where a domain's training stands; None if there has been none."""
        known = self._known.get(domain)
        if known:
            return known.now()
        if not (self._folder(domain) / "checkpoint.safetensors").is_file():
            return None
        return BackgroundTraining([], self._folder(domain), Path()).state

    def forget(self, domain: str) -> None:
        """End a domain's training and delete its checkpoints, other models' too."""
        with self._lock:
            known = self._known.pop(domain, None)
        if known:
            known.kill()
            known.wait(10)
        shutil.rmtree(folder_of(domain), ignore_errors=True)

    def kill(self) -> None:
        """End all processes, when the app ends."""
        for training in list(self._known.values()):
            training.kill()

    def _folder(self, domain: str) -> Path:
        return folder_of(domain) / self._model


def _kept_step(checkpoint: Path) -> int | None:
    """The step that a checkpoint was written at; None if there is none that can be read."""
    try:
        with safe_open(checkpoint, "pt") as file:
            return int(json.loads(file.metadata()["molorec"])["step"])
    except (OSError, SafetensorError, ValueError, TypeError, KeyError):
        return None


def _report(line: str) -> dict | None:
    """A line of progress; None for anything else that a training prints, or for half a line of a killed one."""
    try:
        report = json.loads(line)
        return report if isinstance(report, dict) and report["steps"] >= report["step"] >= 1 and "loss" in report else None
    except (ValueError, KeyError, TypeError):
        return None


def _after(state: State, report: dict, limit: float) -> State:
    step, steps = report["step"], report["steps"]
    # a run that goes on from a checkpoint repeats the steps after it
    losses = tuple(pair for pair in state.losses if pair[0] < step)
    validations = tuple(pair for pair in state.validations if pair[0] < step)
    if report.get("validation") is not None:
        validations += ((step, report["validation"]),)
    best = report.get("best")
    return State(
        status="stopping" if state.status == "stopping" else "training", step=step, steps=steps,
        losses=(*losses, (step, report["loss"])), validations=validations,
        first=best if state.first is None and step == 1 else state.first, best=best,
        # the first steps are slower than the rest
        seconds_left=max(0.0, min(limit, (steps - step) * report["seconds"] / step)) if step >= PACE else None)


def _close(process: subprocess.Popen) -> None:
    try:
        process.stdin.close()
    except OSError:  # it has just ended by itself
        pass
