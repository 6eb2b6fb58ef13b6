"""Item titles: cleaning for display and one normal form for comparing."""

import html
import re
import unicodedata

UNTITLED = {"", "nan", "none", "null"}

_ARTICLES = "the|a|an|le|la|les|il|lo|i|gli|el|los|las|der|die|das|de|het|den|det|en|un|une"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BRACKETED = re.compile(r"\[[^\]]*\]")
_YEAR = re.compile(r"\(\s*(?:1[89]|20)\d\d\s*\)")
_LEADING_ARTICLE = re.compile(rf"^(?:{_ARTICLES}) (?=.)")
_TRAILING_ARTICLE = re.compile(rf",\s*(?:{_ARTICLES}|l')\s*(?=\(|$)")


def clean(title: str) -> str:
    """Return the title as the source writes it, on one line, without HTML entities or control characters.

    >>> clean("Crimson  &amp; Clover\\n [VHS]")
    'Crimson & Clover [VHS]'
    """
    text = unicodedata.normalize("NFC", html.unescape(title))
    return " ".join(_CONTROL.sub(" ", text).split())


def is_untitled(title: str) -> bool:
    """Whether a cleaned title says nothing ("", "nan").

    >>> is_untitled("nan"), is_untitled("Nan's Kitchen")
    (True, False)
    """
    return title.casefold() in UNTITLED


def normalise(title: str) -> str:
    """Return the normal form under which two titles count as the same work.

    Case, accents, articles, years, [DVD]-style tags and punctuation do not matter. Used for leakage between
    domains and for duplicates inside a candidate list. Never empty for a title that has a visible character.

    >>> normalise("Matrix, The (1999)") == normalise("The Matrix [DVD]") == "matrix"
    True
    >>> normalise("Misérables, Les (1995)")
    'miserables'
    >>> normalise("!!!")
    '!!!'
    """
    folded = unicodedata.normalize("NFKD", html.unescape(title)).casefold()
    folded = "".join(c for c in folded if not unicodedata.combining(c))
    text = _YEAR.sub(" ", _BRACKETED.sub(" ", folded))
    text = _TRAILING_ARTICLE.sub(" ", text.strip())
    text = " ".join("".join(c if c.isalnum() else " " for c in text).split())
    text = _LEADING_ARTICLE.sub("", text)
    # some signs (´ ¨ ¸) are nothing but an accent once they are folded
    return text or " ".join(folded.split()) or " ".join(title.split())
