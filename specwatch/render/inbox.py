"""The inbox's image: its sources as they are installed here, so that compose can build it on any machine."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from specwatch import names
from specwatch.components import INBOX as COMPONENT
from specwatch.components import INBOX_SMTP_PORT
from specwatch.stack import Stack
from specwatch.topology import Topology

PYTHON: Final = "/opt/inbox/bin/python"

_LOCK: Final = "requirements.lock"
_BASE: Final = "python:3.13-slim-bookworm"
_SKIPPED: Final = ("__pycache__", _LOCK)


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return the build context below `inbox/`: Dockerfile, pinned requirements with their hashes, and the program."""
    if not stack.has("inbox"):
        return {}
    package = files("specwatch.inbox")
    sources = {f"inbox/inbox/{path}": text for path, text in sorted(_texts(package))}
    return {
        "inbox/Dockerfile": _dockerfile(stack, topology),
        "inbox/requirements.txt": (package / _LOCK).read_text(encoding="utf-8"),
        **sources,
    }


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer is called alike
    """Return what Python is called with to run the inbox: in its image it is a package of its own, elsewhere a part of specwatch."""
    module = "inbox" if topology.runtime == "compose" else f"{__package__.partition('.')[0]}.inbox"
    host = topology.listen["inbox"].rpartition(":")[0]
    port = topology.address("inbox-smtp").rpartition(":")[2]
    database = f"{topology.data['inbox']}/inbox.db"
    return ("-m", module, "--http", topology.listen["inbox"], "--smtp", f"{host}:{port}", "--database", database)


def _dockerfile(stack: Stack, topology: Topology) -> str:
    uid, _, gid = COMPONENT.user.partition(":")
    data = topology.data["inbox"]
    return "\n".join(
        (
            *(f"# {line}" for line in names.header(stack).splitlines()),
            "# Any base with python3 >= 3.11 and its venv module will do: docker compose build --build-arg BASE=… inbox",
            f"ARG BASE={_BASE}",
            "FROM ${BASE}",
            "COPY requirements.txt /opt/",
            "RUN python3 -m venv /opt/inbox \\",
            f" && {PYTHON} -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/requirements.txt",
            "WORKDIR /srv",
            "COPY inbox inbox",
            "# The files keep the modes that they have on the host, which may be for their owner alone.",
            f"RUN chmod -R a+rX inbox && {PYTHON} -m compileall -q inbox && install -d -o {uid} -g {gid} -m 0700 {data}",
            "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1",
            f"USER {COMPONENT.user}",
            f"EXPOSE {COMPONENT.port} {INBOX_SMTP_PORT}",
            f'ENTRYPOINT ["{PYTHON}"]',
            "",
        )
    )


def _texts(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.name in _SKIPPED:
            continue
        if entry.is_dir():
            yield from _texts(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_text(encoding="utf-8")
