"""Give each component the secret files that it may read."""

import secrets
import string
from pathlib import Path
from typing import TYPE_CHECKING, Final

from specwatch.engines.errors import FolderError
from specwatch.engines.native.model import RunFolder, replace
from specwatch.names import SECRETS_FOLDER

if TYPE_CHECKING:
    from specwatch.engines.native.plan import Plan

_ALPHABET: Final = string.ascii_letters + string.digits
_PASSWORD_LENGTH: Final = 32


def write(plan: "Plan") -> None:
    """Copy the project's secrets into the run folder, for this user alone; one that is missing or empty gets its fallback.

    A random password is kept in the project's secrets folder, where the compose runtime and the user find it. Raises FolderError
    for secrets that only the user can supply and for one that cannot be read, OSError for a folder that cannot be written.
    """
    own = Path(plan.project) / SECRETS_FOLDER
    target = RunFolder(Path(plan.folder)).secrets
    texts = {}
    for secret in plan.secrets:
        path = own / secret.name
        # Not every component takes away the newline that editors end a file with.
        text = _read(path).rstrip(b"\n")
        if not text and secret.fallback == "password":
            text = "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH)).encode()
            own.mkdir(mode=0o700, exist_ok=True)
            replace(path, text)
        texts[f"{secret.component}/{secret.name}"] = text or secret.text.encode()
    missing = dict.fromkeys(name for name, text in texts.items() if not text)
    if missing:
        needs = ", ".join(f"{SECRETS_FOLDER}/{name.partition('/')[2]} ({name.partition('/')[0]})" for name in missing)
        raise FolderError("secrets", f"missing or empty: {needs}", "put what the component needs into the file, mode 0600, and start again")
    for name, text in texts.items():
        copy = target / name
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != text:
            replace(copy, text)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target).as_posix() not in texts:
            path.unlink()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise FolderError(f"{SECRETS_FOLDER}/{path.name}", error.strerror or "cannot be read", "make it readable for this user") from error
