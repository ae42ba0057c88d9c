"""How a child process that runs a module of ours is started: by the interpreter, or by the binary that this is."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

CHILD = "--run-module"
"""What `run.py` is told, in the binary, in place of a command."""
PACKAGE_ROOT = Path(__file__).parents[1]
PASSED_ON = ("PATH", "LANG", "LD_LIBRARY_PATH", "TZ")


def command_of(module: str) -> list[str]:
    """The beginning of a command line that runs a module as a program; its arguments follow."""
    return [sys.executable, CHILD, module] if is_frozen() else [sys.executable, "-m", module]


def environment() -> dict[str, str]:
    """What a child is to know of this process' environment, which may hold secrets: where its code is, and no more.

    The variables of PyInstaller's name the folder where a binary of one file has unpacked itself.
    """
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("_PYI_")}
    return kept if is_frozen() else {**kept, "PYTHONPATH": str(PACKAGE_ROOT)}


def is_frozen() -> bool:
    """Whether this is the binary."""
    return bool(getattr(sys, "frozen", False))


def run_child() -> bool:
    """Run the module that this process was started for, if it is a child; returns whether it was."""
    if not is_frozen() or sys.argv[1:2] != [CHILD]:
        return False
    module, sys.argv[1:] = sys.argv[2], sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return True
