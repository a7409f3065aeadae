"""The table that benchmarks print: what was measured, beside its reference and what is wanted, and how it is measured.

A benchmark is a list of parts. Each is a function that is told whether to be quick, and gives lines.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, TypeVar

import attrs

__all__ = ["HEAD", "Line", "Part", "best_of", "interleaved", "print_table"]

_T = TypeVar("_T")

HEAD = f"{'what (reference)':<66}{'measured':>15}{'reference':>15}{'ratio':>9}{'wanted':>12}"


@attrs.frozen
class Line:
    """One line. The ratio is held against the limit; the measure itself is, without a reference or where told so.

    Attributes:
        what: was measured, and in parentheses what stands beside it.
        measured: in units.
        reference: likewise; None where there is nothing to compare with.
        limit: what may not be passed.
        unit: of both.
        at_least: whether more is better.
        absolute: whether the measure is judged although there is a reference.
    """

    what: str
    measured: float
    reference: float | None
    limit: float
    unit: str = "s"
    at_least: bool = False
    absolute: bool = False

    def __str__(self) -> str:
        ratio = None if self.reference is None else self.measured / self.reference
        judged = self.measured if self.absolute or ratio is None else ratio
        is_ok = judged >= self.limit if self.at_least else judged <= self.limit
        sign, unit = ">=" if self.at_least else "<=", f" {self.unit}" if self.absolute or ratio is None else "x"
        beside = "-" if self.reference is None else f"{self.reference:.3f} {self.unit}"
        told = "-" if ratio is None else f"{ratio:.2f}x"
        wanted = f"{sign} {self.limit:g}{unit}"
        return f"{self.what:<66}{self.measured:9.3f} {self.unit:<5}{beside:>15}{told:>9}{wanted:>12}  " + (
            "ok" if is_ok else "MISSED"
        )


Part = Callable[[bool], Iterator[Line]]


def interleaved(rounds: int, *things: Callable[[], _T]) -> list[list[_T]]:
    """Call each in turn, so many times round, since machines are noisy; what each gave stands together."""
    given: list[list[_T]] = [[] for _ in things]
    for _ in range(rounds):
        for thing, kept in zip(things, given, strict=True):
            kept.append(thing())
    return given


def best_of(
    rounds: int, calls: int, *things: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> list[float]:
    """The milliseconds of one call of each, by this clock, in its best round."""

    def timed(thing: Callable[[], object]) -> Callable[[], float]:
        def of_one_call() -> float:
            started = clock()
            for _ in range(calls):
                thing()
            return (clock() - started) / calls * 1000

        return of_one_call

    return [min(times) for times in interleaved(rounds, *map(timed, things))]


def print_table(doc: str | None, parts: tuple[Part, ...], *, asked_for: tuple[Part, ...] = ()) -> None:
    """Measure, as the command line says, and print line by line.

    Args:
        doc: what `--help` prints.
        parts: in their order.
        asked_for: likewise, but each only where an option of its name is given.
    """
    names: list[Any] = [part.__name__ for part in (*parts, *asked_for)]
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter runs")
    parser.add_argument("--only", choices=names, help="one part of it")
    for part in asked_for:
        parser.add_argument(f"--{part.__name__}", action="store_true", help=part.__doc__)
    options = parser.parse_args()
    print(f"openai {version('openai')}, Python {sys.version.split()[0]}")
    print(HEAD)
    for part in (*parts, *asked_for):
        usual = part in parts or getattr(options, part.__name__)
        if options.only == part.__name__ or (not options.only and usual):
            for line in part(options.quick):
                print(line, flush=True)
