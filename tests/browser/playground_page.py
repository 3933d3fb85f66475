"""The page in which the toy runs, as its tests use it."""

import base64
import json

import numpy as np

DONE = "document.querySelector('#status').textContent.startsWith('done')"
FEW = {"name": "synchronous", "options": {"steps": 3}}
LINKED = {
    "scene": {
        "level": 0.12,
        "objects": [
            {"shape": "circle", "colour": "red", "direction": "right", "speed": "quickly", "x": 0.28, "y": 0.3},
        ],
    },
    "pixels": None,
    "caption": None,
    "given": {"first": True, "last": False, "noise": 0},
    "schedule": {"name": "pyramid", "options": {"steps": 3, "lag": 1, "shift": 1, "sigmas": "linear"}},
    "versus": FEW,
    "model": "nano-vta",
    "solver": "euler",
    "seed": 0,
    "guidance": 1,
}
"""A state of version 1, whose links must always open."""
AT_REST = "[...document.querySelectorAll('.explainer .go')].every(one => one.textContent !== 'Stop')"
CLIP = "one => [...playground.lanes[one].state.clip.data]"


def link(**more):
    """The part of an address that holds a state."""
    text = base64.urlsafe_b64encode(json.dumps(LINKED | more).encode()).decode().rstrip("=")
    return f"#v1={text}"


def follow(page, **more):
    """Open a link in the page, and run."""
    page.evaluate("hash => { location.hash = hash; }", link(**more))
    page.wait_for_function("want => playground.state.seed === want", arg=more["seed"])
    run(page)


def run(page):
    page.evaluate("document.querySelector('#status').textContent = ''")
    page.locator("#go").click()
    page.wait_for_function(f"{DONE} || !document.querySelector('#alert').hidden")
    assert not page.locator("#alert").is_visible(), page.locator("#alert").inner_text()


def alert(page):
    """The sentence that the page tells, which is on the screen wherever one has scrolled to."""
    page.locator("#alert").wait_for()
    box = page.locator("#alert").bounding_box()
    assert box["y"] >= 0, "above the screen"
    assert box["y"] + box["height"] <= page.viewport_size["height"], "below the screen"
    return page.locator("#alert").inner_text()


def same_as_python(page):
    """The frames of the page are those of its own line of Python."""
    names = {}
    page.wait_for_function("playground.python.includes(`seed=${playground.state.seed})`)")
    exec(page.evaluate("playground.python"), names)
    pixels = np.array(page.evaluate(CLIP, "A"), np.float32).reshape(3, 8, 16, 16).transpose(1, 2, 3, 0)
    off = np.abs((pixels.clip(-1, 1) + 1) * 127.5 - names["video"].astype(np.float32))
    assert names["video"].std() > 20, "there is something to see"
    assert off.max() <= 1.5, f"off by {off.max():.2f} of 255"
