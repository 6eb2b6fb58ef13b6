"""How numbers are written, on the screen, in tables and on the command line."""


def score(value: float) -> str:
    """A score from 0 to 1 with three decimals, as papers write it.

    >>> score(0.3174)
    '.317'
    """
    return f"{value:.3f}".removeprefix("0")


def difference(mean: float, low: float, high: float) -> str:
    """A difference of two scores with its interval.

    >>> difference(0.11, -0.0084, 0.141)
    '+.110 [−.008, +.141]'
    """
    signed = [("−" if value < 0 else "+") + score(abs(value)) for value in (mean, low, high)]
    return f"{signed[0]} [{signed[1]}, {signed[2]}]"


def percent(share: float) -> str:
    """A share as it is written: "0.5%", not "0%".

    >>> percent(0.005), percent(0.1)
    ('0.5%', '10%')
    """
    return f"{100 * share:g}%"


def few_shot(share: float) -> str:
    """What stands behind a test's name if its domain's adapter learned from a share of the people.

    >>> few_shot(0.1), few_shot(1.0)
    (', few-shot 10%', '')
    """
    return "" if share == 1 else f", few-shot {percent(share)}"


def few_shot_note(share: float) -> str:
    """The same as a sentence; empty where the adapter learned from everybody."""
    return "" if share == 1 else f"Few-shot: the domain's own adapter has learned from {percent(share)} of its people."
