"""A process that confines itself to a folder and then tries what it must not: `python -m tests.confined FOLDER FILE`.

FILE stands outside of the folder, and its text is to stay what it is. Prints "put" when `FOLDER/handed over` is to be
stored, and goes on at the next line of its input. Then it prints what the kernel lacks, and how each try ended: "done",
or the name of the error. Pictures in the folder are decoded, so that what libvips loads late is needed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import termios
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "2"

import pyvips

from iuserver.imaging import sandbox, wire

COLUMN = ("x86_64", "aarch64").index(os.uname().machine)
NUMBERS = {
    "ptrace": (101, 117),
    "mount": (165, 40),
    "tkill": (200, 130),
    "ioprio_set": (251, 30),
    "shmget": (29, 194),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_unlink": (240 + 1, 180 + 1),
    "inotify_init1": (294, 26),
    "sched_setattr": (314, 274),
    "io_setup": (206, 0),
}
PIDFD_SEND_SIGNAL = 424
IO_URING_SETUP = 425
MS_REMOUNT = 32
PTRACE_ATTACH = 16
F_SETOWN_EX, F_SETSIG, F_OWNER_PID = 15, 10, 1
INHERITED, OTHER = socket.socketpair()
ABSTRACT = f"\0iuserver-test-{os.getpid()}"


def call(number: int, *arguments: int | bytes) -> None:
    if sandbox.LIBC.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def named(name: str, *arguments: int | bytes) -> None:
    call(NUMBERS[name][COLUMN], *arguments)


def reopened(file: int, mode: int) -> int:
    """A descriptor opened anew: the kernel looks at the file's own rights, and not at its path."""
    return os.open(f"/proc/self/fd/{file}", mode)


def buffer() -> int:
    """The descriptor of shared memory that a worker gets."""
    server, worker = socket.socketpair()
    kept.append(wire.send_buffer(server))
    return socket.recv_fds(worker, 1, 1)[1][0]


kept: list[mmap.mmap] = []


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


def of_scopes() -> dict[str, Callable[[], object]]:
    """What the scopes of Landlock stop, where no filter of calls has done so before."""
    parent = os.getppid()
    return {
        "signal": lambda: os.kill(parent, signal.SIGWINCH),
        "abstract socket": lambda: socket.socket(socket.AF_UNIX).connect(ABSTRACT),
    }


def of_slot(file: int) -> dict[str, Callable[[], object]]:
    """What the seals of the shared memory stop."""
    return {
        "write": lambda: os.pwrite(file, b"x", 0),
        "map to write": lambda: mmap.mmap(file, 1, prot=mmap.PROT_WRITE),
        "write anew": lambda: os.pwrite(reopened(file, os.O_RDWR), b"x", 0),
        "grow anew": lambda: os.ftruncate(reopened(file, os.O_RDWR), wire.SHARED_BUFFER_BYTES + 1),
        "map to write anew": lambda: mmap.mmap(reopened(file, os.O_RDWR), 1, prot=mmap.PROT_WRITE),
        "shrink anew": lambda: os.ftruncate(reopened(file, os.O_RDWR), 0),
        "shrink": lambda: os.ftruncate(file, 0),
    }


def of_blob(folder: Path) -> dict[str, Callable[[], object]]:
    """Ways back into a file that has become a blob: each stands open, or has a name, since before."""
    path = folder / "handed over"
    path.write_bytes(b"clean")
    os.link(path, folder / "another name")
    os.link(path, folder / "gone name")
    descriptors = {
        "a descriptor": os.open(path, os.O_RDONLY),
        "a descriptor by a name that is gone": os.open(folder / "gone name", os.O_RDONLY),
        "a descriptor without rights": os.open(path, os.O_PATH),
    }
    (folder / "gone name").unlink()
    return {
        **{name: lambda file=file: reopened(file, os.O_WRONLY) for name, file in descriptors.items()},
        "the name it had": lambda: os.open(path, os.O_WRONLY),
        "another name": lambda: os.open(folder / "another name", os.O_RDWR),
        "cut": lambda: os.truncate(folder / "another name", 0),
        "mode": lambda: os.fchmod(descriptors["a descriptor"], 0o600),
        "mode by name": lambda: (folder / "another name").chmod(0o600),
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
        "tkill": lambda: named("tkill", parent, 0),
        "pidfd_send_signal": lambda: call(PIDFD_SEND_SIGNAL, 0, 0, 0, 0),
        "signals to another": lambda: fcntl.fcntl(INHERITED, fcntl.F_SETOWN, parent),
        "signals to another's thread": lambda: fcntl.fcntl(
            INHERITED, F_SETOWN_EX, struct.pack("ii", F_OWNER_PID, parent)
        ),
        "which signal": lambda: fcntl.fcntl(INHERITED, F_SETSIG, signal.SIGWINCH),
        "have signals sent": lambda: fcntl.fcntl(INHERITED, fcntl.F_SETFL, os.O_ASYNC),
        "have signals sent, by ioctl": lambda: fcntl.ioctl(INHERITED, termios.FIOASYNC, struct.pack("i", 1)),
        "lease": lambda: fcntl.fcntl(os.open(folder / "own", os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent)),
        "scheduler": lambda: os.sched_setscheduler(parent, os.sched_getscheduler(parent), os.sched_param(0)),
        "scheduler's attributes": lambda: named("sched_setattr", parent, struct.pack("IIQiIQQQ", 48, *[0] * 7), 0),
        "processors": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
        "priority of its disk": lambda: named("ioprio_set", 1, parent, 0),
        "process group": lambda: os.setpgid(0, 0),
        "shared memory": lambda: os.memfd_create("mine"),
        "shared memory without a name": lambda: mmap.mmap(-1, mmap.PAGESIZE),
        "shared memory by key": lambda: named("shmget", 0, mmap.PAGESIZE, 0o600),
        "shared memory of others": lambda: named("shmctl", 0, 0, 0),
        "queue": lambda: named("msgget", 0, 0o600),
        "semaphores": lambda: named("semget", 0, 1, 0o600),
        "queue's name": lambda: named("mq_unlink", b"queue"),
        "watch": lambda: named("inotify_init1", 0),
        "disk behind one's back": lambda: named("io_setup", 1, bytes(8)),
        "ptrace": lambda: named("ptrace", PTRACE_ATTACH, parent, 0, 0),
        "mount": lambda: named("mount", b"none", bytes(folder), b"tmpfs", 0, 0),
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
        "flags": lambda: fcntl.fcntl(OTHER, fcntl.F_SETFL, fcntl.fcntl(OTHER, fcntl.F_GETFL) | os.O_NONBLOCK),
        "duplicate": lambda: os.dup(0),
        "map": lambda: mmap.mmap(os.open(folder / "own", os.O_RDONLY), 1, prot=mmap.PROT_READ),
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
    (folder / "own").write_bytes(b"own")
    (folder / "own").chmod(0o755)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(ABSTRACT)
    listening.listen()
    tries = {
        "Landlock": of_files(folder, outside),
        "Landlock's scopes": of_scopes(),
        "seccomp": of_calls(folder, outside),
        "buffer": of_slot(buffer()),
        "blob": of_blob(folder),
        "": allowed(folder),
    }
    missing = sandbox.confine(str(folder))
    print("put", flush=True)
    sys.stdin.readline()
    lacking = {lack.rpartition(" (")[0] for lack in missing}
    there = {part for part in tries if part not in lacking and not (part == "blob" and "seccomp" in lacking)}
    results = {part: {name: ended(attempt) for name, attempt in tries[part].items()} for part in sorted(there)}
    print(json.dumps({"missing": missing, "tries": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
