"""Whether somebody else may have written a file: what a checksum in the same place cannot tell."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def others_can_write(path: Path) -> str | None:
    """Return why another user may have written a file or folder, as a phrase such as "belongs to ann".

    None where nobody else can. The system's administrator is not another user. Neither is the user's own
    group, which Debian makes for each user, and which has no other member. Windows has no such rights: None.
    Raises OSError.
    """
    if not hasattr(os, "geteuid"):
        return None
    found = path.lstat()
    if found.st_uid not in (0, os.geteuid()):
        return f"belongs to {_user(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode):  # Its mode means nothing.
        return "is a link"
    if found.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    if found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid):
        return f"can be written by the group {_group(found.st_gid)}"
    return None


def _is_own_group(number: int) -> bool:
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return number == user.pw_gid and group.gr_name == user.pw_name and not {*group.gr_mem} - {user.pw_name}


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
