"""pytest -m browser tests/browser/test_site_in_browser.py: the built site, opened from its folder as a person would."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from labs import OUT, ROOT

pytestmark = pytest.mark.browser

SITE = ROOT / "outputs" / "site"
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
LOCAL = ("file://", "data:", "blob:", "about:")
WIDTHS = (1280, 390)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SAMPLED = 10
"""Of the pages of the reference and of files, which are made alike, one in so many is opened."""
PICTURED = 6000
"""Pixels of a chapter's height that are kept as a picture."""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN = "[...document.images].filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
COLORS = "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
RAW = "[...document.querySelectorAll('article p, article li')].map(one => one.innerText)"
SETTLED = "window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => true) : true"


@pytest.fixture(scope="session", autouse=True)
def site():
    """The built site, made unless `make site` has just done it; that it is there says that no link leads nowhere."""
    made = subprocess.run(
        [sys.executable, ROOT / "site" / "make_site.py"], capture_output=True, text=True, timeout=1800
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert len([*SITE.rglob("*.html")]) > 300
    return SITE


@pytest.fixture
def reader(browser, request):
    """A page without a network, and `problems`, which grows by what it asks for elsewhere and by every error."""
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 900}})
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    page.problems = []
    note = page.problems.append
    page.on("request", lambda one: None if one.url.startswith(LOCAL) else note(f"asks for {one.url}"))
    # an icon may still be on its way when the next page is opened, which is no fault of the site
    page.on("requestfailed", lambda one: "ERR_ABORTED" in (one.failure or "") or note(f"misses {one.url}"))
    page.on("console", lambda one: note(f"console: {one.text}") if one.type == "error" else None)
    page.on("pageerror", lambda error: note(f"error: {error}"))
    yield page
    context.close()


def opened(reader, name):
    """Go to a page of the site and wait for its formulas."""
    reader.goto((SITE / name).as_uri())
    reader.evaluate(SETTLED)


def faults_of(reader, name):
    """What is wrong with a page: what it asks for, what it logs, pictures that are not shown, and its width."""
    reader.problems.clear()
    opened(reader, name)
    assert reader.locator("article").inner_text().strip()
    wider = reader.evaluate(WIDER)
    found = [*reader.problems, *(f"does not show {source[:90]}" for source in reader.evaluate(BROKEN))]
    found += [f"shows TeX: {text[:60]}" for text in reader.evaluate(RAW) if re.search(r"\$.*\\[a-z]+|\\tau", text)]
    return found + ([f"is {wider} px wider than the screen"] if wider > 0 else [])


def test_pages_open_from_their_files_without_a_network_and_without_errors(reader, site):
    """All pages to read but the chapters, and a sample of those that are made alike."""
    alike = [*sorted(site.glob("api/*.html")), *sorted(site.glob("files/**/*.html"))]
    others = {*alike, *site.glob("notebooks/[0-9]*.html"), *site.glob("playground/**/*.html"), site / "search.html"}
    pages = [*(path for path in site.rglob("*.html") if path not in others), *alike[::SAMPLED]]
    assert len(pages) >= 60
    names = [str(path.relative_to(site)) for path in pages]
    assert {name: found for name in names if (found := faults_of(reader, name))} == {}


@pytest.mark.parametrize("name", ["index.html", "api/pusa_lab.samplers.html", "search.html", "playground/index.html"])
def test_pages_name_their_icon_so_that_a_host_is_not_asked_for_another(reader, name):
    opened(reader, name)
    icon = reader.evaluate("document.querySelector('link[rel~=icon]').href")
    if not icon.startswith("data:"):
        assert icon.startswith("file:")
        assert b"<svg" in reader.goto(icon).body()
    assert reader.problems == []


def test_chapters_fit_the_screen(reader):
    """Their pictures are kept in outputs/browser."""
    wrong = {}
    for name in CHAPTERS:
        reader.set_viewport_size({"width": WIDTHS[0], "height": 900})
        wrong[name] = faults_of(reader, f"notebooks/{name}.html")
        for width in WIDTHS:
            reader.set_viewport_size({"width": width, "height": 900})
            wrong[name] += [f"is {wider} px wider than {width}"] if (wider := reader.evaluate(WIDER)) > 0 else []
            height = min(PICTURED, reader.evaluate("document.body.scrollHeight"))
            part = {"x": 0, "y": 0, "width": width, "height": height}
            path = OUT / f"site-{name}-{width}.jpg"
            reader.screenshot(path=path, type="jpeg", quality=60, full_page=True, clip=part)
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize("reader", [PHONE], indirect=True)
def test_pages_fit_a_phone(reader, site):
    """Those with wide tables, figures and signatures."""
    names = ["index", "README", "notebooks/README", "benchmarks/README", "small_models/results/paper/steps"]
    names += ["small_models/results/paper/README", "benchmarks/results/wan_train", "api/index", "api/pusa_lab.generate"]
    names += [str(path.relative_to(site).with_suffix("")) for path in sorted(site.glob("docs/*.html"))]
    wrong = {}
    for name in names:
        opened(reader, f"{name}.html")
        wrong |= {name: wider} if (wider := reader.evaluate(WIDER)) > 0 else {}
    assert wrong == {}
    opened(reader, "index.html")
    reader.screenshot(path=OUT / "site-front-390.png", full_page=True)
    reader.locator(".nav-overlay-icon").first.click()
    reader.get_by_role("link", name="API reference").first.click()
    assert reader.url.endswith("/api/index.html")
    assert reader.problems == []


def test_the_search_finds_names_and_shows_the_lines_around_them(reader):
    opened(reader, "index.html")
    reader.locator("input.sidebar-search").fill("task_mixture")
    reader.keyboard.press("Enter")
    hit = reader.locator("#search-results li", has=reader.locator('a[href*="task_mixture"]')).first
    hit.wait_for()
    reader.locator("#search-results li .context", has_text="task_mixture").first.wait_for()
    reader.screenshot(path=OUT / "site-search.png")
    hit.locator("a").first.click()
    reader.wait_for_url("**/api/**")
    assert reader.locator(r"#pusa_lab\.schedules\.timestep_sampler_tasks\.task_mixture").is_visible()
    assert reader.problems == []


def test_the_search_finds_the_playground_and_leads_there(reader):
    reader.goto(f"{(SITE / 'search.html').as_uri()}?q=playground")
    hit = reader.locator("#search-results li", has=reader.locator('a[href="playground/index.html"]'))
    hit.locator(".context", has_text="runs in your browser").wait_for()
    hit.locator("a").first.click()
    reader.locator("#go").wait_for()
    assert not reader.locator("#alert").is_visible()
    assert reader.problems == []


def test_words_are_found_in_chapters(reader):
    reader.goto(f"{(SITE / 'search.html').as_uri()}?q=covariance")
    reader.locator('#search-results a[href^="notebooks/"]').first.wait_for()
    assert reader.problems == []


@pytest.mark.parametrize(
    ("reader", "bright"),
    [({"color_scheme": "light"}, True), ({"color_scheme": "dark"}, False)],
    indirect=["reader"],
    ids=["light", "dark"],
)
def test_pages_are_dark_or_light_as_the_system_is(reader, bright):
    for name in ("index", "notebooks/01_one_timestep_per_frame", "docs/claims"):
        opened(reader, f"{name}.html")
        ground, ink = (sum(map(int, re.findall(r"\d+", color)[:3])) for color in reader.evaluate(COLORS))
        assert (ground > ink) == bright
        reader.screenshot(path=OUT / f"site-{Path(name).stem}-{'light' if bright else 'dark'}.png")


def test_the_theme_can_be_chosen_and_is_kept(reader):
    opened(reader, "docs/idea.html")
    while reader.locator("body").get_attribute("data-theme") != "dark":
        reader.locator(".theme-toggle-header, .theme-toggle-content").locator("visible=true").first.click()
    opened(reader, "docs/toy.html")
    assert reader.locator("body").get_attribute("data-theme") == "dark"
    opened(reader, "playground/index.html")
    assert reader.locator("html").get_attribute("data-theme") == "dark"


@pytest.mark.parametrize("reader", [{"reduced_motion": "reduce"}, {}], indirect=True, ids=["still", "moving"])
def test_videos_have_controls_and_rest_for_who_asked_for_less_motion(reader, request):
    count = 0
    for name in (name for name in CHAPTERS if "<video" in (SITE / "notebooks" / f"{name}.html").read_text()):
        opened(reader, f"notebooks/{name}.html")
        videos = reader.locator("video")
        count += videos.count()
        for video in videos.all():
            assert video.evaluate("one => one.controls && !one.autoplay")
            video.evaluate(
                "one => new Promise(done => one.readyState > 1 ? done() : one.addEventListener('canplay', done))"
            )
            if request.node.callspec.id == "still":
                assert video.evaluate("one => one.paused && one.currentTime === 0")
            else:
                video.evaluate("one => new Promise(done => one.paused ? one.addEventListener('play', done) : done())")
    assert count >= 8
    assert reader.problems == []


@pytest.mark.parametrize("reader", [{"reduced_motion": "reduce"}, {}], indirect=True, ids=["still", "moving"])
def test_the_front_page_shows_a_still_to_who_asked_for_less_motion(reader, request):
    opened(reader, "index.html")
    shown = [one.get_attribute("src") for one in reader.locator("article img").locator("visible=true").all()]
    name = {"still": "timesteps_still.webp", "moving": "timesteps.webp"}[request.node.callspec.id]
    assert [one.rsplit("/", 1)[-1] for one in shown if "timesteps" in one] == [name]


def test_chapters_have_videos_formulas_and_folded_plumbing(reader):
    opened(reader, "notebooks/00_quick_tour.html")
    reader.wait_for_function("[...document.querySelectorAll('video')].some(one => one.duration > 0)")
    folded = reader.locator("details.hide.above-input").first
    assert folded.locator("pre").first.is_hidden()
    folded.locator("summary").click()
    assert folded.locator("pre").first.is_visible()
    opened(reader, "notebooks/01_one_timestep_per_frame.html")
    assert reader.locator("mjx-container svg").count() >= 3
    assert reader.locator("mjx-merror, [data-mml-node=merror]").count() == 0
    assert reader.problems == []
