"""A real browser for tests, without a network, and what it can be asked about a page."""

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

__all__ = ["COLOURS", "contrast", "luminance", "started_browser"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ALONE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def started_browser() -> Iterator[Browser]:
    """The browser of this machine, without a window."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.fail("there is no browser to look at the pages with: install Debian's package chromium")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=_ALONE)
        yield started
        started.close()


COLOURS = """
selector => Array.from(document.querySelectorAll(selector))
    .filter(one => Array.from(one.childNodes).some(node => node.nodeType === 3 && node.data.trim()))
    .filter(one => one.checkVisibility())
    .map(one => {
        let ground = one;
        while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
        const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
        const [letters, below] = [getComputedStyle(one).color, getComputedStyle(ground).backgroundColor];
        return [one.tagName + ' ' + one.className, numbers(letters), numbers(below)];
    })
"""


def luminance(colour: list[float]) -> float:
    """How light a colour is, as WCAG 2 reckons it. It must be opaque."""
    assert len(colour) == 3
    linear = [
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in (part / 255 for part in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    """The contrast of two colours, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
