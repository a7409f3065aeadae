"""The pages of an export in a real browser, from the disk: they can be searched and read, and nothing is requested."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import COLOURS, contrast, started_browser
from converting import put_bare, text_message
from html_pages import PNG, pages_alone, with_image, written
from reports import HOSTILE
from threadkeep import convert
from threadkeep.html_report.visible_text import visible

THREADS = 10_000
MIDDLE = 7_000
WIDTHS = (320, 390, 900, 1600)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """It ends with this file: its event loop would disturb others."""
    with started_browser() as started:
        yield started


def _messages() -> Iterator[dict[str, Any]]:
    for thread in range(THREADS):
        texts = [f"Question {thread}", f"The answer is {thread * 7}, as before."]
        if thread == MIDDLE:
            texts[1] = f"{'x ' * 5_000}Die Straße nach \u0141ódź führt u\u0308ber den CAFÉ-Platz. {'y ' * 5_000}"
        if thread == 1:
            texts = [*HOSTILE, *HOSTILE]
        if thread == 2:
            texts = [f"{number} of many" for number in range(1_200)]
        for number, text in enumerate(texts):
            role = HOSTILE[0] if thread == 1 and number == 3 else ("user", "assistant")[number % 2]
            yield text_message(
                thread * 10_000 + number, role, text, thread_id=f"thread_{thread}", metadata=_more(thread)
            )


def _more(thread: int) -> dict[str, str]:
    return {HOSTILE[1]: HOSTILE[0]} if thread == 1 else {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of 10,000 threads."""
    folder = tmp_path_factory.mktemp("html")
    out = put_bare(folder / "out.ndjson", _messages())
    return convert(out, to="html", target=folder / "site #1").path


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that tells what it requested and reported, which must be nothing but its own files."""
    with browser.new_context(offline=True) as context:
        opened = context.new_page()
        heard = list[str]()
        opened.on("console", lambda message: heard.append(f"console: {message.text}"))
        opened.on("pageerror", lambda error: heard.append(f"error: {error}"))
        opened.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        opened.on("request", lambda asked: heard.append(asked.url))
        yield opened
        assert [one for one in heard if not one.startswith("file:///")] == []


def found(page: Page, words: str) -> list[str]:
    """Search, and return the titles of the threads that were found when the search has ended."""
    page.get_by_role("searchbox").fill(words)
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    return page.locator("#results .to").all_inner_texts()


@pytest.mark.parametrize(
    "words",
    [
        "fuhrt",
        "FÜHRT",
        "strasse",
        "lodz",
        "Łódź",
        "raße nach",
        "cafe-platz uber",
        '"uber den"',
        "“\u00fcber  den cafe“",
        "thread_7000",
    ],
)
def test_a_word_is_found(words: str, site: Path, page: Page) -> None:
    """In the middle of a long text of one of 10,000 threads, whatever its accents and capitals; the snippet has it."""
    page.goto((site / "index.html").as_uri())
    assert found(page, words) == [f"Question {MIDDLE}"]
    marks = page.locator("#results mark").all_inner_texts()
    assert marks
    if words == "lodz":
        assert marks == ["Łódź"]
    page.locator("#results .snippet").click()
    assert page.url.startswith((site / "threads" / f"{MIDDLE + 1}.html").as_uri())
    assert page.locator("article").count() == 2
    if not words.startswith("thread"):
        target = page.locator(":target")
        assert "führt" in target.inner_text()
    page.go_back()
    expect(page.locator("#results .to")).to_have_text([f"Question {MIDDLE}"])


def test_what_is_not_there_is_not_found(site: Path, page: Page) -> None:
    """Words of different messages, words in another order within quotation marks; without words, the contents."""
    page.goto((site / "index.html").as_uri())
    for words in ("fuhrt 7000", '"den uber"', "xyzzy", "<img"):
        assert found(page, words) == ([] if words != "<img" else [visible(HOSTILE[0])])
    page.get_by_role("searchbox").fill("")
    expect(page.locator("#contents")).to_be_visible()
    expect(page.locator("#results")).to_be_hidden()
    assert page.locator(".threads li").count() == 500


def test_many_are_shown_by_and_by(site: Path, page: Page) -> None:
    """Fifty threads, and more when they are asked for; the search goes to the end."""
    page.goto((site / "index.html").as_uri())
    assert len(found(page, "as before")) == 50
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#results > li")).to_have_count(100)
    assert found(page, "of many") == ["0 of many"]
    expect(page.get_by_role("status")).to_have_text("1 thread, 1,200 messages.")
    assert page.locator("#results .snippet").count() == 3


def test_the_last_words_count(site: Path, page: Page) -> None:
    """A search that is typed during another takes its place."""
    page.goto((site / "index.html").as_uri())
    field = page.get_by_role("searchbox")
    for words in ("a", "answer", "lo", "lodz"):
        field.fill(words)
        page.evaluate("new Promise(requestAnimationFrame)")
    expect(page.get_by_role("status")).to_have_text("1 thread, 1 message.")
    expect(page.locator("#results .to")).to_have_text([f"Question {MIDDLE}"])


def test_a_shard_that_is_missing_is_named(site: Path, browser: Browser, tmp_path: Path) -> None:
    """In words, in the place of the results."""
    copy = tmp_path / "copy"
    (copy / "search").mkdir(parents=True)
    for name in ("index.html", "style.css"):
        shutil.copy(site / name, copy)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((copy / "index.html").as_uri())
        assert found(page, "lodz") == []
        expect(page.get_by_role("status")).to_have_text("search/1.js cannot be read. Is the folder complete?")


def test_hostile_text_is_text(site: Path, page: Page) -> None:
    """On the page of its thread, in the contents and in what is found, it makes no element and runs nothing."""
    page.goto((site / "threads" / "2.html").as_uri())
    texts = page.locator(".text").evaluate_all("all => all.map(one => one.textContent)")
    assert texts == [visible(text) for text in HOSTILE * 2]
    assert page.locator("img, base, textarea, script, b").count() == 0
    page.goto((site / "index.html").as_uri())
    assert found(page, "onerror") == [visible(HOSTILE[0])]
    assert page.locator("img, base, textarea, b:not(.pager b)").count() == 0
    assert page.locator("script").count() == 1


EVIL = """
<script>document.title = 'pwned'</script><script src="evil.js"></script><script src="search/1.js"></script>
<img src="evil:" onerror="document.title = 'pwned'"><iframe src="https://example.com/"></iframe>
<link rel="stylesheet" href="https://example.com/x.css"><img src="https://example.com/x.png">
"""


@pytest.mark.parametrize("name", ["index.html", "threads/1.html"])
def test_the_policy_stops_what_is_not_ours(name: str, site: Path, browser: Browser, tmp_path: Path) -> None:
    """Even if an element got through: other scripts, also those of the folder, handlers, and requests."""
    for evil in (tmp_path / "evil.js", tmp_path / "search" / "1.js", tmp_path / "threads" / "evil.js"):
        evil.parent.mkdir(exist_ok=True)
        evil.write_text("document.title = 'pwned'")
    (tmp_path / name).write_text((site / name).read_text().replace("<body>", f"<body>{EVIL}"))
    with browser.new_context() as context:
        opened = context.new_page()
        failed = list[str]()
        opened.on("requestfailed", lambda asked: failed.append(f"{asked.url} {asked.failure}"))
        opened.on("requestfinished", lambda asked: failed.append(f"got {asked.url}"))
        opened.goto((tmp_path / name).as_uri())
        title = opened.title()
        assert title == ("out.ndjson" if name == "index.html" else "Question 0")
        assert [one for one in failed if "https:" in one and "csp" not in one] == []
        assert sum("evil.js csp" in one for one in failed) == 1


def test_images_are_shown(page: Page, tmp_path: Path) -> None:
    """From the folder, and from within a page that stands alone."""
    out, files = with_image(tmp_path, PNG, "file #1?.png")
    site, _ = written(tmp_path, out, files)
    (tmp_path / "alone.html").write_text("".join(pages_alone(out, files)))
    for path in (site / "threads" / "1.html", tmp_path / "alone.html"):
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        assert page.evaluate("Array.from(document.images, one => one.naturalWidth)") == [1, 1]
        assert page.evaluate("getComputedStyle(document.body).maxWidth") == "800px"


@pytest.mark.parametrize("name", ["index.html", "index-2.html", "threads/1.html", "threads/2.html", "threads/3-2.html"])
def test_the_pages_fit_their_windows(name: str, site: Path, page: Page) -> None:
    """Nothing has to be scrolled sideways, on a phone or a large screen, and every text has the contrast of WCAG AA."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto((site / name).as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        inner, outer = page.evaluate("(one => [one.scrollWidth, one.clientWidth])(document.scrollingElement)")
        assert inner <= outer == width
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.goto((site / name).as_uri())
        texts = page.evaluate(COLOURS, "body *")
        assert len(texts) > 5
        assert [row for row in texts if contrast(row[1], row[2]) < 4.5] == []


def test_a_printed_page_is_light_and_has_no_links_of_the_folder(site: Path, page: Page) -> None:
    """On paper nobody can follow them."""
    page.emulate_media(media="print", color_scheme="dark")
    page.goto((site / "threads" / "3-2.html").as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav:visible, .back:visible").count() == 0
    assert page.locator("article:visible").count() == 500
