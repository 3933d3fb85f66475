"""A JupyterLab of our own on a free local port, and a headless Chromium that looks at it."""

import os
import secrets
import shutil
import subprocess
import sys

import pytest
from labs import OUT, ROOT, Lab, strays
from playground_page import DONE
from playwright.sync_api import sync_playwright
from servers import free_port, serving

SITE = ROOT / "site"
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--js-flags=--wasm-tiering-budget=100000000",
)
"""Of WebAssembly, only what runs for seconds is optimised: a page lives so short that the rest would cost more than it
spares. The numbers are the same."""


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium."""
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=[*QUIET])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A JupyterLab with its token, in a folder of its own; tests that share it open a workspace each."""
    port, token, folder = free_port(), secrets.token_hex(16), tmp_path_factory.mktemp("lab")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {"PYTHONPATH": paths, "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data")}
    env |= {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "spaces"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    one = Lab(f"http://127.0.0.1:{port}/lab/workspaces/{{0}}/tree/{{0}}.ipynb?token={token}", folder)
    one.set("notification", fetchNews="false", checkForUpdates=False, doNotDisturbMode=True)
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    options += ["--ServerApp.port_retries=0", "--no-browser", "--allow-root", "--LabApp.news_url=None"]
    with serving([sys.executable, "-m", "jupyterlab", *options], port, OUT / "lab.log", folder, **env):
        yield one


@pytest.fixture
def page(browser):
    """A page 1280 px wide that reaches this machine only; what it asked of others is in `page.strays`."""
    context = browser.new_context(viewport={"width": 1280, "height": 1500}, accept_downloads=True)
    one = context.new_page()
    one.strays, one.problems = strays(one), []
    one.on("pageerror", lambda error: one.problems.append(str(error)))
    one.set_default_timeout(900_000)
    yield one
    one.screenshot(path=OUT / "last.png")
    context.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with the page, built from what lies in the working tree; the site may be built from it meanwhile."""
    assert shutil.which("npm"), "npm is missing: apt-get install nodejs npm, as make browser-test does"
    if not (SITE / "node_modules" / "esbuild").is_dir():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=SITE, check=True, timeout=300)
    place = tmp_path_factory.mktemp("playground")
    for name in ("index.html", "playground.css"):
        shutil.copy(SITE / "playground" / name, place)
    subprocess.run(["node", "build.mjs", place], cwd=SITE, check=True, timeout=120)
    return place


@pytest.fixture
def open_page(browser, folder):
    """open_page(state or hash, width, ...): the page at rest, whose first run has ended or was refused."""
    opened = []

    def at(hash="", width=1280, scheme="light", before="", where=folder, **more):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.strays, page.problems = [], []
        own = ("file:", "data:", "blob:")
        page.on("request", lambda one: None if one.url.startswith(own) else page.strays.append(one.url))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda one: page.problems.append(one.text) if one.type in ("error", "warning") else None)
        page.add_init_script(before)
        page.goto(f"{(where / 'index.html').as_uri()}{hash}")
        page.wait_for_function(f"{DONE} || !document.querySelector('#alert').hidden")
        opened.append(page)
        return page

    yield at
    for page in opened:
        page.screenshot(path=OUT / "last.png")
        page.context.close()
