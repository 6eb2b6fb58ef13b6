"""What the tests of evaluations share."""

import pytest

from molorec.evaluation.protocol import evaluate

USERS = 8


@pytest.fixture
def evaluation(engine, monkeypatch):
    monkeypatch.setattr("molorec.evaluation.plan.tuned_lam", lambda *_: 0.3)
    return evaluate(engine, "toybox", limit=USERS)
