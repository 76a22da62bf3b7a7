"""Give each component the secret files that it may read."""

import secrets
from pathlib import Path
from typing import Final

from specwatch.engines.errors import FolderError
from specwatch.engines.native.model import Plan, RunFolder, replace

_PASSWORD_BYTES: Final = 24


def write(plan: Plan) -> None:
    """Copy the project's secrets into the run folder, 0600; one that is missing gets its fallback.

    A random password is kept in the project's secrets folder, where the compose runtime and the user find it. Raises
    FolderError for a secret file that is there and cannot be read, OSError for a folder that cannot be written.
    """
    own = Path(plan.project) / "secrets"
    target = RunFolder(Path(plan.folder)).secrets
    for secret in plan.secrets:
        path = own / secret.name
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            text = secret.fallback.encode()
            if secret.password:
                text = secrets.token_urlsafe(_PASSWORD_BYTES).encode()
                own.mkdir(mode=0o700, exist_ok=True)
                replace(path, text)
        except OSError as error:
            raise FolderError(f"secret {secret.name}", f"{path}: {error.strerror}", "make the file readable for this user") from error
        copy = target / secret.component / secret.name
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != text:
            replace(copy, text)
