"""Servers in processes of their own, for benchmarks."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping

__all__ = ["FAKE", "listening"]

FAKE = ("from fake_assistants.cli import main; main()", "serve", "--port", "0")
"""The fake, on a free port; more options may follow."""


@contextlib.contextmanager
def listening(code: str, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run Python code that prints, in its first line, `listening on` an address; gives the address."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
