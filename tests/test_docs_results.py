"""pytest tests/test_docs_results.py: every snippet of docs/results.md runs, in order."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "results.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
pytestmark = pytest.mark.artefact


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers and numpy 2
def test_every_snippet_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {}
    for snippet in SNIPPETS:
        assert sum(bool(line.strip()) for line in snippet.splitlines()) < 15, snippet
        exec(compile(snippet, "docs/results.md", "exec"), space)
    assert {"video.mp4", "video.request.json"} == {path.name for path in (tmp_path / "runs" / "circle").iterdir()}
    assert (tmp_path / "runs" / "draft.mp4").is_file()
