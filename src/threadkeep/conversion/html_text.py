"""A text of a message as HTML: citations, code blocks and links are marked, and every character of it stays, in order.

What is foreign is escaped, and made visible as `threadkeep.html_report.visible_text` does it. No attribute holds
anything foreign but the address of a link, which begins with ``http://`` or ``https://``.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from markupsafe import Markup

from threadkeep.conversion.content import Spans
from threadkeep.html_report.visible_text import marked, visible
from threadkeep.records.model import FileCitation, FilePath

__all__ = ["Mark", "link", "text_html"]

Mark = Callable[[str, Sequence[FileCitation | FilePath]], Markup]
"""Return what is shown in the place of the marker of citations."""

_FENCE = re.compile(r"^[ \t]*(`{3,})([^`\n]*)(?:\n|\Z)", re.MULTILINE)
_TICKS_AND_LANGUAGE = re.compile(r"([ \t]*`+)(.*)", re.DOTALL)
_INLINE = re.compile(r"`[^`\n]+`|https?://[^\s<>\"'`“”«»【】]+")
_ADDRESS = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)
_TICKS = Markup('<span class="ticks">{}</span>')
_LANGUAGE = Markup('<span class="language">{}</span>')
_CODE = Markup("<code>{}{}{}</code>")
_BEFORE, _BEHIND = {"opening": Markup('<code class="block">')}, {"closing": Markup("</code>")}
_LINK = Markup('<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>')


def text_html(value: str, spans: Spans, mark: Mark) -> Markup:
    """Return a text as HTML.

    Args:
        value: the text.
        spans: the citations whose markers are replaced, see `threadkeep.conversion.content.spans`.
        mark: called for each of them.
    """
    places = [(start, end, mark(value[start:end], cited)) for (start, end), cited in spans.items()]
    if "```" not in value:
        return _cited(value, 0, len(value), places, _inline)
    pieces, reached, kind = [], 0, ""
    for kind, start, end in _blocks(value):
        own = [place for place in places if start <= place[0] < end]
        html = _cited(value, max(start, reached), end, own, _SHOWN[kind])
        pieces += [_BEFORE.get(kind, ""), html, _BEHIND.get(kind, "")]
        reached = max([end, *(behind for _, behind, _ in own)])  # a marker may reach into the next block
    return Markup("").join([*pieces, "" if kind in ("text", "closing") else _BEHIND["closing"]])


def link(address: str) -> Markup:
    """Return a link, if the address is one of the web in which everything can be seen; else the address as text."""
    if _ADDRESS.fullmatch(address) and visible(address) == address:
        return _LINK.format(address, address)
    return marked(address)


def _cited(
    value: str, start: int, end: int, places: Sequence[tuple[int, int, Markup]], show: Callable[[str], Markup]
) -> Markup:
    if not places:
        return show(value[start:end])
    pieces = []
    for place, behind, html in places:
        pieces += [show(value[start:place]), html]
        start = behind
    return Markup("").join([*pieces, show(value[start:end])])


def _blocks(value: str) -> Iterator[tuple[str, int, int]]:
    """Yield the kind and the range of each block: fenced code as Markdown has it, which may lack its end, and text."""
    start, fence = 0, ""
    for line in _FENCE.finditer(value):
        if fence and (len(line[1]) < len(fence) or line[2].strip()):
            continue  # a line of the code
        if line.start() > start:
            yield "code" if fence else "text", start, line.start()
        yield "closing" if fence else "opening", line.start(), line.end()
        start, fence = line.end(), "" if fence else line[1]
    if start < len(value):
        yield "code" if fence else "text", start, len(value)


def _opening(line: str) -> Markup:
    """The ticks are hidden, and so is a line with nothing else."""
    found = _TICKS_AND_LANGUAGE.fullmatch(line)
    if found is None or not found[2].strip():
        return _TICKS.format(marked(line))
    return _TICKS.format(found[1]) + _LANGUAGE.format(marked(found[2]))


def _inline(text: str) -> Markup:
    if "`" not in text and "://" not in text:
        return marked(text)
    pieces, reached = [], 0
    for found in _INLINE.finditer(text):
        is_code = found[0].startswith("`")
        shown = found[0] if is_code else _trimmed(found[0])
        tick = _TICKS.format("`")
        html = _CODE.format(tick, marked(shown[1:-1]), tick) if is_code else link(shown)
        pieces += [marked(text[reached : found.start()]), html]
        reached = found.start() + len(shown)
    return Markup("").join([*pieces, marked(text[reached:])])


def _trimmed(address: str) -> str:
    """An address at the end of a sentence, or in brackets, without what does not belong to it."""
    shorter = address.rstrip(".,;:!?*_)]}>|…")
    return shorter + ")" if shorter.count("(") > shorter.count(")") and address[len(shorter) :][:1] == ")" else shorter


_SHOWN: Mapping[str, Callable[[str], Markup]] = {
    "text": _inline,
    "opening": _opening,
    "code": marked,
    "closing": lambda line: _TICKS.format(marked(line)),
}
