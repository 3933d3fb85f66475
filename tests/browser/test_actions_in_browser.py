"""make browser-test: a stream that a person plays with buttons. A picture goes to outputs/browser/."""

import pytest
from labs import OUT
from test_studio_in_browser import open_lab, run_all

pytestmark = pytest.mark.browser
PLAYER = """
import pusa_lab as pl

pl.studio.ActionPlayer(pl.load("nano-actions", device="cpu"), "a red circle")
"""
STATUS = "[...document.querySelectorAll('.widget-html-content')].pop().textContent"


def test_play_and_press(page, lab):
    open_lab(page, lab, "actions", PLAYER)
    run_all(page)
    page.get_by_role("button", name="play", exact=True).click()
    page.wait_for_function(f"/[1-9]\\d* frames a second/.test({STATUS})")
    for name in ("left", "stop"):
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function(f"{STATUS}.startsWith('{name},')", polling=5)
    shown = page.locator(".widget-image").last.get_attribute("src")
    page.get_by_role("button", name="play", exact=True).click()
    page.locator(".jp-OutputArea-output").last.screenshot(path=OUT / "actions.png")
    assert shown and not page.problems and not page.strays
