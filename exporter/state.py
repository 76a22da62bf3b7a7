"""Where the workers keep what they share: the shop's database, the fault switches, the metric files."""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return the state folder, made when it is missing: `SHOP_STATE_DIR`, or one for this user in the temp folder.

    Raises:
        OSError: the folder cannot be made.
        PermissionError: the default folder is not ours alone: its name can be guessed, so another user may have
            put it, or a link, there first.
    """
    chosen = environ.get("SHOP_STATE_DIR")
    if chosen:
        folder = Path(chosen)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder
    folder = Path(tempfile.gettempdir()) / f"specwatch-shop-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"{folder} is not a folder of user {os.getuid()} alone (mode 0700); remove it, or name another folder in SHOP_STATE_DIR"
        )
    return folder
