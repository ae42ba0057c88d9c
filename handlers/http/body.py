"""Streaming parser of an upload's multipart/form-data body (RFC 7578). No I/O, no await."""

from __future__ import annotations

from collections.abc import Callable

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from handlers.http.header_values import filename_of, header_text, parameters
from iuserver.errors import Fault

FILE = "file"
MAX_PARTS = 32
MAX_FIELD = 8 * 1024
MAX_HEADER = 8 * 1024


class UploadBody:
    """Takes chunks; gives the file's bytes to `on_file` as they come, and keeps the fields.

    Every method raises Fault("bad_body") for what is no multipart body with one file, and Fault("bad_field") for a
    field that is too long or given twice.
    """

    def __init__(self, content_type: str, on_file: Callable[[bytes], None], max_field: int = MAX_FIELD) -> None:
        kind, boundary = content_type.partition(";")[0].strip().lower(), parameters(content_type).get("boundary")
        if kind != "multipart/form-data" or not boundary:
            raise Fault("bad_body", "The request must be multipart/form-data with a boundary")
        try:
            self._parser = PushMultipartParser(
                boundary,
                max_header_size=MAX_HEADER,
                max_segment_count=MAX_PARTS,
                header_charset="latin-1",  # takes any byte; header_values.py finds out what was meant
            )
        except (MultipartError, ValueError) as error:
            raise _bad(error) from error
        self._on_file = on_file
        self._max_field = max_field
        self._fields: dict[str, bytearray] = {}
        self._filename: str | None = None
        self._sink: Callable[[bytes], object] = _ignore

    def feed(self, chunk: bytes) -> None:
        """Parse a chunk of the body."""
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._sink = self._sink_for(event)
                elif event is not None:
                    self._sink(event)
        except MultipartError as error:
            raise _bad(error) from error

    def close(self) -> tuple[dict[str, str], str]:
        """The body has ended: its fields, and the file's name."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise _bad(error) from error
        if self._filename is None:
            raise Fault("bad_body", "A part named file, with a file name, is missing")
        try:
            return {name: value.decode() for name, value in self._fields.items()}, self._filename
        except UnicodeDecodeError as error:
            raise Fault("bad_field", "A field is not UTF-8 text") from error

    def begun(self, name: str) -> bytes:
        """What has come of a field so far."""
        return bytes(self._fields.get(name, b""))

    def _sink_for(self, part: MultipartSegment) -> Callable[[bytes], object]:
        disposition = parameters(part.header("Content-Disposition", ""))
        name, filename = header_text(disposition.get("name", "")), filename_of(disposition)
        if name == FILE:
            return self._start_file(filename)
        if filename is not None:
            return _ignore
        if name in self._fields:
            raise Fault("bad_field", f"The field {name} is given twice")
        value = self._fields[name] = bytearray()
        return lambda chunk: self._grow(value, chunk)

    def _start_file(self, filename: str | None) -> Callable[[bytes], None]:
        if self._filename is not None:
            raise Fault("bad_body", "There must be one file, not two")
        if not filename:
            raise Fault("bad_body", "The part named file must have a file name")
        self._filename = filename
        return self._on_file

    def _grow(self, value: bytearray, chunk: bytes) -> None:
        value += chunk
        if len(value) > self._max_field:
            raise Fault("bad_field", f"A field may have {self._max_field} bytes")


class RawBody:
    """A body that is the file and nothing else, by the same methods."""

    def __init__(self, filename: str, on_file: Callable[[bytes], None]) -> None:
        self.feed = on_file
        self._filename = filename

    def close(self) -> tuple[dict[str, str], str]:
        return {}, self._filename


def _ignore(chunk: bytes) -> None:
    """Where unknown files go."""


def _bad(error: Exception) -> Fault:
    return Fault("bad_body", f"The multipart body is not valid: {error.args[0] if error.args else error}")
