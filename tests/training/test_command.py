"""The training scripts' command line: nonsense is refused before a model is loaded."""

import pytest

from molorec.errors import BadInput
from molorec.training import command


def train(*words, shares=(1.0,)):
    arguments = command.parser("test").parse_args(list(words))
    return command.train(arguments, role="specific", domain="toybox", names=["toybox"], shares=shares, targets=[])


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf")])
def test_shares_are_numbers_above_zero(share):
    with pytest.raises(BadInput, match="--shares"):
        train(shares=[share])


def test_threads_are_at_least_one():
    with pytest.raises(BadInput, match="--threads is 0"):
        train("--threads", "0")


@pytest.mark.parametrize(("error", "code"), [(BadInput("no such domain"), 2), (OSError("disk full"), 1),
                                             (KeyboardInterrupt(), 130)])
def test_a_problem_is_one_line(capsys, error, code):
    def run():
        raise error

    with pytest.raises(SystemExit) as stop:
        command.main(run)
    assert stop.value.code == code
    assert len(capsys.readouterr().err.splitlines()) == 1
