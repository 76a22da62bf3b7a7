"""The errors that a user can act on.

SpecwatchError
├── SpecError           the spec is wrong: every problem at once (exit code 2)
├── UsageError          the command line is wrong (exit code 2)
├── WriteError          the output folder cannot be written (exit code 3)
└── engines.EngineError an outside program is missing or failed (exit code 3)
"""

from typing import Final

from msgspec import Struct


class Problem(Struct, frozen=True, order=True):
    """One thing that is wrong in the spec: where, what was found, what is expected, what to do.

    Line and column count from one; zero means the file as a whole.
    """

    line: int
    column: int
    message: str

    def text(self, file: str) -> str:
        """Return `file:line:column: message`."""
        return f"{file}:{self.line}:{self.column}: {self.message}" if self.line else f"{file}: {self.message}"


class SpecwatchError(Exception):
    """Anything that stops a command for a reason that a user can act on."""

    exit_code: Final[int]

    def __init__(self, message: str, exit_code: int = 3) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class SpecError(SpecwatchError):
    """The spec is wrong; `problems` has everything that is, in the file's order."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        self.file = file
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(problem.text(file) for problem in self.problems), exit_code=2)


class UsageError(SpecwatchError):
    """The command line asks for something that cannot be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)


class WriteError(SpecwatchError):
    """A generated file cannot be written; says which and why."""
