"""make browser-test: the studio's page with a kernel that answers late, without JupyterLab."""

import pytest

from pusa_lab.studio.session import Session
from pusa_lab.studio.studio import STATIC

pytestmark = pytest.mark.browser

OPEN = """async ([source, view]) => {
  const face = (await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })))).default;
  const state = { kind: "studio", view, lanes: {} }, told = {};
  window.sent = [];
  window.answer = (next) => { state.view = next; told["change:view"](); };
  const model = { get: (name) => state[name], on: (name, call) => { told[name] = call; }, off: () => {},
                  send: (message) => window.sent.push(message) };
  face.render({ model, el: document.body });
}"""


def test_an_answer_to_an_older_key_takes_no_newer_one_back(page):
    session = Session(frames=5, steps=6)
    page.goto("about:blank")
    page.evaluate(OPEN, [(STATIC / "studio.js").read_text(), session.view() | {"heard": {}}])
    page.locator(".ps button", has_text="Paint").click()
    matrix = page.locator("canvas.ps-matrix")
    matrix.focus()
    for _ in range(3):
        page.keyboard.press("-")
    sent = page.evaluate("window.sent")
    assert [round(message["level"], 2) for message in sent] == [0.95, 0.9, 0.85]

    def carry_out(message):
        about = {name: message.pop(name) for name in ("page", "number")}
        session.do(message)
        page.evaluate("view => window.answer(view)", session.view() | {"heard": about})
        return matrix.get_attribute("aria-description")

    first, second, third = sent
    assert carry_out(first) == "row 0, frame 0, tau 0.85", "the answer to the first key knows nothing of the third"
    page.keyboard.press("-")
    assert page.evaluate("window.sent").pop()["level"] == pytest.approx(0.8), "the next key goes on from there"
    carry_out(second)
    carry_out(third)
    assert carry_out(page.evaluate("window.sent").pop()) == "row 0, frame 0, tau 0.80"
    session.do({"do": "undo"})
    other = {"page": "another", "number": 99}
    page.evaluate("view => window.answer(view)", session.view() | {"heard": other})
    assert matrix.get_attribute("aria-description") == "row 0, frame 0, tau 0.85", "nothing is on its way any more"
    assert page.problems == []
