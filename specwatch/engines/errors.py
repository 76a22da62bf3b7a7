"""What can go wrong with outside programs. The command line answers each with exit code 3.

EngineError
├── ProgramError        a program that is needed is not there or does not answer
├── PortError           a port that is needed belongs to somebody else
├── FolderError         a file or folder cannot be read or written
├── BusyError           another command is at work on the same stack
├── StartError          something started and did not become ready
├── StopError           something did not end
├── NotRunningError     the stack is not up
├── UnknownNameError    there is no part of that name
└── DockerError         Docker or Compose
    ├── NoClientError       no docker command
    ├── NoComposeError      no Compose plugin, or one that is too old
    ├── NoDaemonError       no engine answers
    ├── NoPermissionError   an engine is there, and this user may not use it
    └── NoImageError        an image is neither here nor to be had
"""

from specwatch.errors import SpecwatchError


class EngineError(SpecwatchError):
    """A failure of an outside program: `what` failed, `why`, and the `remedy`; the text has all three."""

    def __init__(self, what: str, why: str, remedy: str = "") -> None:
        super().__init__("\n".join(filter(None, (f"{what}: {why}", remedy))))
        self.what = what
        self.why = why
        self.remedy = remedy


class ProgramError(EngineError):
    """A program that is needed is not there or does not answer."""


class PortError(EngineError):
    """A port that is needed belongs to somebody else."""


class FolderError(EngineError):
    """A file or folder cannot be read or written."""


class BusyError(EngineError):
    """Another command is at work on the same stack."""


class StartError(EngineError):
    """Something started and did not become ready."""


class StopError(EngineError):
    """Something did not end."""


class NotRunningError(EngineError):
    """The stack is not up."""


class UnknownNameError(EngineError):
    """There is no part of that name."""


class DockerError(EngineError):
    """Docker or Compose failed."""


class NoClientError(DockerError):
    """There is no docker command."""


class NoComposeError(DockerError):
    """There is no Compose plugin, or one that is too old."""


class NoDaemonError(DockerError):
    """No engine answers."""


class NoPermissionError(DockerError):
    """An engine is there, and this user may not use it."""


class NoImageError(DockerError):
    """An image is neither here nor to be had."""
