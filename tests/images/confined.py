"""Runs a command as an image's container does: `unshare --mount python confined.py SPECIFICATION`, as root.

The root holds a Python with its standard library, the C library and its neighbours, and the image's own content: no
shell, no other program, no package of the host. It is read-only but for the data directory, and the command runs as the
image's user, with no privilege and no way to one. With `scratch` there is a writable /tmp, as collectors are given.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

PR_SET_NO_NEW_PRIVS = 38
SYSTEM_LIBRARIES = (f"/usr/lib/{platform.machine()}-linux-gnu", "/usr/lib64")
DEVICES = ("/dev/null", "/dev/urandom", "/dev/random")


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def bind(source: Path, root: Path, *, at: Path | None = None, writable: bool = False) -> None:
    target = root / (at or source).relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount("--bind", source, target)
    if not writable:
        mount("-o", "remount,bind,ro", target)


def build(root: Path, specification: dict[str, Any]) -> None:
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "root", root)
    for name in ("usr/bin", "usr/lib", "usr/lib64", "etc", "tmp", "proc"):
        (root / name).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "lib64").symlink_to("usr/lib64")
    (root / "etc/passwd").write_text("nonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n")

    python = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    stdlib = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    shared = Path(str(sysconfig.get_config_var("LIBDIR"))) / str(sysconfig.get_config_var("INSTSONAME"))
    for library in (Path(name) for name in SYSTEM_LIBRARIES if Path(name).is_dir()):
        bind(library, root)
    for needed in (python, stdlib, *([shared] if shared.is_file() and shared.suffix != ".a" else [])):
        bind(needed, root)
    if not (root / "usr/bin/python3").exists():
        (root / "usr/bin/python3").symlink_to(python)
    packages = root / stdlib.relative_to("/") / "site-packages"
    if packages.is_dir():
        mount("-t", "tmpfs", "-o", "ro", "none", packages)

    for device in DEVICES:
        bind(Path(device), root, writable=True)
    mount("--rbind", "/proc", root / "proc")
    bind(Path("/sys/fs/cgroup"), root)
    if specification["scratch"]:
        mount("-t", "tmpfs", "-o", "mode=1777", "none", root / "tmp")
    bind(Path(specification["content"]), root, at=Path("/opt/flopledger"))
    bind(Path(specification["data"]), root, at=Path("/var/lib/flopledger"), writable=True)
    mount("-o", "remount,ro", root)


def become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError("prctl")


def main() -> None:
    specification = json.loads(sys.argv[1])
    root = Path(specification["root"])
    build(root, specification)
    os.chroot(root)
    os.chdir(specification["working_directory"])
    become(*specification["user"])
    program, *arguments = specification["command"]
    os.execvpe(program, [program, *arguments], specification["environ"])


if __name__ == "__main__":
    main()
