"""Take the pictures of the studio that chapter 11 and docs/studio.md show.

    python notebooks/assets/studio_pictures.py [name ...]

A JupyterLab of its own opens three notebooks, one for each stage of the chapter's story, and Debian's chromium takes
their pictures.
"""

import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]

from labs import Lab  # noqa: E402
from servers import free_port, serving  # noqa: E402

START = """
import small_models
from pusa_lab.data import read_clip
from pusa_lab.studio import ScheduleStudio
from pusa_lab.studio.session import ASSETS

studio = ScheduleStudio(small_models.load("mini-vta", device="cpu"), frames=9, steps=10,
                        truth=read_clip(ASSETS / "clip.mp4")[:, ::4, ::4],
                        prompt=(ASSETS / "caption.txt").read_text().strip())
studio.act(do="load", name="pyramid", arguments={"steps": 10, "lag": 1})
"""
EARLY = 'studio.act(do="edit", kind="drag", frame=8, row=4, level=0.0)\n'
FAULT = 'studio.act(do="edit", kind="paint", frames=[6], rows=[12], level=0.9)\n'
RUN = 'studio.act(do="drop", name="still.png", at=0)\nstudio.run()\n'
COMPARE = """
studio.act(do="pin")
studio.act(do="undo")
studio.act(do="edit", kind="copy", frame=0, to=[8])
studio.run(compare=True)
"""
STORY = {
    "studio": START + EARLY + FAULT,
    "studio-run": START + EARLY + RUN,
    "studio-compare": START + EARLY + RUN + COMPARE,
}


QUIET = '{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}'


def main(names: list[str]) -> None:
    """Write the named pictures, or all of studio.png, studio-run.png and studio-compare.png."""
    port, token = free_port(), secrets.token_hex(16)
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"]
    words += ["--ServerApp.port_retries=0", "--no-browser", "--allow-root", "--LabApp.news_url=None"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        for name, code in STORY.items():
            Lab("", Path(folder)).write(name, code + "studio")
        quiet = Path(folder) / "s" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        quiet.parent.mkdir(parents=True)
        quiet.write_text(QUIET)
        own = {"JUPYTERLAB_SETTINGS_DIR": f"{folder}/s"}
        own |= {
            "PYTHONPATH": str(ROOT),
            "JUPYTER_CONFIG_DIR": f"{folder}/c",
            "JUPYTERLAB_WORKSPACES_DIR": f"{folder}/w",
        }
        with serving([*words, f"--ServerApp.root_dir={folder}"], port, Path(folder) / "log", Path(folder), **own):
            chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name in names or STORY:
                address = f"http://127.0.0.1:{port}/lab/workspaces/{name}/tree/{name}.ipynb?token={token}"
                take(chromium, address, HERE / f"{name}.png")


def take(chromium: Browser, address: str, target: Path) -> None:
    """Run the notebook at an address, and take the picture of its studio."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1500})
    page.set_default_timeout(300_000)
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_function("document.querySelector('#jp-main-statusbar').innerText.includes('Idle')")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_selector("canvas.ps-matrix")
    page.wait_for_timeout(3000)
    page.locator(".ps").first.screenshot(path=target)
    page.close()


if __name__ == "__main__":
    main(sys.argv[1:])
