"""pytest tests/test_lab.py: `make lab` serves the course, behind a token, and opens it at its rendered index."""

import json
import shlex
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from servers import free_port, serving

pytestmark = pytest.mark.artefact

ROOT = Path(__file__).parents[1]
TOKEN = "a-token-for-this-test"


def command():
    """What `make lab` would run; a dry run, as nothing is to be installed here."""
    words = ["make", "lab", "--dry-run", "--no-print-directory", f"LAB=--no-browser --IdentityProvider.token={TOKEN}"]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return shlex.split(told[told.index(".venv/bin/jupyter lab") :].replace("\\\n", " "))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    port, home = free_port(), tmp_path_factory.mktemp("home")
    places = {"JUPYTER_CONFIG_DIR": str(home), "JUPYTERLAB_SETTINGS_DIR": str(home)}
    words = [*command(), f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    with serving(words, port, home / "log", ROOT, **places):
        yield f"http://127.0.0.1:{port}"


def get(url, token=TOKEN):
    return urlopen(Request(url, headers={"Authorization": f"token {token}"}))


def test_the_index_is_what_opens(served):
    with get(served) as page:
        assert page.status == 200
        assert page.url == f"{served}/lab/tree/README.md"
        assert "JupyterLab" in page.read().decode()
    with get(f"{served}/api/contents") as listing:
        names = {entry["name"] for entry in json.load(listing)["content"]}
    assert {"README.md", "00_quick_tour.ipynb"} <= names


def test_it_is_shown_rendered(served):
    with get(f"{served}/lab/api/settings/@jupyterlab/docmanager-extension:plugin") as settings:
        viewers = json.load(settings)["schema"]["properties"]["defaultViewers"]["default"]
    assert viewers == {"markdown": "Markdown Preview"}


def test_without_the_token_nothing_is_shown(served):
    with pytest.raises(HTTPError, match="403"):
        get(f"{served}/api/contents", token="another")
