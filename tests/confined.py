"""A process that confines itself to a folder and then tries what it must not: `python -m tests.confined FOLDER FILE`.

FILE stands outside of the folder, and its text is to stay what it is. Prints what the kernel lacks, and how each try
ended: "done", or the name of the error. Pictures in the folder are decoded, so that what libvips loads late is needed.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "2"

import pyvips

from iuserver.imaging import sandbox

NUMBERS = {"x86_64": {"ptrace": 101, "mount": 165}, "aarch64": {"ptrace": 117, "mount": 40}}[os.uname().machine]
IO_URING_SETUP = 425
MS_REMOUNT = 32
PTRACE_ATTACH = 16
INHERITED, _ = socket.socketpair()


def call(number: int, *arguments: int | bytes) -> None:
    if sandbox.LIBC.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def cut(path: Path) -> None:
    os.close(os.open(path, os.O_ACCMODE | os.O_TRUNC))


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def of_files(folder: Path, outside: Path) -> dict[str, Callable[[], object]]:
    """What Landlock stops."""
    return {
        "read": outside.read_text,
        "write": lambda: outside.open("r+"),
        "overwrite": lambda: outside.write_text(""),
        "list": lambda: os.listdir(outside.parent),
        "make": lambda: (outside.parent / "new").touch(),
        "make a folder": lambda: (folder / "new").mkdir(),
        "remove": outside.unlink,
        "take in": lambda: os.link(outside, folder / "taken"),
        "let out": lambda: os.link(folder / "own", outside.parent / "let out"),
        "read /proc": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    }


def of_calls(folder: Path, outside: Path) -> dict[str, Callable[[], object]]:
    """What the filter of calls stops."""
    parent = os.getppid()
    return {
        "socket": socket.socket,
        "socketpair": socket.socketpair,
        "bind": lambda: INHERITED.bind(str(folder / "socket")),
        "connect": lambda: INHERITED.connect("/nowhere"),
        "listen": INHERITED.listen,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "exec of a file": lambda: os.execve(os.open(folder / "own", os.O_RDONLY), ["own"], {}),
        "fork": fork,
        "kill": lambda: os.kill(parent, signal.SIGWINCH),
        "pidfd_open": lambda: os.pidfd_open(parent),
        "prlimit": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
        "ptrace": lambda: call(NUMBERS["ptrace"], PTRACE_ATTACH, parent, 0, 0),
        "mount": lambda: call(NUMBERS["mount"], b"none", bytes(folder), b"tmpfs", 0, 0),
        "io_uring": lambda: call(IO_URING_SETUP, 1, bytes(120)),
        "truncate": lambda: os.truncate(outside, 0),
        "cut while opening": lambda: cut(outside),
        "chmod": lambda: outside.chmod(0o777),
        "utime": lambda: os.utime(outside),
    }


def allowed(folder: Path) -> dict[str, Callable[[], object]]:
    """What a worker does."""
    return {
        "write": lambda: (folder / "a").write_text("a"),
        "read": (folder / "a").read_text,
        "link": lambda: os.link(folder / "a", folder / "b"),
        "remove": (folder / "b").unlink,
        "cut": lambda: os.ftruncate(os.open(folder / "a", os.O_WRONLY), 0),
        "temporary file": lambda: os.open(folder, os.O_RDWR | os.O_TMPFILE),
        "thread": threading.Thread(target=int).start,
        "limits": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000)),
        "send": lambda: INHERITED.send(b"."),
        "traceback": crash,
        **{path.name: lambda path=path: decode(path) for path in sorted(folder.glob("picture.*"))},
    }


def crash() -> None:
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        assert traceback.format_exc().endswith("RuntimeError: a bug\n")


def decode(path: Path) -> None:
    pyvips.Image.new_from_file(str(path)).rot90().write_to_buffer(path.suffix)


def ended(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def main(folder: Path, outside: Path) -> None:
    (folder / "own").touch(0o755)
    tries = {"Landlock": of_files(folder, outside), "seccomp": of_calls(folder, outside), "": allowed(folder)}
    missing = sandbox.confine(str(folder))
    there = {part for part in tries if not any(part and part in lack for lack in missing)}
    results = {part: {name: ended(attempt) for name, attempt in tries[part].items()} for part in sorted(there)}
    print(json.dumps({"missing": missing, "tries": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
