"""Tables as files that a visitor can take along."""

import re

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder


def saved(name: str, text: str) -> str:
    """Write a download into Gradio's own cache, as UTF-8, and return its path.

    Parameters
    ----------
    name : of the file, with its ending; whatever is no letter, digit, dot or underscore becomes a dash.
    """
    return save_bytes_to_cache(text.encode(), re.sub(r"[^\w.]+", "-", name), get_upload_folder())
