"""The page of `uilog report --html` in a browser: Debian's Chromium.

Only in `make test-all`, which installs it; without it, all of this is left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import report_records
from test_report import Place

pytestmark = pytest.mark.test_all

CHROMIUM = shutil.which("chromium")

# The contrast that WCAG 2 asks of text (level AA), and of marks in pictures.
MIN_CONTRAST = 4.5
MIN_MARK_CONTRAST = 3.0

# The contrast of each color with the page, by the formula of WCAG 2.
CONTRASTS = """() => {
    const numbers = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const luminance = (color) => {
        const [r, g, b] = numbers(color).map((it) => {
            const part = it / 255;
            return part <= 0.04045
                ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const page = luminance(getComputedStyle(document.body).backgroundColor);
    const contrast = (color) => {
        const own = luminance(color);
        return (Math.max(own, page) + 0.05) / (Math.min(own, page) + 0.05);
    };
    const found = {};
    for (const [selector, name] of [
        ["body", "color"], [".dim", "color"], ["a", "color"], [".bad", "color"],
        ["svg text", "fill"], [".bar", "fill"], [".bar-bad", "fill"],
    ]) {
        const element = document.querySelector(selector);
        found[selector] = contrast(getComputedStyle(element)[name]);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed here"
    )
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        # The sandbox needs what root in a container has not.
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on usual records and on what strangers wrote."""
    place = Place(tmp_path_factory.mktemp("report"))
    place.records.write_bytes(
        report_records.lines(report_records.usual(3000))
        + report_records.lines(report_records.strange(report_records.NASTY))
    )
    place.page()
    return place.path / "report.html"


class Tab:
    """The page in a tab, and what the browser has said and asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.on("console", lambda it: self.said.append(it.text))
        self.page.on("pageerror", lambda it: self.said.append(str(it)))
        self.page.on("dialog", lambda it: self.said.append(it.message))
        self.page.on("request", lambda it: self.requests.append(it.url))
        self.url = path.as_uri()
        self.page.goto(self.url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_loaded_and_nothing_complains(
    browser: Any, page_file: Path, scheme: str
) -> None:
    tab = Tab(browser, page_file, color_scheme=scheme)
    page = tab.page
    for summary in page.query_selector_all("summary"):
        summary.click()
    page.hover("g.hit >> nth=3")
    assert page.evaluate("window.harmed") is None
    assert tab.said == []
    assert tab.requests == [tab.url]
    # Nor could it load anything, or run anything else.
    page.evaluate(
        """() => {
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/x";
            const script = document.createElement("script");
            script.textContent = "window.harmed = 2";
            document.body.append(image, script);
        }"""
    )
    assert page.evaluate("window.harmed") is None
    assert len(tab.said) == 2
    assert all("Content Security Policy" in it for it in tab.said)


def test_the_filter_shows_the_rows_that_have_the_words(
    browser: Any, page_file: Path
) -> None:
    page = Tab(browser, page_file).page
    rows = "() => [...document.querySelectorAll('tbody tr')]"
    shown = rows + ".filter((it) => !it.hidden).map((it) => it.textContent)"
    everything = page.evaluate(shown)
    page.get_by_label("Only rows with").fill("PULL slower")
    matching = page.evaluate(shown)
    assert matching
    assert matching == [
        it
        for it in everything
        if "pull" in it.lower() and "slower" in it.lower()
    ]
    status = page.get_by_role("status").inner_text()
    assert status == f"{len(matching)} of {len(everything)} rows"
    page.get_by_label("Only rows with").fill("")
    assert page.evaluate(shown) == everything
    # What a row says is shown when a pointer is above its mark.
    titles = page.eval_on_selector_all(
        "g.hit > title", "all => all.map((it) => it.textContent)"
    )
    assert any(it.startswith("pull: half took less than") for it in titles)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_can_be_told_apart(
    browser: Any, page_file: Path, scheme: str
) -> None:
    page = Tab(browser, page_file, color_scheme=scheme).page
    background = "getComputedStyle(document.body).backgroundColor"
    numbers = page.evaluate(background).strip("rgb()").split(",")
    is_dark = sum(map(int, numbers)) < 3 * 128
    assert is_dark == (scheme == "dark")
    for name, contrast in page.evaluate(CONTRASTS).items():
        is_mark = name in (".bar", ".bar-bad")
        least = MIN_MARK_CONTRAST if is_mark else MIN_CONTRAST
        assert contrast >= least, name


def test_it_can_be_printed(browser: Any, page_file: Path) -> None:
    tab = Tab(browser, page_file, color_scheme="dark")
    page = tab.page
    page.emulate_media(media="print")
    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(f"{style}.color") == "rgb(0, 0, 0)"
    assert not page.is_visible("nav")
    assert not page.is_visible("#filter")
    assert page.is_visible("#commands-table")
    # No table is wider than the paper.
    page.set_viewport_size({"width": 1050, "height": 1400})
    wide = "document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(wide) <= 0
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_it_can_be_read_without_the_script(
    browser: Any, page_file: Path
) -> None:
    page = Tab(browser, page_file, java_script_enabled=False).page
    assert not page.is_visible("#filter")
    assert page.is_visible("#commands-table")
    page.click("summary >> nth=0")
    assert page.is_visible("#timeline-table")


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    browser: Any, page_file: Path, scheme: str, width: int
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.base", reason="axe-core is not installed here"
    )
    # Our policy would not let it run.
    tab = Tab(
        browser,
        page_file,
        bypass_csp=True,
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    script = Path(axe.__file__).with_name("axe.min.js").read_text()
    tab.page.evaluate(script)
    found = tab.page.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    assert [(it["id"], it["help"]) for it in found["violations"]] == []
    # The page itself does not scroll sideways.
    wide = "document.documentElement.scrollWidth - innerWidth"
    assert tab.page.evaluate(wide) <= 0
