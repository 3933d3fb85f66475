"""make browser-test: what the page refuses, and what it keeps then."""

import pytest
from playground_page import DONE, FEW, alert, link, run

pytestmark = pytest.mark.browser


def test_a_refused_caption_and_its_sentence_stay_until_it_is_mended(open_page):
    page = open_page(link())
    words, was = page.get_by_label("caption", exact=True), page.evaluate("playground.state")
    own = words.input_value()
    words.fill("a pink circle moves right")
    words.press("Enter")
    for change in (
        lambda: page.get_by_label("steps", exact=True).first.press("ArrowRight"),
        lambda: page.get_by_label("last frame given").check(),
        lambda: page.get_by_label("solver").select_option("heun"),
        lambda: page.locator("#go").click(),
    ):
        change()
        assert "unknown words in 'a pink circle moves right': pink" in alert(page)
        assert words.input_value() == "a pink circle moves right"
        assert words.get_attribute("aria-invalid") == "true"
    assert page.evaluate("playground.state.scene") == was["scene"]
    assert page.evaluate("playground.state.solver") == "heun", "other choices are taken"
    words.fill(own)
    words.press("Enter")
    assert not page.locator("#alert").is_visible()
    assert words.get_attribute("aria-invalid") is None
    run(page)

    words.fill("a pink circle moves right")
    words.press("Enter")
    page.get_by_label("direction of shape 1").select_option("left")
    assert "left" in words.input_value()
    assert not page.locator("#alert").is_visible(), "another caption was chosen"
    assert page.problems == []


def test_a_faulty_schedule_to_compare_with_is_told_as_that_and_is_not_taken_over(open_page):
    rows = [[1] * 8, [0.5] * 8, [0.5] * 4 + [0.75] + [0.5] * 3, [0] * 8]
    page = open_page(link(versus={"rows": rows}))
    faulty = "not a schedule: row 2, frame 4: 0.75 rises above the row before."
    assert alert(page) == f"the schedule to compare with: {faulty}"
    page.evaluate("hash => { location.hash = hash; }", link(schedule={"rows": rows}, seed=2))
    page.wait_for_function("playground.state.seed === 2")
    page.get_by_role("button", name="Compare with this one").click()
    assert alert(page) == f"Mend this schedule before it is compared with: {faulty}"
    assert page.evaluate("playground.state.versus") == FEW
    page.locator("#go").click()
    page.wait_for_function("want => document.querySelector('#alert').textContent === want", arg=faulty)
    page.get_by_role("button", name="Fix").first.click()
    page.get_by_role("button", name="Compare with this one").click()
    run(page)
    assert page.evaluate("playground.state.versus.rows[2][4]") == 0.5
    assert page.problems == []


@pytest.mark.parametrize("hash", ["#v1=@@@", "#v2=abc"])
def test_a_refused_link_leaves_the_address_of_what_is_kept(open_page, hash):
    page = open_page(link(seed=4))
    state = page.evaluate("playground.state")
    page.evaluate("hash => { location.hash = hash; }", hash)
    assert "What is in this page is kept" in alert(page)
    page.reload()
    page.wait_for_function(DONE)
    assert page.evaluate("playground.state") == state
    assert page.problems == []


def test_a_link_copied_at_the_first_visit_and_the_way_to_the_run(open_page):
    keep = "navigator.clipboard.writeText = async text => { globalThis.taken = text; };"
    page = open_page(before=f"Object.defineProperty(navigator, 'clipboard', {{ value: {{}} }}); {keep}")
    page.locator("summary").filter(has_text="Take it with you").click()
    page.get_by_role("button", name="Copy link").click()
    taken = page.wait_for_function("globalThis.taken").json_value()
    state, at = page.evaluate("playground.state"), page.url
    assert page.evaluate("location.hash") == "", "nothing was chosen yet"
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "run"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "go", "the next thing that can be pressed"
    assert page.url == at
    other = open_page("#" + taken.partition("#")[2])
    assert taken.partition("#")[2].startswith("v1=")
    assert other.evaluate("playground.state") == state
    assert page.problems == other.problems == []
