"""The pages of the documentation, and the commands that they show, run in a shell as they are written."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

__all__ = ["DOCS", "OF_THE_FAKE", "README", "anchors", "commands", "run"]

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"

OF_THE_FAKE = [ROOT / "fakeserver" / "README.md", *sorted((ROOT / "fakeserver" / "docs").glob("*.md"))]
"""The pages of fake-assistants."""

# Tools that the pages use to look at what is there, and that a machine may not have. Nothing is installed.
_SHELL = f"""
set -euo pipefail
threadkeep() {{ {sys.executable} -m threadkeep "$@"; }}
curl() {{ :; }}
jq() {{ :; }}
pip() {{ :; }}
"""


def commands(page: str, heading: str | None = None) -> list[str]:
    """Return the blocks of commands of a page of docs/: above its first heading, or below the one that is named."""
    text = (DOCS / page).read_text(encoding="utf-8")
    head, *sections = re.split(r"^##+ ", text, flags=re.M)
    if heading is not None:
        (head,) = (section for section in sections if section.startswith(f"{heading}\n"))
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", head, re.M)]


def run(script: str, folder: Path) -> None:
    """Run the commands one after the other, and show what they printed if one fails."""
    subprocess.run(["bash", "-c", _SHELL + script], cwd=folder, check=True, timeout=300)


def anchors(text: str) -> set[str]:
    """Return the anchors that the headings of a page have."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", without_code, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
