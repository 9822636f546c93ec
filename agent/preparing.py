"""A node made ready for an agent that is not root: its folders, and its key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.assembly import KEY_FILE
from agent.errors import Fatal
from wire.keys import load_or_create_key
from wire.seal import key_id

if TYPE_CHECKING:
    from pathlib import Path

    from cli.settings import Settings

REGISTRATION = "registration"
FOR_ALL = 0o1777
"""Everybody may leave a file, nobody may touch another's; as /tmp is."""


def prepare_node(settings: Settings, owner: int) -> str:
    """The agent's public key, in a data directory that is `owner`'s alone; raises `Fatal` for what may not be changed.

    Where registration files are read, their folder is made for all. Can be run again, also for another owner.
    """
    directory = settings.data_dir
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Ours first: root without further capabilities goes only where it owns.
        os.chown(directory, os.geteuid(), os.getegid())
        directory.chmod(0o700)
        for path in _files(directory):
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
        name = key_id(load_or_create_key(directory / KEY_FILE).public_key())
        for path in (*_files(directory), directory):
            os.chown(path, owner, owner, follow_symlinks=False)
        if REGISTRATION in settings.attribution:
            settings.registration_dir.mkdir(parents=True, exist_ok=True)
            settings.registration_dir.chmod(FOR_ALL)
    except OSError as error:
        raise Fatal(
            f"{error.filename or directory}: {error.strerror}; run this as root with the capability CHOWN, or make "
            f"{directory} by hand: install -d -o {owner} -m 0700 {directory}"
        ) from error
    return name


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.is_file() and not path.is_symlink()]
