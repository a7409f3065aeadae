"""A text of a message as HTML: citations, code blocks and links are marked, and every character of it stays, in order.

What is foreign is escaped, and made visible as `threadkeep.html_report.visible_text` does it. An attribute holds nothing
foreign but the address of a link, which begins with ``http://`` or ``https://``.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from threadkeep.conversion.content import Spans
from threadkeep.html_report.visible_text import marked, visible
from threadkeep.records.model import FileCitation, FilePath

__all__ = ["Mark", "link", "text_html"]

Mark = Callable[[str, Sequence[FileCitation | FilePath]], Markup]
"""Return what is shown in the place of the marker of citations."""

_FENCE = re.compile(r"^[ \t]*(`{3,})([^`\n]*)(?:\n|\Z)", re.MULTILINE)
_INLINE = re.compile(r"`[^`\n]+`|https?://[^\s<>\"'`“”«»【】]+")
_ADDRESS = re.compile(r"https?://[^\s/][^\s]*", re.IGNORECASE)
_CODE = Markup("<code>{}</code>")
_BLOCK = Markup('<code class="block">{}</code>')
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
    pieces, reached = [], 0
    for is_code, start, end in _blocks(value):
        own = [place for place in places if start <= place[0] < end]
        html = _cited(value, max(start, reached), end, own, marked if is_code else _inline)
        pieces.append(_BLOCK.format(html) if is_code else html)
        reached = max([end, *(behind for _, behind, _ in own)])  # a marker may reach into the next block
    return Markup("").join(pieces)


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


def _blocks(value: str) -> Iterator[tuple[bool, int, int]]:
    """Yield whether it is code, and the range, of each block: as Markdown has fenced code, which may lack its end."""
    start, fence = 0, ""
    for line in _FENCE.finditer(value):
        if not fence:
            if line.start() > start:
                yield False, start, line.start()
            start, fence = line.start(), line[1]
        elif len(line[1]) >= len(fence) and not line[2].strip():
            yield True, start, line.end()
            start, fence = line.end(), ""
    if start < len(value):
        yield bool(fence), start, len(value)


def _inline(text: str) -> Markup:
    if "`" not in text and "://" not in text:
        return marked(text)
    pieces, reached = [], 0
    for found in _INLINE.finditer(text):
        shown = found[0] if found[0].startswith("`") else _trimmed(found[0])
        pieces += [marked(text[reached : found.start()]), _CODE.format(marked(shown)) if shown[0] == "`" else link(shown)]
        reached = found.start() + len(shown)
    return Markup("").join([*pieces, marked(text[reached:])])


def _trimmed(address: str) -> str:
    """An address at the end of a sentence, or in brackets, without what does not belong to it."""
    shorter = address.rstrip(".,;:!?*_)]}>|…")
    return shorter + ")" if shorter.count("(") > shorter.count(")") and address[len(shorter) :][:1] == ")" else shorter
