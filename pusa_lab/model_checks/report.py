"""What a check of a model found: one line per check."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["passed", "failed", "equal only", "inconclusive"]
"""The result of one check. "equal only" is for a model with one timestep for all frames; "inconclusive" for a check
that needs trained weights, or needs an earlier one to pass."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    name: str
    """Name of the check, such as "batch"."""
    verdict: Verdict
    """How it ended."""
    sentence: str
    """What was measured; for a fault, what is wrong and what to do."""


def failed(name: str, sentence: str) -> Finding:
    """The finding of a check that failed.

    Args:
        name: of the check.
        sentence: what is wrong and what to do.
    """
    return Finding(name, "failed", sentence)


@dataclass(frozen=True, repr=False)
class ModelReport:
    """What `check_model` found; it prints as a table."""

    findings: tuple[Finding, ...]
    """One per check, in the order in which they were made."""

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.faults

    @property
    def faults(self) -> list[Finding]:
        """The checks that failed."""
        return [found for found in self.findings if found.verdict == "failed"]

    def __repr__(self) -> str:
        rows = [("check", "verdict", "found"), *((f.name, f.verdict, f.sentence) for f in self.findings)]
        wide = [max(len(row[i]) for row in rows) for i in range(2)]
        return "\n".join(f"{name:{wide[0]}}  {verdict:{wide[1]}}  {sentence}" for name, verdict, sentence in rows)
