"""The whole page for the tests: served, and a browser tab on it."""

from contextlib import contextmanager

from molorec.ui import page

PATIENCE = 120_000  # ms; a shared machine can be slow


@contextmanager
def served(app, **options):
    """The address of a page that was built, served as the app serves it but for the options."""
    _, url, _ = app.launch(prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, **{**page.launch_options(), **options})
    try:
        yield url
    finally:
        app.close()


@contextmanager
def opened(browser, url, width=1400, dark=False, ready=".ml-row", script=""):
    """A browser tab on the page, once what it waits for is there; no script may fail in it.

    ``script`` runs before those of the page.
    """
    tab = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme="dark" if dark else "light")
    tab.set_default_timeout(PATIENCE)
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.add_init_script(script)
    tab.goto(url)
    tab.wait_for_selector(ready)
    yield tab
    tab.close()
    assert not errors
