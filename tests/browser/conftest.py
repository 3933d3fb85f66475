"""A JupyterLab of our own on a free local port, and a headless Chromium that looks at it."""

import os
import secrets
import shutil
import sys

import pytest
from labs import OUT, ROOT, Lab, strays
from playwright.sync_api import sync_playwright
from servers import free_port, serving

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


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
    one.set_default_timeout(300_000)
    yield one
    one.screenshot(path=OUT / "last.png")
    context.close()
