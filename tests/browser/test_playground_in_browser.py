"""make browser-test: the page in which the toy runs, opened from a folder on disk. Pictures go to outputs/browser/."""

import base64
import shutil

import numpy as np
import pytest
from labs import OUT
from playground_page import AT_REST, CLIP, DONE, alert, follow, link, run, same_as_python

pytestmark = pytest.mark.browser
MEANWHILE = """() => {
  document.querySelector("#go").click();
  const seed = document.querySelector("[aria-label=seed]");
  seed.value = 5;
  seed.dispatchEvent(new Event("change"));
}"""
"""Run, and ask for other noise before a row is there."""


def test_it_runs_without_a_network_and_makes_the_frames_that_python_makes(open_page):
    page = open_page()
    same_as_python(page)
    seen = {"A": page.evaluate(CLIP, "A"), "B": page.evaluate(CLIP, "B")}
    assert seen["A"] != seen["B"], "another schedule from the same noise is another video"
    page.screenshot(path=OUT / "playground.png", full_page=True)

    drawn = [[[1, 1, 0.6, 0.3, 0][max(r - i // 3, 0)] for i in range(8)] for r in range(5)] + [[0] * 8]
    drawn[3][5] = 0.55
    given = {"first": True, "last": True, "noise": 0.2}
    follow(page, seed=7, schedule={"rows": drawn}, solver="heun", guidance=3, given=given)
    same_as_python(page)
    pixels = base64.b64encode(bytes(range(256)) * 3).decode()
    none = {"first": True, "last": False, "noise": 0}
    follow(page, seed=8, schedule={"name": "rolling", "options": {"steps": 5, "window": 3}}, pixels=pixels, given=none)
    same_as_python(page)
    assert "truth is not known" in page.locator(".lane").first.inner_text()
    follow(page, seed=-3, model="nano-base", guidance=1, pixels=None, caption="red red circle", given=none)
    same_as_python(page)
    assert page.strays == []
    assert page.problems == []


def test_explainers_run(open_page):
    page = open_page(link(), scheme="dark")
    *four, training = page.locator(".explainer .go").all()
    for button in four:
        button.click()
    page.wait_for_function(AT_REST)
    assert page.locator(".explainer .lane").count() == 7
    assert page.locator(".explainer .lane b").count() == 7, "every run ended, with its PSNR"
    near = [float(one.split()[1]) for one in page.locator(".explainer .lane b").all_inner_texts()]
    assert near[0] > near[1] + 3, "the picture leads to the truth"
    assert near[3] > near[2] + 3, "the adapted model reads it, the base does not"
    noisy, first, both = (losses(page, name) for name in ("all frames at 0.8", "frame 0 clean", "both ends clean"))
    assert all(b < 0.8 * a for a, b in zip(noisy[1:], first[1:], strict=True)), "a clean frame makes all others easier"
    assert all(b < a for a, b in zip(first[1:-1], both[1:-1], strict=True)), "and a second one makes them easier still"
    training.click()
    steps = page.locator(".explainer").last.locator("p.soft")
    steps.filter(has_text="of 3000 steps").wait_for()
    assert len(set(page.locator(".fields figure canvas").evaluate_all("all => all.map(one => one.toDataURL())"))) == 3
    assert "off by" in page.locator(".fields").inner_text()
    page.screenshot(path=OUT / "playground-dark.png", full_page=True)
    assert page.strays == page.problems == []


def losses(page, name):
    """Each frame's loss in the first explainer with timesteps that have a name; None for a clean frame."""
    card = page.locator(".explainer").first
    card.get_by_role("button", name=name, exact=True).click()
    card.locator(f"canvas[aria-label^='{name}:']").wait_for()
    told = card.locator("canvas").get_attribute("aria-label").rpartition("frame: ")[2]
    return [None if word == "clean" else float(word) for word in told.split(", ")]


def test_keyboard_alone_on_a_narrow_screen_and_a_reload(open_page):
    page = open_page(link(), width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Tab")
    reach(page, "first picture")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("playground.state.scene.objects[0].x") == pytest.approx(0.31)
    reach(page, "colour of shape 1")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("playground.state.scene.objects[0].colour") == "green"
    assert page.evaluate("document.activeElement.ariaLabel") == "colour of shape 1", "the focus stays where it was"
    reach(page, "schedule: arrows move")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "-", "-"):
        page.keyboard.press(key)
    page.wait_for_function("playground.state.schedule.rows")
    assert page.evaluate("playground.state.schedule.rows[1][2]") == pytest.approx(0.9)
    page.get_by_role("button", name="Compare with this one").press("Enter")
    assert page.evaluate("playground.state.versus.rows[1][2]") == pytest.approx(0.9)
    reach(page, "schedule: arrows move")
    rows = page.evaluate("playground.state.schedule.rows")
    for key in ("Control+-", "Control+f", "Alt+ArrowLeft"):
        page.locator("#matrix canvas").dispatch_event("keydown", pressed(key))
    assert page.evaluate("playground.state.schedule.rows") == rows, "keys of the browser are left to it"
    page.keyboard.press("Control+z")
    page.wait_for_function("Math.abs(playground.state.schedule.rows?.[1][2] - 0.95) < 1e-6")
    page.evaluate("document.querySelector('#status').textContent = ''")
    reach(page, "", "go")
    page.keyboard.press("Enter")
    page.wait_for_function(DONE)
    state, clip = page.evaluate("playground.state"), page.evaluate(CLIP, "A")
    page.screenshot(path=OUT / "playground-390.png", full_page=True)
    page.reload()
    page.wait_for_function(DONE)
    assert page.evaluate("playground.state") == state, "a reload keeps what was chosen"
    assert page.evaluate(CLIP, "A") == clip, "and the same link makes the same video"
    assert page.strays == page.problems == []


def pressed(key):
    """What a page hears of a key that the browser itself may act on."""
    *held, last = key.split("+")
    return {"key": last, "ctrlKey": "Control" in held, "altKey": "Alt" in held, "bubbles": True, "cancelable": True}


def reach(page, label, id=""):
    """Press Tab until the focus is on what is so labelled."""
    for _ in range(60):
        at = page.evaluate("[document.activeElement.ariaLabel || '', document.activeElement.id]")
        if (label and at[0].startswith(label)) or (id and at[1] == id):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {label or id}")


def test_bad_input_is_one_sentence_and_nothing_is_lost(open_page):
    page = open_page(link())
    was = page.evaluate("playground.state")
    page.get_by_label("caption", exact=True).fill("a pink elephant moves right")
    page.get_by_label("caption", exact=True).press("Enter")
    assert "unknown words" in alert(page)
    assert "pink, elephant" in alert(page)
    assert page.get_by_label("caption", exact=True).input_value() == "a pink elephant moves right", "it can be mended"
    assert page.evaluate("playground.state") == was

    rows = page.evaluate("playground.lanes.A.state.schedule")
    for r, row in enumerate(rows):
        row[0] = 1 - r / (len(rows) - 1)
    rows[5][4] = 0.1
    page.evaluate("hash => { location.hash = hash; }", link(schedule={"rows": rows}))
    page.wait_for_function("playground.state.schedule.rows")
    page.locator("#go").click()
    assert "row 6, frame 4: 0.3333 rises above the row before" in alert(page)
    page.get_by_role("button", name="Fix").first.click()
    page.wait_for_function("document.querySelectorAll('.fault').length === 0")
    run(page)

    kept = page.evaluate("playground.state")
    for hash, said in {
        "#v9=abc": "made by version 9 of the page, and this is version 1. What is in this page is kept",
        "#v1=@@@": "damaged, or was cut off. What is in this page is kept",
        link(seed="1"): "odd seed. What is in this page is kept",
        link(schedule={"name": "hold", "options": {"at": 5}}): "odd schedule. What is in this page is kept",
        link(schedule={"name": "rolling", "options": {"window": 4}}): "odd schedule. What is in this page is kept",
        link(schedule={"name": "pyramid", "options": {"steps": 0}}): "",
    }.items():
        page.evaluate("hash => { location.hash = hash; }", hash)
        if said:
            assert said in alert(page)
            assert page.evaluate("playground.state") == kept
    page.locator("#go").click()
    assert "steps=0: give a whole number of steps" in alert(page)
    assert page.problems == []


def test_what_a_hand_does(open_page):
    """It drags a column while the page stays where it is, draws a picture, and changes its mind during a run."""
    page = open_page(link(schedule={"name": "pyramid", "options": {"steps": 3}}))
    assert "undefined" not in page.locator("#matrix").inner_text(), "a link may leave out what is as usual"
    canvas = page.locator("#matrix canvas")
    before, box = page.evaluate("playground.lanes.A.state.schedule"), canvas.bounding_box()
    x = box["x"] + box["width"] * 0.62
    page.mouse.move(x, box["y"] + 60)
    page.mouse.down()
    for down in (100, 140, 180):
        page.mouse.move(x, box["y"] + down)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    page.mouse.up()
    page.wait_for_function("playground.state.schedule.rows")
    assert canvas.bounding_box() == box, "nothing moves under the hand"
    rows = page.evaluate("playground.state.schedule.rows")
    assert [i for i in range(1, 8) if any(a[i] != b[i] for a, b in zip(rows, before, strict=True))] == [4]

    page.locator("#matrix").get_by_role("button", name="Freeze").click()
    page.mouse.click(x, box["y"] + 60)
    page.locator("#go").click()
    assert "frame 4 starts at 0, but nothing is known of it: let it start at 1; here only the first" in alert(page)
    page.get_by_label("undo", exact=True).click()

    page.get_by_label("first frame given").uncheck()
    page.get_by_role("button", name="Pencil").click()
    page.get_by_label("colour of the pencil").select_option("yellow")
    paper = page.locator("canvas.first").bounding_box()
    page.mouse.move(paper["x"] + 7, paper["y"] + 7)
    page.mouse.down()
    page.mouse.move(paper["x"] + 232, paper["y"] + 232)
    page.mouse.up()
    drawn = np.frombuffer(base64.b64decode(page.evaluate("playground.state.pixels")), np.uint8).reshape(3, 16, 16)
    stroke = drawn.diagonal(axis1=1, axis2=2)
    assert (stroke == stroke[:, :1]).all(), "a quick stroke leaves no gaps"
    assert page.evaluate("playground.state.given.first"), "who draws a picture gives it"
    page.get_by_label("direction of shape 1").select_option("left")
    page.get_by_role("button", name="Pencil").click()
    page.mouse.click(paper["x"] + 120, paper["y"] + 120)
    kept = base64.b64decode(page.evaluate("playground.state.pixels"))
    assert kept == drawn.tobytes(), "no other choice takes a drawing away"
    page.screenshot(path=OUT / "playground-drawn.png")
    page.get_by_role("button", name="Clear drawing").click()
    assert page.evaluate("playground.state.pixels") is None

    page.get_by_label("caption", exact=True).fill("a red   dog")
    page.locator("#go").click()
    assert "unknown words" in alert(page), "what stands in the field is what would run"
    page.get_by_label("caption", exact=True).fill("A red circle moves up,a blue  square moves left")
    page.get_by_label("caption", exact=True).press("Enter")
    page.evaluate(MEANWHILE)
    page.wait_for_function(DONE)
    assert page.evaluate("playground.state.scene.objects.length") == 2
    assert "changed meanwhile" in page.locator("#status").inner_text()
    assert page.problems == []


def test_without_webassembly_or_a_file_the_page_says_so(open_page, folder, tmp_path):
    page = open_page(link(), before="delete globalThis.WebAssembly")
    assert "no WebAssembly, which the model needs" in alert(page)
    assert page.locator("#matrix canvas").is_visible()
    page.get_by_label("steps", exact=True).first.press("ArrowRight")
    assert page.evaluate("playground.state.schedule.options.steps") == 4, "what needs no model works"
    for card in page.locator(".explainer").all()[:4]:
        card.locator(".go").click()
        assert "no WebAssembly" in alert(page)
        assert card.get_by_role("status").inner_text() == "", "nothing is being loaded any more"
    for name in ("index.html", "playground.css", "playground.js", "runtime.js"):
        shutil.copy(folder / name, tmp_path)
    assert "nano-vta.js does not lie beside this page" in alert(open_page(where=tmp_path))
