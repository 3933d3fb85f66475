"""make browser-test: what a newcomer does with the page: stops it, drags its sliders, swipes, looks closely."""

import base64
from itertools import pairwise

import numpy as np
import pytest
from labs import OUT
from playground_page import AT_REST, CLIP, DONE, alert, link, run, same_as_python

pytestmark = pytest.mark.browser
LONG = {"name": "synchronous", "options": {"steps": 30}}
AT_ROW = """([row, stop]) => new Promise(done => {
  const said = document.querySelector(".lane .said");
  new MutationObserver((_, watch) => {
    if (!said.textContent.startsWith(`row ${row} `)) return;
    watch.disconnect();
    const key = new KeyboardEvent("keydown", { key: stop, bubbles: true });
    if (stop === "Escape") document.activeElement.dispatchEvent(key);
    else document.querySelector("#go").click();
    done([document.querySelector("#go").textContent, document.querySelector("#status").textContent]);
  }).observe(said, { childList: true });
  document.querySelector("#go").click();
})"""
"""Run, and stop as soon as a row is there."""
TOLD = "document.querySelector('.lane .said').textContent"
ROWS = "[...document.querySelectorAll('#run .film canvas')].map(one => one.toDataURL())"
SHOWN = """() => {
  const canvas = document.querySelector("#matrix canvas"), k = canvas.width / 460;
  const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { length } = playground.state.schedule.rows, h = (340 - 28) / length;
  const at = (r) => context.getImageData((34 + 8) * k, (6 + (r + 0.5) * h) * k, 1, 1).data;
  return Array.from({ length }, (_, r) => [...at(r)].join());
}"""
"""The colours of the matrix's first column."""
CLEAN, NOISE = "0,34,78,255", "254,232,56,255"


def test_a_run_is_stopped_and_the_next_one_is_right(open_page):
    page = open_page(link())
    page.evaluate("hash => { location.hash = hash; }", link(schedule=LONG, versus=LONG, seed=3))
    page.wait_for_function("playground.state.seed === 3")
    words, status = page.evaluate(AT_ROW, [4, "Escape"])
    assert (words, status.split(":")[0]) == ("Run", "stopped")
    sampled = page.evaluate(ROWS)
    run(page)
    assert sampled != page.evaluate(ROWS)
    same_as_python(page)
    assert page.evaluate(AT_ROW, [3, "button"])[0] == "Run"
    was = page.evaluate(ROWS)
    page.wait_for_timeout(300)
    assert page.evaluate(ROWS) == was, "what was sampled stays, and nothing is added"
    assert page.evaluate(TOLD) == "row 3 of 30"
    assert "stopped" in page.locator("#status").inner_text()
    page.get_by_label("guidance").press("ArrowRight")
    assert page.locator("#status").inner_text() == "changed: press Run"
    assert page.problems == []


def test_explainers_are_stopped_too(open_page):
    page = open_page(link())
    cards = page.locator(".explainer")
    for card in (cards.nth(3), cards.last):
        card.locator(".go").click()
        assert card.locator(".go").inner_text() == "Stop"
    cards.last.locator("p.soft").filter(has_text="of 3000 steps").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate(AT_REST)
    assert cards.locator("p.soft").filter(has_text="Stopped").count() == 2
    learned = cards.last.locator(".fields").inner_text()
    cards.last.locator(".go").click()
    cards.last.locator("p.soft").filter(has_text="of 3000 steps").wait_for()
    cards.last.locator(".go").click()
    assert cards.last.locator(".fields").inner_text() != learned, "it began anew"
    assert page.problems == []


def test_the_last_picture_that_is_given_is_seen(open_page):
    page = open_page(link())
    ending = page.locator("canvas[aria-label^='last picture']")
    assert not ending.is_visible()
    page.get_by_label("last frame given").check()
    assert "where “a red circle moves quickly right” ends" in page.locator(".ending").inner_text()
    page.get_by_role("button", name="Pencil").click()
    page.locator("canvas.first").click(position={"x": 200, "y": 40})
    assert "not from your own drawing" in page.locator(".ending").inner_text()
    page.get_by_label("colour of shape 1").select_option("green")
    run(page)
    seen = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 76, 76).data]"
    shown = np.array(ending.evaluate(seen)).reshape(76, 76, 4)
    middle = ((np.arange(16) + 0.5) * 76 / 16).astype(int)
    last = np.array(page.evaluate(CLIP, "A")).reshape(3, 8, 16, 16)[:, -1].transpose(1, 2, 0)
    assert np.abs(shown[middle][:, middle, :3] - (last + 1) * 127.5).max() <= 1, "what is seen is what was given"
    assert shown[..., 1].max() > 150, "a green shape, which was never drawn"
    same_as_python(page)
    page.screenshot(path=OUT / "playground-ends.png")
    assert page.problems == []


def test_given_frames_look_the_same_whether_or_not_the_matrix_is_sound(open_page):
    falling = [[1 - r / 5] * 8 for r in range(6)]
    page = open_page(link(schedule={"rows": falling}))
    assert page.evaluate(SHOWN) == [CLEAN] * 6
    faulty = [list(row) for row in falling]
    faulty[3][5] = 0.9
    faulty[2][0] = 0.95
    for rows, said in (
        (faulty, "no schedule yet"),
        ([[*row[:4], 0, *row[5:]] for row in falling], "frame 4 starts at 0"),
    ):
        page.evaluate("hash => { location.hash = hash; }", link(schedule={"rows": rows}))
        page.wait_for_function("said => document.querySelector('.facts').textContent.includes(said)", arg=said)
        assert page.evaluate(SHOWN) == [CLEAN] * 6
        assert "Frame 0 is given, which sets its column." in page.locator(".facts").inner_text()
    page.locator("#matrix canvas").focus()
    page.keyboard.press("f")
    assert alert(page) == "frame 0 is given, which sets its column: untick “first frame given” to draw it."
    page.locator("#matrix").get_by_role("button", name="Copy").click()
    page.get_by_label("frames to copy to").fill("0")
    page.locator("#matrix canvas").click(position={"x": 300, "y": 100})
    assert "frame 0 is given" in alert(page)
    page.get_by_label("first frame given").uncheck()
    assert page.evaluate(SHOWN)[0] == NOISE, "its own column is as it was"
    page.locator("#matrix canvas").focus()
    for _ in range(7):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("f")
    assert page.evaluate(SHOWN) == [CLEAN] * 6
    assert page.problems == []


def test_copies_are_of_what_is_seen(open_page):
    page = open_page(link(schedule={"rows": [[1 - r / 5] * 8 for r in range(6)]}))
    page.locator("#matrix").get_by_role("button", name="Copy").click()
    page.get_by_label("frames to copy to").fill("0, 7")
    page.locator("#matrix canvas").click(position={"x": 50, "y": 100})
    rows = page.evaluate("playground.state.schedule.rows")
    assert [row[7] for row in rows] == [0] * 6
    assert [row[0] for row in rows] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0]), "a given frame's own column is kept"


COUNTED = """(() => {
  const write = history.replaceState;
  globalThis.writings = [];
  history.replaceState = function (...given) { writings.push(performance.now()); return write.apply(this, given); };
})()"""
SLIDE = """count => {
  const range = document.querySelector("[aria-label='text guidance']");
  for (let n = 0; n < count; n++) {
    range.value = 1 + (n % 9) / 2;
    range.dispatchEvent(new Event("input"));
  }
  return playground.state;
}"""


def test_the_address_is_written_seldom_and_holds_the_last_state(open_page):
    page = open_page(link(), before=COUNTED)
    for count in (150, 60, 33):
        state = page.evaluate(SLIDE, count)
        page.wait_for_timeout(150)
    page.wait_for_function("was => location.hash.length > 4 && location.hash !== was", arg=link())
    page.wait_for_timeout(500)
    at = page.evaluate("writings")
    assert 1 <= len(at) < 243, "as many changes"
    assert all(b - a > 390 for a, b in pairwise(at)), "browsers allow 100 in 30 s"
    assert open_page("#" + page.url.partition("#")[2]).evaluate("playground.state") == state

    other = page.evaluate(SLIDE, 12)
    page.evaluate(SLIDE, 13)
    last = page.evaluate(f"() => {{ const state = ({SLIDE})(14); location.reload(); return state; }}")
    page.wait_for_function(f"globalThis.playground && {DONE}")
    assert other != last
    assert page.evaluate("playground.state") == last, "a reload in the midst keeps it"
    page.evaluate(SLIDE, 15)
    state = page.evaluate(SLIDE, 16)
    page.goto("about:blank")
    page.go_back()
    page.wait_for_function(f"globalThis.playground && {DONE}")
    assert page.evaluate("playground.state") == state, "and so does a walk away and back"

    page.evaluate(SLIDE, 17)
    page.evaluate(f"hash => {{ ({SLIDE})(18); location.hash = hash; }}", link(seed=77))
    page.wait_for_function("playground.state.seed === 77")
    page.wait_for_timeout(500)
    assert page.evaluate("playground.state.seed") == 77, "a link that is opened meanwhile is not written over"
    assert page.url.endswith(link(seed=77))
    assert page.problems == []


def test_garbage_in_the_address_and_an_empty_field_are_told(open_page):
    page = open_page("#garbage")
    assert alert(page).startswith(
        "The address ends in “#garbage”, which holds nothing for this page: a link from “Copy"
    )
    run(page)
    page.get_by_label("seed", exact=True).fill("12")
    page.get_by_label("seed", exact=True).press("Enter")
    for given, said in (
        ("", "The seed is not a number: give"),
        ("1.5", "seed=1.5: give"),
        ("3000000000", "seed=3000000000: give"),
    ):
        page.get_by_label("seed", exact=True).fill(given)
        page.get_by_label("seed", exact=True).press("Enter")
        assert alert(page) == f"{said} a whole number below 2,147,483,648. The seed is still 12."
        assert page.evaluate("playground.state.seed") == 12
        assert page.get_by_label("seed", exact=True).input_value() == "12"
    page.locator("#matrix").get_by_role("button", name="Paint").click()
    assert "the level in the field" in page.locator("#matrix").inner_text()
    for given in ("", "7", "-1"):
        page.get_by_label("level to paint").fill(given)
        page.get_by_label("level to paint").press("Enter")
        assert "give a number from 0, clean, to 1, noise. The level is still 0.5." in alert(page)
        assert page.get_by_label("level to paint").input_value() == "0.5"
    assert page.problems == []


def test_the_page_is_as_light_as_was_chosen_on_the_site(open_page):
    page = open_page(link(), scheme="dark", before="localStorage.theme ??= 'light'")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark, light = "rgb(14, 19, 26)", "rgb(245, 246, 248)"
    assert page.evaluate(ground) == light
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for chosen, want in (("dark", dark), ("light", light), ("auto", dark if scheme == "dark" else light)):
            page.evaluate("to => { localStorage.theme = to; dispatchEvent(new StorageEvent('storage')); }", chosen)
            assert page.evaluate(ground) == want, "also if it is chosen in another tab"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{ground} === '{light}'")
    assert page.problems == []


WIDER = """[...document.querySelectorAll("body *")]
  .filter(one => one.getBoundingClientRect().right > 320.5).map(one => one.outerHTML.slice(0, 80))"""
PHONE = {"width": 320, "is_mobile": True, "has_touch": True}
RESTING = """(() => {
  const [start, stop, waiting] = [setTimeout, clearTimeout, new Map()];
  let last = 0;
  globalThis.setTimeout = (run, ms, ...more) =>
    ms === 350 ? (waiting.set(`rest ${++last}`, run), `rest ${last}`) : start(run, ms, ...more);
  globalThis.clearTimeout = (name) => { waiting.delete(name); stop(name); };
  globalThis.rest = () => {
    const each = [...waiting.values()];
    waiting.clear();
    each.forEach(run => run());
    return each.length;
  };
})();"""
"""A finger has rested when the test says so, and not when a busy machine happens to be late."""


class Finger:
    """A finger on the screen, whose touches the browser itself makes into scrolling."""

    def __init__(self, page):
        self.page, self.session = page, page.context.new_cdp_session(page)

    def touch(self, kind, *points):
        self.session.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        )

    def swipe(self, x, y, dx, dy, rest=False):
        """Set the finger down at (x, y), perhaps rest, go (dx, dy), and lift it."""
        self.touch("touchStart", (x, y))
        if rest:
            self.page.wait_for_function("rest() > 0")
        for k in range(1, 13):
            self.touch("touchMove", (x + dx * k / 12, y + dy * k / 12))
            self.page.wait_for_timeout(16)
        self.touch("touchEnd")
        self.page.wait_for_timeout(100)


@pytest.mark.parametrize(("where", "part"), [("#matrix canvas", "schedule"), ("canvas.first", "scene")])
def test_a_finger_scrolls_up_and_down_and_edits_sideways_or_after_a_rest(open_page, where, part):
    page = open_page(link(), before=RESTING, **PHONE)
    finger, canvas = Finger(page), page.locator(where)
    kept = f"JSON.stringify(playground.state.{part})"

    def at(right, down):
        page.evaluate(
            "where => document.querySelector(where).scrollIntoView({ block: 'center', behavior: 'instant' })", where
        )
        box = canvas.bounding_box()
        return box["x"] + right * box["width"], box["y"] + down * box["height"]

    was, (x, y), top = page.evaluate(kept), at(0.6, 0.8), page.evaluate("scrollY")
    finger.swipe(x, y, 3, -120)
    page.wait_for_function(f"scrollY > {top + 60}")  # it scrolls
    assert page.evaluate(kept) == was, "a swipe upwards edits nothing"
    for dx, dy, rest in ((70, 4, False), (2, -70, True)):
        x, y = at(0.4, 0.7)
        top = canvas.bounding_box()["y"]
        finger.swipe(x, y, dx, dy, rest)
        page.wait_for_function(f"was => {kept} !== was", arg=was)
        # Lines above may grow by a pixel meanwhile, for which the browser scrolls; a swipe has 70.
        assert canvas.bounding_box()["y"] == pytest.approx(top, abs=2), "the page stays where it is"
        was = page.evaluate(kept)
    page.touchscreen.tap(*at(0.85, 0.5))
    page.wait_for_function(f"was => {kept} !== was", arg=was)
    assert page.problems == []


def test_a_finger_with_the_pencil_draws(open_page):
    page = open_page(link(), **PHONE)
    page.get_by_role("button", name="Pencil").tap()
    page.get_by_label("colour of the pencil").select_option("yellow")
    page.evaluate("document.querySelector('canvas.first').scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = page.locator("canvas.first").bounding_box()
    Finger(page).swipe(box["x"] + 202, box["y"] + 220, 0, -180)
    drawn = np.frombuffer(base64.b64decode(page.evaluate("playground.state.pixels")), np.uint8).reshape(3, 16, 16)
    column = drawn[0, :, 13]
    assert column[14] == column[5] == max(column) > column[0], "from row 14 up"
    assert page.locator("canvas.first").bounding_box()["y"] == pytest.approx(box["y"], abs=2), "the page stays"
    assert page.problems == []


def test_nothing_is_wider_than_the_smallest_phone(open_page):
    page = open_page(link(given={"first": True, "last": True, "noise": 0.1}, caption="red blue circle"), **PHONE)
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [320, 320]
    for name in ("blockwise", "two_sided", "synchronous"):
        for label in ("schedule", "schedule to compare with"):
            page.get_by_label(label, exact=True).select_option(name)
        assert page.evaluate(WIDER) == []
    page.locator("summary").tap()
    page.locator("#matrix").get_by_role("button", name="Paint").tap()
    page.get_by_role("button", name="Pencil").tap()
    page.get_by_role("button", name="+ a second shape").tap()
    assert page.get_by_text("rest until it is held").first.is_visible()
    for button in page.locator(".explainer .go").all():
        button.tap()
    page.wait_for_function("document.querySelectorAll('.explainer .lane .said').length === 7")
    page.wait_for_function("[...document.querySelectorAll('.explainer .stage')].every(one => one.children.length)")
    assert page.evaluate(WIDER) == []
    page.keyboard.press("Escape")
    assert page.evaluate(AT_REST)
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [320, 320]
    page.screenshot(path=OUT / "playground-320.png", full_page=True)
    assert page.problems == []
