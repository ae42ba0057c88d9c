"""How a command that copies to or from a folder ends: one line of JSON, or one line that says what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import orjson

from iuserver import backup, restore
from iuserver.backends import StartError
from iuserver.backup import BackupError
from iuserver.cli import fail
from iuserver.errors import Fault


def run_copy(work: Coroutine[Any, Any, backup.Result | restore.Result], folder: Path, advice: str = "") -> int:
    """Run a copy and print what was done; returns the exit status, 1 where there are problems.

    `advice` is added where a store failed half way.
    """
    try:
        result = asyncio.run(work)
    except Fault as fault:
        return fail(f"{fault.message} ({fault.__cause__}){advice}")
    except (StartError, BackupError) as error:
        return fail(str(error), 2)
    except OSError as error:
        return fail(f"{error.filename or folder}: {error.strerror}")
    except KeyboardInterrupt:
        return 130
    print(orjson.dumps(result).decode())
    return 1 if result.problems else 0
