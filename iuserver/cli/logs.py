"""What the log looks like: text for people, JSON for machines, one line per request, on standard error."""

from __future__ import annotations

import logging
import sys
import time
from functools import lru_cache

import orjson

REQUEST_FIELDS = ("request_id", "method", "path", "status", "ms", "client")


class TextFormatter(logging.Formatter):
    """`2026-11-22T10:00:00Z INFO POST /api/upload 200 12.3 ms 203.0.113.0 4f2a…`"""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "iuserver.access":
            fields = record.__dict__
            path = ascii(fields["path"])[1:-1]  # no client can write control characters into a terminal
            text = f"{fields['method']} {path} {fields['status']} {fields['ms']} ms"
            text += f" {fields['client']} {fields['request_id']}"
        else:
            text = _text(self, record)
        return f"{_time(int(record.created))} {record.levelname} {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(int(record.created)), "level": record.levelname.lower(), "logger": record.name}
        if record.name == "iuserver.access":
            line.update({name: record.__dict__[name] for name in REQUEST_FIELDS})
        else:
            line["message"] = _text(self, record)
        return orjson.dumps(line, default=str).decode()


def configure_logs(log_format: str) -> None:
    """Send every logger's lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # What it says of malformed requests quotes them, keys and addresses included.
    logging.getLogger("tornado.general").setLevel(logging.WARNING)
    # That the database is away, each request that notices tells with its id; the driver would add a page to it.
    logging.getLogger("pymongo").setLevel(logging.CRITICAL)
    logging.getLogger("aiobotocore").setLevel(logging.WARNING)  # it tells where it has found its credentials
    # Nothing in a log line tells threads, processes or places in the code, so they need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    vars(logging)["_srcfile"] = None  # as "Optimization" in Python's Logging HOWTO has it


def _text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = f"{record.name}: {record.getMessage()}"
    return f"{text}\n{formatter.formatException(record.exc_info)}" if record.exc_info else text


@lru_cache(maxsize=4)
def _time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
