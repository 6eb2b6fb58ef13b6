"""What the tests of evaluations share."""

import pytest

from molorec.evaluation import protocol
from molorec.evaluation.protocol import evaluate

USERS = 8


@pytest.fixture
def evaluation(engine, monkeypatch):
    monkeypatch.setattr(protocol, "tuned_lam", lambda *_: 0.3)
    return evaluate(engine, "toybox", limit=USERS)
