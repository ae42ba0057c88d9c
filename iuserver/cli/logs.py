"""Log formatting: text or JSON, one line per request, on standard error."""

from __future__ import annotations

import logging
import re
import sys
import time
from functools import lru_cache

import orjson

from iuserver.masking import without_secrets

REQUEST_FIELDS = ("request_id", "method", "path", "status", "ms", "client")


class TextFormatter(logging.Formatter):
    """`2026-11-22T10:00:00Z INFO POST /api/upload 200 12.3 ms 203.0.113.0 4f2a…`

    The lines of a traceback are indented, so that no text in it can pass for a line of the log.
    """

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "iuserver.access":
            fields = record.__dict__
            text = f"{fields['method']} {fields['path']} {fields['status']} {fields['ms']} ms"
            text += f" {fields['client']} {fields['request_id']}"
        else:
            text = f"{record.name}: {without_secrets(record.getMessage())}"
        lines = [f"{_time(int(record.created))} {record.levelname} {text}", *_traceback(self, record)]
        return "\n    ".join(map(_visible, lines))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(int(record.created)), "level": record.levelname.lower(), "logger": record.name}
        if record.name == "iuserver.access":
            line.update({name: record.__dict__[name] for name in REQUEST_FIELDS})
        else:
            text = "\n".join([f"{record.name}: {without_secrets(record.getMessage())}", *_traceback(self, record)])
            line["message"] = text.encode("utf-8", "backslashreplace").decode()  # JSON has no lone surrogates
        return _visible(orjson.dumps(line, default=str).decode())


def configure_logs(log_format: str) -> None:
    """Send every logger's lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Its messages about malformed requests quote them, keys and addresses included.
    logging.getLogger("tornado.general").setLevel(logging.WARNING)
    # Each request that finds the database away logs that with its id; the driver would add a page of text.
    logging.getLogger("pymongo").setLevel(logging.CRITICAL)
    logging.getLogger("aiobotocore").setLevel(logging.WARNING)  # it logs where it found its credentials
    # No log line shows thread, process or source line, so they need not be determined.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    vars(logging)["_srcfile"] = None  # as "Optimization" in Python's Logging HOWTO has it


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """The lines of a record's traceback, if it has one."""
    return without_secrets(formatter.formatException(record.exc_info)).split("\n") if record.exc_info else []


def _visible(text: str) -> str:
    """Every character that is none to be seen, such as a terminal's control sequences, as JSON escapes it."""
    return text if text.isprintable() else _INVISIBLE.sub(_escaped, text)


_INVISIBLE = re.compile(r"[^ -~]")


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


@lru_cache(maxsize=4)
def _time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
