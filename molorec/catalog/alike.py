"""Titles written much like what somebody typed: a search that forgives typing errors."""

import numpy as np
from rapidfuzz import fuzz, process

LEAST = 75  # of 100


def closest(typed: str, forms: list[str], limit: int) -> list[int]:
    """Return the places in ``forms`` of those written most like ``typed``, the closest first.

    Both in their normal form (:func:`molorec.titles.normalise`). Alike is the better of two: the words they share whatever
    the order, or ``typed`` against the part of a longer title that fits it best. Under ``LEAST`` of 100 is not alike.

    >>> closest("matirx", ["matilda", "matrix", "amelie"], 1)
    [1]
    >>> closest("jurasic prk", ["lost world jurassic park", "jurassic park", "park row"], 20)
    [1, 0]
    """
    if not typed or not forms:
        return []
    words = process.cdist([typed], forms, scorer=fuzz.token_set_ratio)[0]
    # what is cut off here is not alike by this measure, and costs a quarter of the time
    part = process.cdist([typed], forms, scorer=fuzz.partial_ratio, score_cutoff=LEAST)[0]
    # a short title is a part of anything that holds its letters: "it" of "termnaitor"
    part[[len(form) < len(typed) for form in forms]] = 0
    likeness = np.maximum(words, part)
    order = np.lexsort((-words, -likeness))[:limit]
    return [int(place) for place in order if likeness[place] >= LEAST]
