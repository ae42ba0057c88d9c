"""The multipart body: taken apart the same however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.http.body import MAX_FIELD, UploadBody
from iuserver.errors import Fault

CONTENT_TYPE = 'multipart/form-data; boundary="xyz"'


def part(disposition: str, value: bytes = b"") -> bytes:
    return b"--xyz\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + value + b"\r\n"


FILE = part('name="file"; filename="a b.jpg"', b"\xff\xd8--xyz?\r\n--xy")
END = b"--xyz--\r\n"


def parse(body: bytes, portion: int = 1 << 20) -> tuple[dict[str, str], str, bytes]:
    taken: list[bytes] = []
    upload = UploadBody(CONTENT_TYPE, taken.append)
    for start in range(0, len(body), portion):
        upload.feed(body[start : start + portion])
    fields, filename = upload.close()
    return fields, filename, b"".join(taken)


def refusal(body: bytes, content_type: str = CONTENT_TYPE) -> str:
    with pytest.raises(Fault) as caught:
        take_apart(body, content_type)
    return caught.value.code


def take_apart(body: bytes, content_type: str) -> None:
    upload = UploadBody(content_type, lambda chunk: None)
    upload.feed(body)
    upload.close()


@given(st.integers(1, 200))
def test_fields_and_file_come_out_whatever_the_portions(portion: int) -> None:
    body = part('name="expiration"', b"1w") + FILE + part('name="password"', "gehéim".encode()) + END
    assert parse(body, portion) == ({"expiration": "1w", "password": "gehéim"}, "a b.jpg", b"\xff\xd8--xyz?\r\n--xy")


def test_files_by_other_names_are_left_aside() -> None:
    assert parse(part('name="thumb"; filename="t"', b"zzz") + FILE + END)[2] == b"\xff\xd8--xyz?\r\n--xy"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        END,
        FILE,
        FILE[:-20],
        part('name="file"', b"no file name") + END,
        part('name="file"; filename=""', b"x") + END,
        FILE + FILE + END,
        part('name="a"', b"x") + END,
        b"something else entirely",
        FILE.replace(b"--xyz\r", b"--abc\r") + END,
        b"".join(part(f'name="n{number}"', b"x") for number in range(33)) + FILE + END,
    ],
)
def test_what_is_no_upload_is_refused(body: bytes) -> None:
    assert refusal(body) == "bad_body"


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'name="file"; filename="a \\"b\\".jpg"', 'a "b".jpg'),
        (b"name=file; filename=a.jpg", "a.jpg"),
        (b'NAME="file"; FILENAME="a.jpg"', "a.jpg"),
        ('name="file"; filename="größe.jpg"'.encode(), "größe.jpg"),
        ('name="file"; filename="größe.jpg"'.encode("latin-1"), "größe.jpg"),
        (b"name=\"file\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.jpg", "größe.jpg"),
        (b"name=\"file\"; filename*=iso-8859-1'de'gr%F6%DFe.jpg", "größe.jpg"),
        (b'name="file"; filename="a.jpg"; filename*=UTF-8\'\'b.jpg', "b.jpg"),
        (b'name="file"; filename*=UTF-8\'\'b.jpg; filename="a.jpg"', "b.jpg"),
        (b'name="file"; filename="=?utf-8?B?w6QuanBn?="; filename*=utf-8\'\'%C3%A4.jpg', "ä.jpg"),
        (b'name=file; filename="=?utf-8?B?w6QuanBn?="', "ä.jpg"),
        (b'name="file"; filename="%D0%BF%20%22.jpg"', 'п ".jpg'),
        (b'name="file"; filename="a %22b%22 100%.jpg"', 'a "b" 100%.jpg'),
        (b'name="file";\tfilename="a.jpg"', "a.jpg"),
        (b'name="file";filename="a.jpg"', "a.jpg"),
        (b'name="file";\r\n\tfilename="a.jpg"', "a.jpg"),
        (b'name="file"; filename="a; filename*=utf-8\'\'b.jpg"', "a; filename*=utf-8''b.jpg"),
        (b'filename="a.jpg"; name="file"', "a.jpg"),
    ],
)
def test_file_names_are_understood_in_every_clients_dialect(disposition: bytes, filename: str) -> None:
    body = b"--xyz\r\nContent-Type: image/jpeg\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\nx\r\n"
    assert parse(body + END) == ({}, filename, b"x")


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=----=_Part_1_2.3", "----=_Part_1_2.3"),
        ("multipart/form-data; boundary==", "="),
        ("multipart/form-data; boundary=a'()+_,-./:=?b", "a'()+_,-./:=?b"),
        ("multipart/form-data;\tboundary=xyz", "xyz"),
        ("multipart/form-data\t;boundary=xyz", "xyz"),
        ('multipart/form-data; charset=utf-8;\t boundary="x y"', "x y"),
        ("MULTIPART/Form-Data; Boundary=xyz; charset=utf-8", "xyz"),
        ("multipart/form-data; boundary=xyz ;charset=utf-8", "xyz"),
        ('multipart/form-data; x="; boundary=no"; boundary=xyz', "xyz"),
    ],
)
def test_a_boundary_is_found_however_it_is_written(content_type: str, boundary: str) -> None:
    take_apart(
        (FILE + END).replace(b"--xyz\r", b"--" + boundary.encode() + b"\r").replace(END, closing(boundary)),
        content_type,
    )


def closing(boundary: str) -> bytes:
    return b"--" + boundary.encode() + b"--\r\n"


@pytest.mark.parametrize(("before", "after"), [(b"a preamble\r\n", b""), (b"", b"an epilogue"), (b"\r\n", b"\r\n\r\n")])
def test_what_stands_around_the_parts_does_not_matter(before: bytes, after: bytes) -> None:
    assert parse(before + FILE + END + after)[1] == "a b.jpg"


@pytest.mark.parametrize(
    "body",
    [
        FILE.replace(b"\r\n", b"\n") + END,
        (FILE + END).replace(b"form-data", b"attachment"),
        part('name="file"; filename="' + "a" * 9000 + '"', b"x") + END,
        b"--xyz\r\n" + b"X-Header: 1\r\n" * 9 + FILE[7:] + END,
        b"--xyz\r\nnonsense\r\n\r\nx\r\n" + END,
    ],
)
def test_what_is_no_form_is_told_in_a_sentence(body: bytes) -> None:
    with pytest.raises(Fault, match=r"^The multipart body is not valid: [A-Z][^()]+$"):
        take_apart(body, CONTENT_TYPE)


@pytest.mark.parametrize("content_type", ["", "image/jpeg", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_another_content_type_is_refused(content_type: str) -> None:
    assert refusal(FILE + END, content_type) == "bad_body"


def test_a_field_that_is_given_twice_too_long_or_no_text_is_refused() -> None:
    field = part('name="expiration"', b"1w")
    assert refusal(field + field + FILE + END) == "bad_field"
    assert refusal(part('name="password"', b"x" * (MAX_FIELD + 1)) + FILE + END) == "bad_field"
    assert refusal(part('name="password"', b"\xff\xfe") + FILE + END) == "bad_field"
