"""Count the tokens of an image by the rules that OpenAI publishes for its models."""

import base64
import math
import re
from collections.abc import Callable
from typing import Any

import attrs

from threadkeep.history.counting.encodings import base_model

__all__ = ["image_tokens"]

Size = tuple[int, int]

_SHORT_SIDE, _LONG_SIDE, _TILE = 768, 2048, 512
_MOST_TILES = 8
_PATCH, _MOST_PATCHES = 32, 1536
_HEADER = 262_144  # of base64: behind the metadata that a camera writes comes the size
_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,")


@attrs.frozen
class _Tiles:
    """A price for the image, and one for each tile of 512 x 512."""

    base: int
    tile: int

    def tokens(self, size: Size | None) -> int:
        return self.base + self.tile * (_MOST_TILES if size is None else _tiles(*size))


@attrs.frozen
class _Patches:
    """A price for each patch of 32 x 32, of which there are at most 1,536: a larger image is scaled down."""

    factor: float

    def tokens(self, size: Size | None) -> int:
        return math.ceil((_MOST_PATCHES if size is None else _patches(*size)) * self.factor)


_RULES: tuple[tuple[re.Pattern[str], _Tiles | _Patches], ...] = (
    (re.compile(r"(gpt-4\.1|gpt-5(\.\d+)?)-nano"), _Patches(2.46)),
    (re.compile(r"(gpt-4\.1|gpt-5(\.\d+)?)-mini"), _Patches(1.62)),
    (re.compile(r"o4-mini"), _Patches(1.72)),
    (re.compile(r"gpt-4o-mini"), _Tiles(2833, 5667)),
    (re.compile(r"(chat)?gpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-"), _Tiles(85, 170)),
    (re.compile(r"gpt-5"), _Tiles(70, 140)),
    (re.compile(r"o[13]"), _Tiles(75, 150)),
    (re.compile(r"computer-use"), _Tiles(65, 129)),
    (re.compile(r""), _Patches(2.46)),
)


def image_tokens(image: Any, detail: object, model: str | None) -> int:
    """Return the tokens of an image.

    Its width and height are read from a data URL of PNG, GIF, WebP or JPEG. Where they are not known, the result is the
    most that the model's rule can give. For a model that has no rule here, it is that of the dearest patches.

    Args:
        image: its URL; anything else counts as an image of unknown size.
        detail: ``low`` is the price without tiles.
        model: as for `count_tokens`.
    """
    rule = next(rule for pattern, rule in _RULES if pattern.match(base_model(model or "")))
    if isinstance(rule, _Tiles) and detail == "low":
        return rule.base
    return rule.tokens(_size(image) if isinstance(image, str) else None)


def _tiles(wide: int, high: int) -> int:
    """Return the tiles of an image whose short side is scaled to 768, or its long side to 2,048 if that is smaller."""
    short, long = sorted((wide, high))
    if long * _SHORT_SIDE > short * _LONG_SIDE:
        new, old = _LONG_SIDE, long
    else:
        new, old = _SHORT_SIDE, short
    across, down = (-(-side * new // (old * _TILE)) for side in (wide, high))
    return across * down


def _patches(wide: int, high: int) -> int:
    """Return the patches of an image. One that has too many is scaled so that they fill its width or its height."""
    patches = -(-wide // _PATCH) * -(-high // _PATCH)
    if patches <= _MOST_PATCHES:
        return patches
    across, down = (max(1, math.isqrt(_MOST_PATCHES * side // other)) for side, other in ((wide, high), (high, wide)))
    if across * high <= down * wide:  # the width is filled
        down = -(-across * high // wide)
    else:
        across = -(-down * wide // high)
    return min(_MOST_PATCHES, across * down)


def _size(url: str) -> Size | None:
    """Return the width and the height of the image in a data URL, if they can be read."""
    found = _DATA_URL.match(url)
    if found is None:
        return None
    coded = url[found.end() : found.end() + _HEADER]
    try:
        content = base64.b64decode(coded[: len(coded) // 4 * 4])
    except ValueError:
        return None
    sizes = (read(content) for read in _READERS)
    return next((size for size in sizes if size is not None and min(size) > 0), None)


def _png(content: bytes) -> Size | None:
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def _gif(content: bytes) -> Size | None:
    if not content.startswith((b"GIF87a", b"GIF89a")):
        return None
    return int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little")


def _webp(content: bytes) -> Size | None:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    if content[12:16] == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if content[12:16] == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(content[26:28], "little") & 0x3FFF, int.from_bytes(content[28:30], "little") & 0x3FFF


def _jpeg(content: bytes) -> Size | None:
    """Read the size from the frame header, which comes behind any number of segments."""
    if not content.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


_READERS: tuple[Callable[[bytes], Size | None], ...] = (_png, _gif, _webp, _jpeg)
