"""How near an export is to the live mixture: both rank the same lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

from torch import Tensor

from molorec import backbone
from molorec.backends import Row
from molorec.backends.local import Local
from molorec.catalog import RankingExample
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.mixture import adapters
from molorec.mixture.lam import AnyLam
from molorec.mixture.rule import DEFAULT_RULE

LISTS = 5
# An exact export is the same sum in another order. In bfloat16 a logit of 16 is good to 1/16 nat, so probabilities move: by .012
# on one of the CPUs that this was measured on, where float32 gave 8e-7.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.02}
ROUNDED = 0.05  # in 4 bits


@dataclass(frozen=True)
class Fidelity:
    """Largest difference of a candidate's probability, how many lists keep their first title, and how many there were."""

    difference: float
    same_first: int
    lists: int

    def __str__(self) -> str:
        return (f"no probability differs from the live mixture's by more than {self.difference:.2g} on {self.lists} lists; "
                f"{self.same_first} keep their first title")

    def check(self, precision: str) -> None:
        """Raises BadInput if this is further off than an exact export can be at a precision."""
        allowed = TOLERANCE.get(precision, ROUNDED)
        if self.difference > allowed:
            raise BadInput(f"the export is not the live mixture: a probability differs by {self.difference:.3g}, where rounding "
                           f"explains {allowed:g}; the file may be damaged, so write it again")


def of_adapter(engine: Engine, domain: str, folder: Path, lam: AnyLam, rule: str = DEFAULT_RULE) -> Fidelity:
    """An exported adapter, read again, against the live mixture on the domain's first lists."""
    live = engine.mixture(domain)
    alone = adapters.read(folder, engine.base.shapes, engine.base.sha256, engine.base.prompter.fingerprint())
    stack = adapters.stack([alone]).to(engine.base.device, engine.base.dtype).eval()
    exported = changed(live, adapters=(alone,), stack=stack)
    return _between(engine, domain, lam, rule,
                    lambda packed: engine.log_probabilities(exported, [(packed, 1.0)], DEFAULT_RULE)[0])


def of_model(engine: Engine, domain: str, folder: Path, lam: AnyLam, rule: str = DEFAULT_RULE,
             precision: str | None = None) -> Fidelity:
    """An exported model, loaded at a precision (its own, unless one is given), against the live mixture."""
    model = backbone.load(folder, precision=precision)
    local, stack = Local(model.model), engine.mixture(domain).stack
    return _between(engine, domain, lam, rule, lambda packed: local.score([Row(packed, None)], stack, DEFAULT_RULE)[0])


def _between(engine: Engine, domain: str, lam: AnyLam, rule: str, score) -> Fidelity:
    live = engine.mixture(domain)
    pairs: list[tuple[Tensor, Tensor]] = []
    for example in _examples(engine, domain):
        packed = engine.pack(live, example)
        pairs.append((engine.log_probabilities(live, [(packed, lam)], rule)[0].exp().cpu(),
                      score(packed).exp().cpu()))
    return Fidelity(max(float((one - other).abs().max()) for one, other in pairs),
                    sum(int(one.argmax()) == int(other.argmax()) for one, other in pairs), len(pairs))


def _examples(engine: Engine, domain: str) -> Sequence[RankingExample]:
    found = [engine.catalog.example(domain, user) for user in engine.catalog.first_users(domain, limit=LISTS)]
    if not found:
        raise BadInput(f"domain '{domain}' has no lists to compare the export on")
    return found
