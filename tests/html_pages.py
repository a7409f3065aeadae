"""Exports with downloads that tests turn into pages."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from converting import put_bare, text_message
from threadkeep import read
from threadkeep.conversion.formats import html
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import LossReport
from threadkeep.conversion.source import Thread
from threadkeep.storage.index import Outcome

__all__ = ["PNG", "pages_alone", "with_image", "written"]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def with_image(folder: Path, content: bytes, name: str = "file-1.png") -> tuple[Path, dict[str, Path]]:
    """A file with a message that shows a download."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    (folder / name).write_bytes(content)
    out = put_bare(folder / "out.ndjson", [text_message(n, content=[image]) for n in range(2)])
    return out, {"file-1": folder / name}


def written(folder: Path, out: Path, files: Mapping[str, Path], **options: Any) -> tuple[Path, dict[str, int]]:
    """Write the pages of a thread that has downloads, and return the folder and the losses."""
    with read(out) as export, LossReport(io.BytesIO()) as report:
        conversion = Conversion(out=out, options=Options(**options), losses=report)
        threads = [Thread(attrs.evolve(one, files=files, outcome=Outcome.COMPLETE)) for one in export.threads()]
        html.write(threads, folder / "site", conversion)
        return folder / "site", dict(report.totals)


def pages_alone(out: Path, files: Mapping[str, Path]) -> list[str]:
    """The page of each thread by itself."""
    with read(out) as export, LossReport(io.BytesIO()) as report:
        conversion = Conversion(out=out, options=Options(), losses=report)
        threads = [Thread(attrs.evolve(one, files=files)) for one in export.threads()]
        return ["".join(html.page(thread, conversion)) for thread in threads]
