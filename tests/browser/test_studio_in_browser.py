"""make browser-test: the studio as a person meets it, once for each face. Pictures go to outputs/browser/."""

import json
import re

import pytest
from labs import OUT

pytestmark = pytest.mark.browser
ZOO = "select[aria-label='member of the zoo']"
STATUS = "document.querySelector('.ps-status').textContent"

SETUP = """
import json, pathlib
import small_models
from pusa_lab.data import read_clip
from pusa_lab.studio import ScheduleStudio
from pusa_lab.studio.session import ASSETS

truth = read_clip(ASSETS / "clip.mp4")[:, ::4, ::4]
studio = ScheduleStudio(small_models.load("mini-vta", device="cpu"), frames=9, steps=6, truth=truth,
                        prompt=(ASSETS / "caption.txt").read_text().strip())
studio
"""
PLAIN = """
import json, os
os.environ["PUSA_LAB_WIDGETS"] = "plain"
import small_models
from pusa_lab.data import read_clip
from pusa_lab.studio import ScheduleStudio
from pusa_lab.studio.session import ASSETS

truth = read_clip(ASSETS / "clip.mp4")[:8, ::16, ::16]
studio = ScheduleStudio(small_models.load("nano-vta", device="cpu"), frames=8, steps=10, truth=truth,
                        prompt="a red circle moves right")
studio
"""
TOLD = """
print("state", json.dumps({"schedule": studio.schedule.tolist(), "lanes": {k: [v.seconds, len(v.sheets)]
      for k, v in studio.results.items()}, "line": studio.line, "error": studio.session.error}))
"""


def open_lab(page, lab, name, *cells, theme="JupyterLab Light"):
    lab.set("themes", theme=theme)
    lab.write(name, *cells)
    page.goto(lab.address.format(name))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_function("document.querySelector('#jp-main-statusbar').innerText.includes('Idle')")


def run_all(page):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def ask(page):
    """What the kernel holds, from its last cell."""
    last = page.locator(".jp-Notebook .jp-CodeCell").last
    count = last.locator(".jp-InputPrompt").first.inner_text()
    last.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "before => { const p = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].pop().innerText;"
        " return p !== before && /\\d/.test(p); }",
        arg=count,
    )
    text = last.locator(".jp-OutputArea-output").inner_text()
    return json.loads(re.search(r"state (\{.*\})", text, re.S)[1].replace("\n", ""))


def picture(page, name, box=None):
    (page.locator(box).first if box else page).screenshot(path=OUT / f"{name}.png")


def test_draw_run_and_reload(page, lab):
    open_lab(page, lab, "canvas", SETUP, TOLD)
    run_all(page)
    matrix = page.locator("canvas.ps-matrix")
    matrix.wait_for()
    page.locator(ZOO).select_option("pyramid")
    page.wait_for_function("document.querySelector('.ps-facts').textContent.includes('14 denoiser calls')")
    before, box = ask(page), matrix.bounding_box()
    assert before["line"].startswith("pl.schedules.pyramid(steps=6, frames=9, lag=1")
    heights = [page.locator(".ps").first.bounding_box()["height"]]

    matrix.scroll_into_view_if_needed()
    box = matrix.bounding_box()
    x = box["x"] + 34 + (460 - 38) * 5.3 / 9
    page.mouse.move(x, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 160, steps=6)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.ps select').value === ''")
    dragged = ask(page)
    moved = [i for i in range(9) if [r[i] for r in dragged["schedule"]] != [r[i] for r in before["schedule"]]]
    assert moved == [5], "one column was dragged, and the kernel's tensor changed there only"
    page.locator(".ps [aria-label=undo]").click()
    page.wait_for_function("document.querySelector('.ps select').value === 'pyramid'")
    assert ask(page)["schedule"] == before["schedule"]
    page.locator(".ps [aria-label=redo]").click()
    page.wait_for_function("document.querySelector('.ps select').value === ''")

    keyboard(page, matrix)
    heights.append(page.locator(".ps").first.bounding_box()["height"])
    picture(page, "studio", ".ps")
    page.get_by_role("button", name="Fix").first.click()
    page.wait_for_function("document.querySelector('.ps-faults').textContent === 'no faults'")

    matrix.focus()
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    page.locator(".ps button", has_text="Add").click()
    page.wait_for_function("document.querySelector('.ps-given').textContent.includes('image to video')")
    page.locator(".ps .ps-go").click()
    page.wait_for_function(f"{STATUS}.startsWith('done')")
    heights.append(page.locator(".ps").first.bounding_box()["height"])
    assert max(heights) == min(heights), "nothing on the page jumps"
    picture(page, "studio-run", ".ps")
    state = ask(page)
    assert state["error"] == ""
    assert state["lanes"]["A"][1] == len(state["schedule"]), "every row has its picture"

    page.locator(".ps button", has_text="Pin as B").click()
    page.locator(ZOO).select_option("synchronous")
    page.locator(".ps button", has_text="Compare").click()
    page.wait_for_function(f"/^done: A in .*, B in/.test({STATUS})")
    picture(page, "studio-compare", ".ps")
    state = ask(page)
    assert state["line"].startswith("pl.schedules.synchronous(")

    save_and_reload(page)
    page.wait_for_selector("canvas.ps-matrix")
    page.wait_for_function("document.querySelector('.ps select').value === 'synchronous'")
    page.wait_for_function("document.querySelectorAll('.ps-strip:not([hidden])').length === 2")
    assert ask(page) == state, "a reload loses nothing"
    assert page.strays == page.problems == []


def save_and_reload(page):
    with page.expect_response(lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url):
        page.keyboard.press("Control+s")
    page.reload()


def keyboard(page, matrix):
    """Arrows move, minus lowers a level, and painting upwards makes a fault that is shown where it is."""
    matrix.focus()
    start = ask_at(matrix)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert ask_at(matrix) != start
    page.locator(".ps button", has_text="Paint").click()
    matrix.focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    for _ in range(12):
        page.keyboard.press("-")
        if page.locator(".ps-fault").count():
            break
    page.wait_for_function("document.querySelectorAll('.ps-fault').length >= 1")


def ask_at(matrix):
    return matrix.get_attribute("aria-description")


def test_sliders_run_and_reload(page, lab):
    """The face without anywidget, with a second studio on the page."""
    open_lab(page, lab, "sliders", PLAIN, "other = ScheduleStudio(frames=5, steps=6)\nother", TOLD)
    run_all(page)
    page.locator(".jp-OutputArea-output .widget-vbox").first.wait_for()
    page.locator(".jp-OutputArea-output img.widget-image").nth(1).wait_for()
    page.locator(".widget-dropdown select").first.select_option("pyramid")
    page.wait_for_function("document.body.innerText.includes('17 denoiser calls')")
    before = ask(page)
    page.get_by_role("button", name="drag", exact=True).first.click()
    page.wait_for_function("[...document.querySelectorAll('.widget-dropdown select')][0].value === '(edited)'")
    dragged = ask(page)
    moved = [i for i in range(8) if [r[i] for r in dragged["schedule"]] != [r[i] for r in before["schedule"]]]
    assert moved == [0]
    page.get_by_role("button", name="undo", exact=True).first.click()
    page.wait_for_function("[...document.querySelectorAll('.widget-dropdown select')][0].value === 'pyramid'")
    page.get_by_role("button", name="run", exact=True).first.click()
    page.wait_for_function("document.body.innerText.includes('done: A in')")
    state = ask(page)
    assert state["lanes"]["A"][1] == len(state["schedule"])
    picture(page, "plain", ".jp-OutputArea-output .widget-vbox")
    save_and_reload(page)
    page.wait_for_selector(".jp-OutputArea-output .widget-vbox")
    page.wait_for_function("document.body.innerText.includes('17 denoiser calls')")
    assert ask(page) == state, "a reload loses nothing"
    picture(page, "plain-reloaded", ".jp-OutputArea-output .widget-vbox")
    assert page.strays == page.problems == []


def test_two_studios_and_a_kernel_that_ends(page, lab):
    two = "from pusa_lab.studio import ScheduleStudio\nstudio = ScheduleStudio(frames=5, steps=6)\nstudio"
    other = two.replace("studio =", "other =").replace("\nstudio", "\nother")
    open_lab(page, lab, "two", two, other, theme="JupyterLab Dark")
    run_all(page)
    page.locator("canvas.ps-matrix").nth(1).wait_for()
    page.locator(".ps button", has_text="Freeze").first.click()
    box = page.locator("canvas.ps-matrix").first.bounding_box()
    page.mouse.click(box["x"] + 100, box["y"] + 100)
    page.wait_for_function("document.querySelectorAll('.ps select')[0].value === ''")
    assert page.locator(ZOO).nth(1).input_value() == "synchronous"
    assert page.evaluate("document.body.dataset.jpThemeLight") == "false"
    picture(page, "studio-dark", ".ps")
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    page.wait_for_function("document.querySelector('#jp-main-statusbar').innerText.includes('No Kernel')")
    page.mouse.click(box["x"] + 200, box["y"] + 100)
    page.wait_for_function("document.querySelector('.ps-error').textContent.includes('does not answer')")
    assert page.locator("canvas.ps-matrix").first.is_visible(), "what was drawn is still there"
    picture(page, "kernel-gone", ".ps")
