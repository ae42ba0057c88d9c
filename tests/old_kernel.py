"""A kernel that lacks what confines workers, to a program: `python -m tests.old_kernel PARTS PROGRAM ARGUMENT…`.

PARTS is what it lacks: "Landlock", "seccomp", or both with a comma between them.
"""

from __future__ import annotations

import os
import sys

from iuserver.imaging import sandbox

PRCTL = {"x86_64": 157, "aarch64": 167}[os.uname().machine]
STEPS = {
    "Landlock": [
        sandbox._step(sandbox.EQUAL, sandbox.CREATE_RULESET, 0, 1) + sandbox._step(sandbox.ANSWER, sandbox.UNKNOWN)
    ],
    "seccomp": [sandbox._judge(PRCTL, 0, sandbox.WHOLE, sandbox.SET_SECCOMP, sandbox.UNKNOWN, sandbox.ALLOW)],
}


def main(parts: str, *program: str) -> None:
    without = [sandbox._step(sandbox.LOAD, sandbox.NUMBER)]
    for part in parts.split(","):
        without += STEPS[part]
    without.append(sandbox._step(sandbox.ANSWER, sandbox.ALLOW))
    sandbox._call(sandbox.LIBC.prctl, sandbox.SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    sandbox.install(b"".join(without))
    os.execv(program[0], program)


if __name__ == "__main__":
    main(*sys.argv[1:])
