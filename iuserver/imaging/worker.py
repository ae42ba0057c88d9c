"""The worker process: takes one job at a time and turns an untrusted picture into a clean file and its facts.

Run as `python -m iuserver.imaging.worker RULES DEADLINE FOLDER [background]` with the pool's socket as standard input;
all files that it reads or writes are in the folder. libvips sees only what has been walked and cleaned. Of an upload
pixels are decoded in three cases: `imaging.orientation` is "bake" and the picture must be rotated, a JPEG's end or
structure is in doubt, or a JPEG has a gain map, which is to show the same. Thumbnails and perceptual hashes are jobs of
their own.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
import socket
import sys
import time
import tokenize  # noqa: F401  traceback needs it, and from Python 3.13 on looks for it when no file can be read any more
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ["VIPS_CONCURRENCY"] = "1"
os.environ["VIPS_BLOCK_UNTRUSTED"] = "1"

import orjson
import pyvips

from iuserver.errors import Fault
from iuserver.imaging import dhash, sandbox, thumbnail
from iuserver.imaging.answers import TRACEBACK
from iuserver.imaging.decoding import settle
from iuserver.imaging.gain_map_match import write_both
from iuserver.imaging.plan import REMOVED, Limits, Plan, Rules, write
from iuserver.imaging.source import opened
from iuserver.imaging.walkers import HEAD, walker_for
from iuserver.imaging.wire import DEADLINES, Deadline, Reader, message, receive_buffer
from iuserver.records import Facts

MB = 1024 * 1024
DATA_LIMIT = 512 * MB
FILE_LIMIT = 1024 * MB
RECEIVE = 64 * 1024
NICENESS = 10
LOADERS = {
    "image/jpeg": "jpegload",
    "image/png": "pngload",
    "image/gif": "gifload",
    "image/webp": "webpload",
    "image/avif": "heifload",
}
SIZED_OTHERWISE = {"image/gif", "image/avif"}
LOADER_CLASSES = [f"VipsForeignLoad{name}" for name in ("Jpeg", "Png", "Nsgif", "Webp", "Heif")]


def main() -> None:
    """Serve jobs from standard input until the pool closes its end, or dies and thereby closes it."""
    settings = orjson.loads(sys.argv[1])
    rules = Rules(**{**settings, "limits": Limits(**settings["limits"])})
    deadline = float(sys.argv[2])
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # nothing of the server's comes along
    connection = socket.socket(fileno=0)
    buffer = receive_buffer(connection)
    _limit()
    if sys.argv[4:] == ["background"]:
        _step_back()
    _send(connection, {"ready": True, "missing": sandbox.confine(sys.argv[3])})
    reader = Reader()
    while data := connection.recv(RECEIVE):
        job = reader.feed(data)
        if job:
            _limit_time(deadline, DEADLINES[job["kind"]])
            _send(connection, answer(job, buffer, rules))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_time(seconds: float, deadline: Deadline) -> None:
    """Even a job that hangs while nobody is left to kill this process ends: the defaults of both signals are to die."""
    signal.setitimer(signal.ITIMER_REAL, 2 * seconds * deadline.all)
    soft = int(time.process_time() + seconds * deadline.processor) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _step_back() -> None:
    """Take what other processes leave of the processors: a tenth where they want everything.

    Where the kernel groups processes by session (sched(7), autogroup) a nice value counts within its group only, and
    the group has one of its own.
    """
    os.nice(NICENESS)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write(str(NICENESS))


def _limit() -> None:
    """Bound what a hostile file can make this process use, and which loaders libvips may try."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, DATA_LIMIT),
        (resource.RLIMIT_FSIZE, FILE_LIMIT),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(limit, (value, value))
    pyvips.cache_set_max(0)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in LOADER_CLASSES:
        pyvips.operation_block_set(loader, False)


def _send(connection: socket.socket, head: dict[str, Any]) -> None:
    connection.sendall(message(head))


def answer(job: dict[str, Any], buffer: mmap.mmap, rules: Rules) -> dict[str, Any]:
    """Do a job: {"kind": …, "target": path} with {"length": bytes} of a picture in the buffer, or its {"source": path}.

    The answer is {"facts": …}, {"thumbnail": bytes} or {"likeness": hex digits}, by the kind; {"fault": [code,
    sentence]}, or {"crash": traceback} for a bug of ours.
    """
    target = job["target"]
    try:
        origin = job["source"] if "source" in job else buffer[: job["length"]]
        return JOBS[job["kind"]](origin, target, rules)
    except Fault as fault:
        _remove(target)
        return {"fault": [fault.code, fault.message]}
    except OSError:
        _remove(target)
        return {"fault": ["storage_unavailable", "The server cannot store the file at the moment"]}
    except Exception:
        _remove(target)
        return {"crash": traceback.format_exc()[-TRACEBACK:]}


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


JOBS: dict[str, Callable[[bytes | str, str, Rules], dict[str, Any]]] = {
    "clean": lambda origin, target, rules: {"facts": store(origin, target, rules)},
    "thumbnail": lambda origin, target, rules: {"thumbnail": thumbnail.make(origin, target, rules)},
    "likeness": lambda origin, target, rules: {"likeness": dhash.make(origin, rules).hex()},
}


def store(origin: bytes | str, target: str, rules: Rules) -> Facts:
    """Write the clean form of a picture to the new file `target` and tell what it is. Raises Fault."""
    plan = clean(origin, target, rules)
    removed = plan.left_out, [kind for kind in REMOVED if kind in plan.removed]
    if (
        rules.bake
        and plan.orientation != 1
        and plan.frames == 1
        and plan.width * plan.height <= rules.max_decode_pixels
    ):
        plan = _bake(plan, target, rules)
    width, height = plan.shown
    return Facts(plan.mime, plan.ext, width, height, plan.frames, plan.orientation, plan.size, *removed, plan.hdr)


def clean(origin: bytes | str, target: str, rules: Rules) -> Plan:
    """Write the clean form of a picture to the new file `target`, and return the plan that was carried out."""
    with opened(origin) as source:
        plan = walker_for(source.at(0, HEAD))(source, rules.limits)
        if plan.doubt:
            plan = settle(source, plan, plan.doubt, scratch=target)
        size = source.size
        with_map = write_both(source, plan, plan.gain_map, target) if plan.gain_map and rules.hdr else None
        if with_map:
            plan = with_map
        elif isinstance(origin, str) and plan.prefix is not None:
            _take_over(origin, plan.prefix, target)
        else:
            write(source, plan.pieces, target)
    _check_header(plan, target, rules.limits)
    return _with_difference(plan, size)


def _with_difference(plan: Plan, size: int) -> Plan:
    """The plan, and how much smaller than the input's `size` it makes the file: without a kind by what is no thing."""
    left_out = max(0, size - plan.size)
    return replace(plan, left_out=left_out, removed=plan.removed or frozenset({"other"} if left_out else ()))


def _bake(plan: Plan, target: str, rules: Rules) -> Plan:
    """Turn the pixels as browsers show them, whatever libvips makes of the tag; the result is cleaned again.

    A gain map would have to be turned as well: it goes.
    """
    try:
        image = getattr(pyvips.Image, LOADERS[plan.mime])(target, fail_on="error").copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", plan.orientation)
        turned = image.autorot().write_to_buffer(f".{plan.ext}", Q=92, keep="icc")
    except pyvips.Error as error:
        raise Fault("broken_image", "The image is broken: its pixels cannot be read") from error
    _remove(target)
    return clean(turned, target, rules)


def _take_over(origin: str, size: int, target: str) -> None:
    """A file of which nothing goes but its end need not be copied: cut it, and give it the target's name as well."""
    file = os.open(origin, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(file, size)
    finally:
        os.close(file)
    os.link(origin, target)


def _check_header(plan: Plan, target: str, limits: Limits) -> None:
    """Let libvips read the header of what was written: it must be able to, and see the same size.

    It cannot open AVIF sequences, or shows a still that goes with them: there our own walk is all there is. It crops
    an AVIF (clap) and believes a GIF's first frame rather than some screens, which browsers do not.
    """
    if plan.mime == "image/avif" and plan.frames > 1:
        return
    try:
        image = getattr(pyvips.Image, LOADERS[plan.mime])(target)
    except pyvips.Error as error:
        raise Fault("broken_image", "The image is broken: its header cannot be read") from error
    width, height = image.width, image.height  # each is a call into libvips
    limits.check_frame(width, height)
    if image.get_typeof("n-pages"):
        pages = image.get("n-pages")
        limits.check_frames(pages, width * height, (width, height))
    if plan.mime not in SIZED_OTHERWISE and (width, height) != (plan.width, plan.height):
        raise Fault("broken_image", "The image is broken: its parts do not agree on its size")


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError, EOFError):  # nobody is left to be answered
        main()
