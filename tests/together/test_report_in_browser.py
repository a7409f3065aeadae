"""The page of a report in a real browser: laid out, legible, and text of an export is text."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from playwright.sync_api import Browser, Page

from browsing import COLOURS, contrast, luminance, started_browser
from reports import HOSTILE, REPORTS, page
from threadkeep.html_report.visible_text import visible

WIDTHS = (320, 360, 900, 1600)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """It ends with this file: its event loop would disturb others."""
    with started_browser() as started:
        yield started


@attrs.frozen
class Sight:
    """A page in the browser, and its messages, requests and errors."""

    page: Page
    address: str
    heard: list[str]

    def look(self, width: int = 900, scheme: str = "light", at: str = "") -> Page:
        """Lay it out anew, in this width and colour scheme, and go to a place in it."""
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}{at}")
        return self.page


@pytest.fixture(scope="module", params=REPORTS)
def sight(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sight]:
    """Each page, open."""
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_bytes(page(REPORTS[request.param]()).encode())
    with browser.new_context() as context:
        opened = context.new_page()
        heard = list[str]()
        opened.on("console", lambda message: heard.append(f"console: {message.text}"))
        opened.on("pageerror", lambda error: heard.append(f"error: {error}"))
        opened.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        opened.on("request", lambda asked: heard.append(f"request: {asked.url}"))
        yield Sight(opened, path.as_uri(), heard)


def test_the_page_requests_nothing_and_has_no_error(sight: Sight) -> None:
    """The file itself, and no other request; no word on the console, no error, no script."""
    sight.heard.clear()
    shown = sight.look()
    shown.wait_for_load_state("networkidle")
    assert sight.heard == [f"request: {sight.address}"]
    assert shown.locator("script").count() == 0
    assert "pwned" not in shown.title()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_its_window(width: int, sight: Sight) -> None:
    """Nothing has to be scrolled sideways, with all that can be opened opened, and nothing sticks out of its box."""
    shown = sight.look(width)
    shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    inner, outer = shown.evaluate(
        "(({scrollWidth, clientWidth}) => [scrollWidth, clientWidth])(document.scrollingElement)"
    )
    assert inner <= outer == width
    assert shown.evaluate(_STICKING_OUT) == []


_STICKING_OUT = """
Array.from(document.querySelectorAll('dd, td, th, p, li, h1, h2, h3, summary, .text'))
    .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0)
    .filter(one => getComputedStyle(one).overflowX !== 'clip')
    .map(one => one.tagName + ' ' + one.className + ' ' + one.textContent.slice(0, 80))
"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_can_be_read(scheme: str, sight: Sight) -> None:
    """Each has the contrast that WCAG asks for at level AA, also where a link has led."""
    texts = sight.look(scheme=scheme).evaluate(COLOURS, "body *")
    for at in ("#finding-1", "#thread-1", "#thread-1-line-5", "#charts"):
        texts += sight.look(scheme=scheme, at=at).evaluate(COLOURS, ":target, :target *")
    assert len(texts) > 20
    assert [row for row in texts if contrast(row[1], row[2]) < 4.5] == []


def test_light_and_dark_differ(sight: Sight) -> None:
    """Dark letters on a light ground, and the other way round."""
    (_, *day), (_, *night) = (sight.look(scheme=scheme).evaluate(COLOURS, "h2")[0] for scheme in SCHEMES)
    assert luminance(day[0]) < 0.2 < 0.8 < luminance(day[1])
    assert luminance(night[1]) < 0.2 < luminance(night[0])


def test_links_lead_somewhere(sight: Sight) -> None:
    """Each to an element of the page, which is seen then, even within what was closed."""
    shown = sight.look()
    targets = shown.evaluate("Array.from(document.links, one => one.getAttribute('href'))")
    assert targets
    for target in dict.fromkeys(targets[:3] + targets[-3:]):
        shown = sight.look(at=target)
        assert shown.evaluate("document.querySelector(':target').checkVisibility()")
        assert shown.evaluate("Math.abs(document.querySelector(':target').getBoundingClientRect().top) < innerHeight")


def test_bars_are_in_their_cells(sight: Sight) -> None:
    """Each can be seen."""
    bars = sight.look().evaluate(
        """Array.from(document.querySelectorAll('.bar'), one => {
            const own = one.getBoundingClientRect(), cell = one.parentElement.getBoundingClientRect();
            return [own.width, own.height, own.left - cell.left, cell.right - own.right];
        })"""
    )
    for width, height, left, right in bars:
        assert min(width, height) > 0
        assert min(left, right) > -0.1


def test_hostile_text_is_text(browser: Browser, tmp_path: Path) -> None:
    """It is on the page as it is, but for the signs, and makes no element."""
    path = tmp_path / "report.html"
    path.write_bytes(page(REPORTS["hostile"]()).encode())
    with browser.new_context() as context:
        shown = context.new_page()
        shown.goto(path.as_uri())
        texts = shown.locator(".text").evaluate_all("all => all.map(one => one.textContent)")
        assert [visible(text)[:2_000] for text in HOSTILE] == texts[: len(HOSTILE)]
        assert shown.get_by_text(HOSTILE[0], exact=True).count() > 0
        assert shown.locator("img, b:not(.place b), base, textarea, script").count() == 0
        assert shown.evaluate("document.querySelectorAll('title').length") == 1
        directions = shown.locator(".text").evaluate_all("all => all.map(one => getComputedStyle(one).direction)")
        assert directions[: len(HOSTILE)] == ["rtl" if text.startswith("السلام") else "ltr" for text in HOSTILE]


def test_a_printed_page_hides_nothing(sight: Sight) -> None:
    """What is closed on the screen is open on paper, on a light ground."""
    shown = sight.look(scheme="dark")
    shown.emulate_media(media="print", color_scheme="dark")
    hidden = shown.evaluate(
        """Array.from(document.querySelectorAll('details > *'))
            .filter(one => !one.checkVisibility({contentVisibilityAuto: true})).length"""
    )
    assert hidden == 0
    assert (
        luminance(shown.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")) == 1
    )
