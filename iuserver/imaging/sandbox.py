"""The worker sandbox: before its first job, a worker permanently gives up all rights that a parser does not need.

Linux offers four mechanisms. Any process may ask for them, and none can be undone:

- no_new_privs, prctl(2): nothing that is executed gains privileges. Landlock and seccomp require it.
- capabilities(7): a worker of a server that runs as root is an ordinary user's process.
- Landlock, landlock(7) and linux/landlock.h: files can be opened, created, linked, truncated or removed below one
  folder only. Its scopes stop signals, and connections to abstract sockets, from leaving the sandbox.
- seccomp, seccomp(2), linux/seccomp.h and linux/filter.h: a small program filters every system call by its number.

The filter is a denylist: Python, glibc and libvips make other calls in each version, and one that was forgotten would
fail every upload. Only for fcntl(2), which has a command for everything, there is an allowlist. Calls newer than Linux
5.0 fail as if they did not exist; that includes io_uring, which could create sockets.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
SET_SECCOMP, FILTER, SET_NO_NEW_PRIVS = 22, 2, 38  # prctl(2)

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # on every machine
VERSION, BENEATH = 1, 1
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights a version of Landlock knows, from the lowest bit on; from version 5 (Linux 6.10) it is 16."""
WRITE, READ, REMOVE, MAKE, CUT = 1 << 1, 1 << 2, 1 << 5, 1 << 8, 1 << 14  # regular files
SCOPED = 6
"""The version of Landlock that came with scopes (Linux 6.12)."""
SCOPES = 1 << 0 | 1 << 1  # abstract unix sockets, signals

CAPABILITIES_V3 = 0x20080522  # linux/capability.h
DAC_READ_SEARCH = 1 << 2
"""The one capability to keep, where there are any: the spool may be in a folder that only its owner may enter."""

LOAD, AND, EQUAL, AT_LEAST, ANSWER = 0x20, 0x54, 0x15, 0x35, 0x06  # LD|W|ABS, ALU|AND|K, JMP|JEQ|K, JMP|JGE|K, RET|K
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
KILL, ALLOW, REFUSE, UNKNOWN = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
MACHINES = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2)}
"""AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h, and the column of the tables below."""
LINUX_5_1 = 424
"""The first number that came with Linux 5.1; from here on every machine counts alike."""

# Each with its number on x86_64 (asm/unistd_64.h) and on aarch64 (asm-generic/unistd.h).
REFUSED = """
    socket 41 198            socketpair 53 199        bind 49 200              listen 50 201
    accept 43 202            accept4 288 242          connect 42 203           ioctl 16 29
    execve 59 221            execveat 322 281         fork 57 -                vfork 58 -
    unshare 272 97           setns 308 268            chroot 161 51            pivot_root 155 41
    mount 165 40             umount2 166 39           swapon 167 224           swapoff 168 225
    ptrace 101 117           process_vm_readv 310 270 process_vm_writev 311 271 kcmp 312 272
    kill 62 129              tkill 200 130            rt_sigqueueinfo 129 138  rt_tgsigqueueinfo 297 240
    shmat 30 196             semop 65 193             semtimedop 220 192       mq_open 240 180
    msgsnd 69 189            msgrcv 70 188            perf_event_open 298 241  userfaultfd 323 282
    bpf 321 280              keyctl 250 219           add_key 248 217          request_key 249 218
    init_module 175 105      finit_module 313 273     delete_module 176 106    kexec_load 246 104
    kexec_file_load 320 294  reboot 169 142           syslog 103 116           acct 163 89
    settimeofday 164 170     clock_settime 227 112    adjtimex 159 171         clock_adjtime 305 266
    sethostname 170 161      setdomainname 171 162    iopl 172 -               ioperm 173 -
    open_by_handle_at 304 265 quotactl 179 60         modify_ldt 154 -         truncate 76 45
    chmod 90 -               fchmod 91 52             fchmodat 268 53          utimensat 280 88
    chown 92 -               lchown 94 -              fchown 93 55             fchownat 260 54
    setxattr 188 5           lsetxattr 189 6          fsetxattr 190 7          utime 132 -
    removexattr 197 14       lremovexattr 198 15      fremovexattr 199 16      utimes 235 -
    futimesat 261 -
    setpriority 141 140      ioprio_set 251 30        setpgid 109 154          migrate_pages 256 238
    sched_setparam 142 118   sched_setscheduler 144 119 sched_setaffinity 203 122 sched_setattr 314 274
    move_pages 279 239       memfd_create 319 279     io_setup 206 0           io_submit 209 2
    inotify_init 253 -       inotify_init1 294 26     fanotify_init 300 262    mq_unlink 241 181
    shmget 29 194            shmctl 31 195            semget 64 190            semctl 66 191
    msgget 68 186            msgctl 71 187
"""
JUDGED = "clone 56 220 prlimit64 302 261 tgkill 234 131 open 2 - openat 257 56 mmap 9 222 fcntl 72 25"
CLONE_THREAD, WHOLE = 0x10000, 0xFFFFFFFF
SHARED_MEMORY = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
"""Memory of a kind that RLIMIT_DATA does not count; so is that of memfd_create and shmget."""
F_SETOWN, F_DUPFD_CLOEXEC = 8, 1030
"""fcntl's commands of linux/fcntl.h: below the first are those for duplicates, flags and locks."""


def confine(folder: str) -> list[str]:
    """Keep the files below `folder`, what is open, memory and threads, and nothing else.

    To be called while there is one thread: those to come are confined with it. Returns what this kernel lacks, each
    part with the reason; an error of the kernel's is no reason to have no workers.
    """
    missing = []
    parts: dict[str, Callable[[], Any]] = {
        "no_new_privs": lambda: _call(LIBC.prctl, SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        "dropped capabilities": _drop_capabilities,
        "Landlock": lambda: _restrict_files(folder),
        "Landlock's scopes": _check_scopes,
        "seccomp": _restrict_calls,
    }
    for name, part in parts.items():
        try:
            part()
        except OSError as error:
            missing.append(f"{name} ({error.strerror})")
    return missing


def _call(function: Any, *arguments: int) -> int:
    """Call into the C library. Raises OSError."""
    result: int = function(*map(ctypes.c_long, arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _drop_capabilities() -> None:
    """Keep no right of root's but to enter folders. Raises OSError."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITIES_V3, 0))  # struct __user_cap_header_struct
    sets = ctypes.create_string_buffer(24)  # effective, permitted and inheritable: their lower halves, then the upper
    _call(LIBC.capget, ctypes.addressof(header), ctypes.addressof(sets))
    kept = struct.unpack("=6I", sets.raw)[1] & DAC_READ_SEARCH
    sets.raw = struct.pack("=6I", kept, kept, 0, 0, 0, 0)
    _call(LIBC.capset, ctypes.addressof(header), ctypes.addressof(sets))


def _restrict_files(folder: str) -> None:
    """Deny every right that this Landlock knows, and grant some of them below a folder; let neither signals nor
    connections to abstract sockets leave this process, where it can. Raises OSError."""
    version = _landlock_version()
    known = (1 << RIGHTS.get(version, 16)) - 1
    fields = (
        (known, 0, SCOPES) if version >= SCOPED else (known,)
    )  # struct landlock_ruleset_attr: files, network, scopes
    handled = (ctypes.c_uint64 * len(fields))(*fields)
    ruleset = _call(LIBC.syscall, CREATE_RULESET, ctypes.addressof(handled), ctypes.sizeof(handled), 0)
    beneath = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        granted = (WRITE | READ | REMOVE | MAKE | CUT) & known
        rule = ctypes.create_string_buffer(struct.pack("=Qi", granted, beneath))  # struct landlock_path_beneath_attr
        _call(LIBC.syscall, ADD_RULE, ruleset, BENEATH, ctypes.addressof(rule), 0)
        _call(LIBC.syscall, RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(beneath)
        os.close(ruleset)


def _check_scopes() -> None:
    """Raises OSError where Landlock has no scopes; else they were restricted with the files."""
    if (version := _landlock_version()) < SCOPED:
        raise OSError(errno.ENOSYS, f"version {version}, they came with {SCOPED}")


def _landlock_version() -> int:
    return _call(LIBC.syscall, CREATE_RULESET, 0, 0, VERSION)


def _restrict_calls() -> None:
    """Have every system call judged from now on. Raises OSError."""
    machine = os.uname().machine
    if machine not in MACHINES or sys.maxsize < 1 << 32:  # a 32-bit program on a 64-bit kernel counts otherwise
        raise OSError(errno.ENOSYS, f"not known for {machine} with {struct.calcsize('P') * 8} bits")
    install(b"".join(_program(*MACHINES[machine])))


def install(steps: bytes) -> None:
    """Have a program judge the system calls of this process and its children, beside those that do. Raises OSError."""
    program = ctypes.create_string_buffer(steps, len(steps))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(steps) // 8, ctypes.addressof(program)))  # sock_fprog
    _call(LIBC.prctl, SET_SECCOMP, FILTER, ctypes.addressof(header), 0, 0)


def _program(machine: int, column: int) -> Iterator[bytes]:
    """The program. A call that is judged by no step is allowed."""
    yield _step(LOAD, MACHINE) + _step(EQUAL, machine, 1, 0) + _step(ANSWER, KILL)
    yield _step(LOAD, NUMBER) + _step(AT_LEAST, LINUX_5_1, 0, 1) + _step(ANSWER, UNKNOWN)
    judged = _numbers(JUDGED, column)
    yield _judge(judged["clone"], 0, CLONE_THREAD, CLONE_THREAD, ALLOW, REFUSE)  # threads, and no processes
    yield _judge(judged["prlimit64"], 0, WHOLE, 0, ALLOW, REFUSE)  # its own limits
    yield _judge(judged["tgkill"], 0, WHOLE, os.getpid(), ALLOW, REFUSE)  # abort(3)
    yield _judge(judged["mmap"], 3, SHARED_MEMORY, SHARED_MEMORY, REFUSE, ALLOW)
    yield _judge_fcntl(judged["fcntl"])
    for name, argument in (("open", 1), ("openat", 2)):
        if name in judged:  # neither to read nor to write, which Landlock lets pass, can still cut a file
            yield _judge(judged[name], argument, os.O_ACCMODE, os.O_ACCMODE, REFUSE, ALLOW)
    for number in _numbers(REFUSED, column).values():
        yield _step(EQUAL, number, 0, 1) + _step(ANSWER, REFUSE)
    yield _step(ANSWER, ALLOW)


def _numbers(table: str, column: int) -> dict[str, int]:
    """The calls of a table that a machine has, by name."""
    words = table.split()
    rows = zip(words[::3], words[column::3], strict=True)
    return {name: int(number) for name, number in rows if number != "-"}


def _judge(number: int, argument: int, bits: int, value: int, equal: int, other: int) -> bytes:
    """Answer one call by some of the lower 32 bits of an argument (the machines above are little-endian)."""
    look = _step(LOAD, ARGUMENTS + 8 * argument) + _step(AND, bits) + _step(EQUAL, value, 0, 1)
    return _step(EQUAL, number, 0, 5) + look + _step(ANSWER, equal) + _step(ANSWER, other)


def _judge_fcntl(number: int) -> bytes:
    """Allow the commands for duplicates, locks and flags, but for the flag that has signals sent, to whomever."""
    return b"".join(
        (
            _step(EQUAL, number, 0, 9),
            _step(LOAD, ARGUMENTS + 8),
            _step(EQUAL, F_DUPFD_CLOEXEC, 5, 0),
            _step(AT_LEAST, F_SETOWN, 5, 0),
            _step(EQUAL, fcntl.F_SETFL, 0, 3),
            _step(LOAD, ARGUMENTS + 16),
            _step(AND, os.O_ASYNC),
            _step(EQUAL, 0, 0, 1),
            _step(ANSWER, ALLOW),
            _step(ANSWER, REFUSE),
        )
    )


def _step(operation: int, value: int, hit: int = 0, miss: int = 0) -> bytes:
    """One struct sock_filter; a comparison skips as many steps as `hit` or `miss` says."""
    return struct.pack("=HBBI", operation, hit, miss, value)
