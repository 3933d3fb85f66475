"""The page in which a toy runs: seconds in a browser, beside those that `mini` would take; and the size of the site.

    python benchmarks/playground.py --picture docs/assets/playground.png

`make site` comes first, so that there is a site.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import mini_in_browser
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from pusa_lab import cli
from pusa_lab.files import write_json, writing
from small_models.machine import conditions

ROOT = Path(__file__).resolve().parents[1]
PAGE, BUILT = ROOT / "site" / "playground", ROOT / "outputs" / "site"
OUT = ROOT / "benchmarks" / "results" / "site.json"
DONE = "document.querySelector('#status').textContent.startsWith('done')"
SEEN = """() => ({first: playground.times.first, finished: playground.times.finished,
    calls: ['A', 'B'].map(name => playground.lanes[name].state.seconds), isolated: crossOriginIsolated})"""


class Plain(SimpleHTTPRequestHandler):
    """A static host."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Isolated(Plain):
    """A static host with the two headers that allow threads."""

    def end_headers(self) -> None:
        """Add the headers."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def hosted(folder: Path, isolated: bool = True) -> Iterator[str]:
    """A folder on a static host; its address.

    Args:
        folder: of files.
        isolated: whether the host sends the headers that allow threads.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Isolated if isolated else Plain, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def main(*, runs: int = 5, out: Path = OUT, picture: Path | None = None) -> None:
    """Seconds from opening the page to its first frame and to both finished clips, and what takes how much space.

    The page opens with a pyramid of 18 rows (32 calls, guided) and a synchronous schedule (20 calls) side by side.

    Args:
        runs: how often each is measured, in a fresh browser context.
        out: file of the results.
        picture: file for a picture of the page with its finished clips, such as docs/assets/playground.png.

    Raises:
        ValueError: there is no built site.
    """
    if not (BUILT / "index.html").is_file():
        raise ValueError(f"{BUILT} holds no site, whose size is to be measured: run `make site` first.")
    words, load = ["--no-sandbox", "--disable-gpu"], round(os.getloadavg()[0], 1)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=words)
        name = f"chromium {browser.version}, headless"
        plain = measured(browser, (PAGE / "index.html").as_uri(), runs, picture)
        with hosted(PAGE) as address:
            threaded = measured(browser, f"{address}/index.html", runs)
        with tempfile.TemporaryDirectory() as folder:
            mini = mini_in_browser.write_page(Path(folder))
            for threads, isolated in (("one thread", False), ("threads", True)):
                with hosted(Path(folder), isolated) as address:
                    mini[f"seconds, median, {threads}"] = mini_in_browser.measured(browser, address, runs)
        browser.close()
    found = {"from a folder on disk, one thread": plain, "from a host with isolation, threads": threaded}
    sizes = {path.name: path.stat().st_size for path in sorted(PAGE.iterdir())}
    about = {"browser": name, "runs": runs, "load of the machine before": load}
    about["schedules"] = ["pyramid(steps=10, lag=1)", "synchronous(steps=10)"]
    lock = json.loads((ROOT / "site" / "package-lock.json").read_text())["packages"]
    about["onnxruntime-web"] = lock["node_modules/onnxruntime-web"]["version"]
    site = sum(path.stat().st_size for path in BUILT.rglob("*") if path.is_file()) / 2**20
    told = {"seconds, median": found, "bytes": sizes, "site, MiB": round(site, 1), "mini-vta": mini}
    about["load of the machine after"] = round(os.getloadavg()[0], 1)
    write_json(out, conditions() | about | {"seed": 0} | told)
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


def photograph(page: Page, picture: Path) -> None:
    """Write the page as a small PNG, down to the end of both clips.

    Args:
        page: with finished clips.
        picture: file.
    """
    lanes = page.locator("#run .lanes").bounding_box()
    clip = {"x": 60, "y": 0, "width": 1160, "height": lanes["y"] + lanes["height"]}
    shot = Image.open(BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")
    shot.thumbnail((800, 1600))
    with writing(picture) as part:
        shot.quantize(128, kmeans=2).save(part, format="PNG", optimize=True)


def measured(browser: Browser, address: str, runs: int, picture: Path | None = None) -> dict[str, Any]:
    """Medians of several visits.

    Args:
        browser: which visits.
        address: of the page.
        runs: how often.
        picture: as for `main`.
    """
    seen = []
    for _ in range(runs):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(address)
        page.wait_for_function(DONE)
        seen.append(page.evaluate(SEEN))
        if picture and len(seen) == 1:
            photograph(page, picture)
        context.close()
    middle = {name: round(statistics.median(one[name] for one in seen) / 1000, 2) for name in ("first", "finished")}
    return {
        "first frame after the first row": middle["first"],
        "both clips": middle["finished"],
        "of these, sampling": round(statistics.median(max(one["calls"]) for one in seen), 2),
        "isolated": seen[0]["isolated"],
    }


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
