"""Cases and their results."""

from collections.abc import Callable
from typing import Literal

import attrs

from fake_assistants.conformance.api import Api, Service

# The evidence that the real API behaves so. "inferred" is a guess from recorded similar cases; "own" is a feature of
# the fake alone.
Evidence = Literal["recorded", "quoted", "spec", "SDK", "inferred", "own"]

# "control" is the fake's control API; "raw" are requests that no SDK sends, such as a body that is not JSON.
Need = Literal["control", "raw"]

SERVICES: tuple[Service, ...] = ("openai", "azure", "foundry")

Outcome = Literal["ok", "deviates", "not applicable"]


@attrs.frozen
class Case:
    """One behaviour, of `services`. `check` raises Deviation or NotApplicable; its docstring describes it."""

    area: str
    name: str
    evidence: Evidence
    check: Callable[[Api], None]
    needs: tuple[Need, ...] = ()
    services: tuple[Service, ...] = SERVICES

    def __str__(self) -> str:
        return f"{self.area}/{self.name}"

    @property
    def promise(self) -> str:
        """The expected behaviour, in one line."""
        return (self.check.__doc__ or "").strip().partition("\n")[0]


@attrs.frozen
class Result:
    """The result of a case. `detail` describes the deviation, or why the case does not apply."""

    case: Case
    outcome: Outcome
    detail: str | None = None

    def json(self) -> dict[str, str | None]:
        """Return the result as a JSON object."""
        return {
            "area": self.case.area,
            "name": self.case.name,
            "evidence": self.case.evidence,
            "outcome": self.outcome,
            "detail": self.detail,
        }
