"""A JupyterLab of our own on a free local port, and a headless Chromium that looks at it."""

import os
import secrets
import shutil
import sys

import pytest
from labs import OUT, ROOT, strays
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


@pytest.fixture(params=["anywidget", "plain"])
def face(request):
    """Which of the studio's two faces."""
    return request.param


@pytest.fixture
def theme():
    """Of the page."""
    return "JupyterLab Light"


@pytest.fixture
def lab(face, theme, tmp_path):
    """Address of a JupyterLab, with its token, in a folder of its own; its kernels use the face."""
    port, token = free_port(), secrets.token_hex(16)
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {"PUSA_LAB_WIDGETS": face, "PYTHONPATH": paths, "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    env |= {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "spaces")}
    quiet = tmp_path / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}')
    quiet.with_name("themes.jupyterlab-settings").write_text(f'{{"theme": "{theme}"}}')
    env["JUPYTERLAB_SETTINGS_DIR"] = str(tmp_path / "settings")
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp_path}"]
    options += ["--ServerApp.port_retries=0", "--no-browser", "--allow-root", "--LabApp.news_url=None"]
    words = [sys.executable, "-m", "jupyterlab", *options]
    with serving(words, port, OUT / f"lab-{face}.log", tmp_path, **env):
        yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token={token}", tmp_path


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
