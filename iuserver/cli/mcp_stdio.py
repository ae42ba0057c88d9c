"""`iuserver mcp-stdio`: a bridge from agent hosts that speak MCP over stdio to a server that speaks it over HTTP.

One JSON message a line on standard input and output; nothing else is printed there. It adds the argument `file_path` to
`upload_image`: the bridge sends that file beside the message, without base64. It uses the server's HTTP API and the
standard library alone, so that it starts fast.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from iuserver import __version__
from iuserver.cli import fail
from iuserver.cli.address import DEFAULT, PROBLEM, server_address
from iuserver.cli.pictures import Picture, Unreadable, open_picture

PARALLEL = 8
PATIENCE = 150.0
"""Seconds for an answer: an upload waits for the queue and for a worker."""
CHUNK = 256 * 1024
META = "io.modelcontextprotocol/protocolVersion"
INVALID_PARAMS, INTERNAL, PARSE_ERROR = -32602, -32603, -32700
ADVICE = {
    "missing_key": "Missing API key. The user must set the variable IMAGEUPLOAD_API_KEY to the account's key, where "
    "the command iuserver mcp-stdio is configured.",
    "invalid_key": "Invalid API key. The account's owner can make a new one; the user must set the variable "
    "IMAGEUPLOAD_API_KEY to it, where the command iuserver mcp-stdio is configured.",
}
"""The advice to a model about a missing or wrong key; the server's is for clients that send headers themselves."""
FILE_PATH = {
    "type": "string",
    "description": "Path of a PNG, JPEG, WebP, GIF or AVIF file on this computer, absolute or with ~. Preferred: give "
    "this in place of data_base64, and filename and mime may be left out.",
}

Json = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = (
        f"Environment: IMAGEUPLOAD_API_KEY, IMAGEUPLOAD_URL (default {DEFAULT}), and IMAGEUPLOAD_ROOTS: folders, as in "
        "PATH, outside of which no file is read."
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Pass messages on until the input ends. 2 where there is nothing to talk to."""
    key, url = os.environ.get("IMAGEUPLOAD_API_KEY", "").strip(), server_address(os.environ.get("IMAGEUPLOAD_URL"))
    if url is None:
        return fail(PROBLEM, 2)
    if not (key.isascii() and key.isprintable()):
        return fail("IMAGEUPLOAD_API_KEY holds characters that no key has", 2)
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever prints: not among the messages
    roots = [root for root in os.environ.get("IMAGEUPLOAD_ROOTS", "").split(os.pathsep) if root]
    Bridge(Upstream(url, key), roots, out).run(sys.stdin.buffer)
    return 0


class Unanswered(Exception):
    """Why the server's answer is not to be had, in a sentence."""


class Bridge:
    """Reads requests, has them answered, a few at a time, and writes the answers."""

    def __init__(self, upstream: Upstream, roots: list[str], out: BinaryIO) -> None:
        self._upstream = upstream
        self._roots = roots
        self._out = out
        self._writing = threading.Lock()
        self._places = threading.BoundedSemaphore(PARALLEL)
        self._version: str | None = None

    def run(self, lines: Iterable[bytes]) -> None:
        """Answer every line; what is being answered when they end is waited for."""
        threads: list[threading.Thread] = []
        for line in lines:
            message = self._read(line)
            if message is None:
                continue
            if not isinstance(message, dict) or message.get("method") == "initialize":
                self._answer(message)  # what is agreed here holds for what comes next
                continue
            self._places.acquire()
            threads = [thread for thread in threads if thread.is_alive()]
            threads.append(threading.Thread(target=self._answer_in_turn, args=(message,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _read(self, line: bytes) -> Any:
        """The message in a line; None for what wants no answer."""
        if not line.strip():
            return None
        try:
            message = json.loads(line)
        except ValueError:
            self._write(_error(None, PARSE_ERROR, "Parse error: the line is not JSON"))
            return None
        return None if isinstance(message, dict) and "id" not in message else message

    def _answer_in_turn(self, message: Json) -> None:
        try:
            self._answer(message)
        finally:
            self._places.release()

    def _answer(self, message: Any) -> None:
        id_ = message.get("id") if isinstance(message, dict) else None
        try:
            answer = self._answer_to(message)
        except Unreadable as error:
            answer = _refused(message, str(error))
        except Unanswered as error:
            answer = _error(id_, INTERNAL, str(error))
        except Exception:  # a bug is answered, too: the host would wait for ever
            traceback.print_exc()
            answer = _error(id_, INTERNAL, "Internal error of the bridge")
        if answer is not None:
            self._write(answer)

    def _answer_to(self, message: Any) -> Any:
        headers = _headers(message, self._version)
        path = _file_path(message)
        answer = self._upstream.send(message, headers) if path is None else self._send_file(message, headers, path)
        if isinstance(message, dict) and isinstance(answer, dict):
            self._learn(message, answer)
            _advise(answer)
        return answer

    def _send_file(self, message: Json, headers: dict[str, str], path: object) -> Any:
        arguments = {name: value for name, value in message["params"]["arguments"].items() if name != "file_path"}
        if arguments.get("data_base64") is not None:
            raise Unreadable("file_path and data_base64 exclude each other")
        picture = open_picture(path, self._roots)
        with picture.file:
            for name, value in (("filename", picture.name), ("mime", picture.mime)):
                if not arguments.get(name):
                    arguments[name] = value
            changed = {**message, "params": {**message["params"], "arguments": arguments}}
            return self._upstream.send_with_file(changed, headers, picture)

    def _learn(self, message: Json, answer: Json) -> None:
        """Note the negotiated revision, and add `file_path` to the list of tools."""
        result = answer.get("result")
        if not isinstance(result, dict):
            return
        if message.get("method") == "initialize":
            self._version = result.get("protocolVersion")
        for tool in result.get("tools", ()) if message.get("method") == "tools/list" else ():
            if tool.get("name") == "upload_image":
                _offer_file_path(tool)

    def _write(self, answer: Any) -> None:
        line = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
        with self._writing:
            try:
                self._out.write(line)
                self._out.flush()
            except BrokenPipeError:  # the host has left without a word
                os._exit(0)


def _headers(message: Any, agreed: str | None) -> dict[str, str]:
    """What the server wants to know beforehand: the revision, and in the modern era method and name."""
    if not isinstance(message, dict):
        return {}
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(META) if isinstance(meta, dict) else None
    if not isinstance(version, str):
        return {"MCP-Protocol-Version": agreed} if agreed and message.get("method") != "initialize" else {}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": message.get("method")}
    if message.get("method") == "tools/call" and params:
        headers["Mcp-Name"] = params.get("name")
    return {name: _header(value) for name, value in headers.items() if isinstance(value, str)}


def _header(value: str) -> str:
    """A value as a header may carry it."""
    if value.isascii() and value.isprintable() and value == value.strip():
        return value
    return f"=?base64?{b64encode(value.encode('utf-8', 'surrogatepass')).decode()}?="


def _file_path(message: Any) -> object:
    """The file that a call of upload_image names, if it does."""
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return None
    params = message.get("params")
    arguments = params.get("arguments") if isinstance(params, dict) and params.get("name") == "upload_image" else None
    return arguments.get("file_path") if isinstance(arguments, dict) else None


def _advise(answer: Json) -> None:
    """Say about a key what can be done here."""
    error = answer.get("error")
    data = error.get("data") if isinstance(error, dict) else None
    advice = ADVICE.get(str(data.get("reason"))) if isinstance(data, dict) else None
    if isinstance(error, dict) and advice:
        error["message"] = advice


def _offer_file_path(tool: Json) -> None:
    schema = tool["inputSchema"]
    schema["properties"] = {"file_path": FILE_PATH, **schema["properties"]}
    schema.pop("required", None)
    tool["description"] = (
        "Give file_path for a file on this computer; it is sent as it is, whatever its size. " + tool["description"]
    )


class Upstream:
    """The server, as far as one POST of a message goes."""

    def __init__(self, url: str, key: str) -> None:
        secure, _, rest = url.partition("://")
        self._host, slash, path = rest.partition("/")
        self._secure = secure == "https"
        self._path = f"{slash}{path}/mcp"
        self._url = url
        self._headers = {"Accept": "application/json, text/event-stream", "User-Agent": f"iuserver/{__version__}"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def send(self, message: Any, headers: dict[str, str]) -> Any:
        """The answer to a message, None where there is none. Raises Unanswered."""
        body = json.dumps(message, separators=(",", ":")).encode()
        return self._post(lambda: iter([body]), len(body), {**headers, "Content-Type": "application/json"})

    def send_with_file(self, message: Json, headers: dict[str, str], picture: Picture) -> Any:
        """The same, with a file beside the message."""
        boundary = os.urandom(16).hex()
        disposition = f"--{boundary}\r\nContent-Disposition: form-data; name="
        part = f'{disposition}"message"\r\n\r\n{json.dumps(message)}\r\n{disposition}"file"; filename="file"\r\n\r\n'
        head, tail = part.encode(), f"\r\n--{boundary}--\r\n".encode()
        length = len(head) + picture.size + len(tail)
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._post(lambda: _chunks(head, picture, tail), length, {**headers, **kind})

    def _post(self, chunks: Callable[[], Iterator[bytes]], length: int, headers: dict[str, str]) -> Any:
        import http.client

        try:
            return self._exchange(http.client, chunks, {**self._headers, **headers, "Content-Length": str(length)})
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unanswered(f"No answer from {self._url}: {reason}") from error

    def _exchange(self, http: Any, chunks: Callable[[], Iterator[bytes]], headers: dict[str, str]) -> Any:
        connection = (http.HTTPSConnection if self._secure else http.HTTPConnection)(self._host, timeout=PATIENCE)
        try:
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # refused in its middle: there is an answer
                connection.request("POST", self._path, chunks(), headers)
            response = connection.getresponse()
            return self._judged(response.status, response.read())
        finally:
            connection.close()

    def _judged(self, status: int, body: bytes) -> Any:
        if status == 202:
            return None
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or "jsonrpc" not in answer:
            raise Unanswered(f"{self._url} does not answer as an MCP server does (HTTP status {status})")
        return answer


def _chunks(head: bytes, picture: Picture, tail: bytes) -> Iterator[bytes]:
    """The body of a form; a file that has shrunk since ends it early, one that has grown is cut."""
    yield head
    left = picture.size
    while left and (chunk := picture.file.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk
    if left:
        raise Unanswered("The file changed while it was sent")
    yield tail


def _error(id_: Any, code: int, message: str, data: Json | None = None) -> Json:
    error: Json = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": id_, "error": error}


def _refused(message: Json, sentence: str) -> Json:
    """A refusal of upload_image, as the server would have put it."""
    data = {"http_status": 400, "reason": "bad_field", "retryable": False}
    if META not in (message["params"].get("_meta") or {}):
        return _error(message["id"], INVALID_PARAMS, sentence, data)
    result = {
        "resultType": "complete",
        "isError": True,
        "content": [{"type": "text", "text": sentence}],
        "structuredContent": {"error": {"message": sentence, **data}},
    }
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}
