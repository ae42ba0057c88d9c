"""What header fields mean: whatever a client did to a file's name on the way, it is undone, and nothing else is."""

from __future__ import annotations

import base64
import quopri
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.http.header_values import filename_of, parameters

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
PLAIN_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="%"), min_size=1, max_size=60)


def as_sent(name: str) -> str:
    """A header's UTF-8 bytes as they are handed over."""
    return name.encode().decode("latin-1")


def filename(parameter: str) -> str | None:
    return filename_of(parameters(f'form-data; name="file"; {parameter}'))


def browser_escaped(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def q_word(name: str) -> str:
    text = quopri.encodestring(name.encode(), quotetabs=True, header=True).decode()
    for character in '?"':
        text = text.replace(character, f"={ord(character):02X}")
    return "=?UTF-8?Q?" + text.replace("=\n", "") + "?="


@given(NAMES)
def test_a_name_that_aiohttp_has_encoded(name: str) -> None:
    assert filename(f'filename="{quote(name, safe="")}"') == name


@given(NAMES)
def test_a_name_in_an_encoded_word_as_dotnet_sends_it(name: str) -> None:
    word = f"=?utf-8?B?{base64.b64encode(name.encode()).decode()}?="
    assert filename(f'filename="{word}"') == name
    assert filename(f"filename={word}") == name


@given(NAMES)
def test_a_name_in_a_quoted_printable_word_as_spring_sends_it(name: str) -> None:
    assert filename(f'filename="{q_word(name)}"') == name


@given(NAMES, st.sampled_from(["utf-8''", "UTF-8'en'"]), NAMES)
def test_the_extended_name_wins(name: str, head: str, other: str) -> None:
    extended, plain = f"filename*={head}{quote(name, safe='')}", f'filename="{as_sent(browser_escaped(other))}"'
    assert filename(f"{extended}; {plain}") == filename(f"{plain}; {extended}") == filename(extended) == name


@given(PLAIN_NAMES.filter(lambda name: not name.startswith("=?")))
def test_a_name_that_a_browser_has_escaped(name: str) -> None:
    """Backslashes, quotes, semicolons at whatever place."""
    assert filename(f'filename="{as_sent(browser_escaped(name))}"') == name


@given(PLAIN_NAMES, PLAIN_NAMES)
def test_a_name_with_quotes_escaped_by_backslashes(before: str, behind: str) -> None:
    name = f'{before}"{behind}'
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert filename(f'filename="{as_sent(escaped)}"') == name


@pytest.mark.parametrize(
    "name",
    [
        "100%.jpg",
        "50%off.jpg",
        "100%25 sure.jpg",
        "a%2",
        "%",
        "%%41",
        "a%41.jpg",
        "a%c3%a4.jpg",
        "%ff%fe.jpg",
        "%FF%FE.jpg",
        "ä%20b.jpg",
        "a b%20c.jpg",
        "=?utf-8?B?w6Q=?=.jpg",
        "a =?utf-8?B?w6Q=?=",
        "=?utf-8?X?w6Q=?=",
        "=?klingon?B?w6Q=?=",
        "=?idna?Q?xn--?=",
        "=?utf-8?B?A?=",
        "=?utf-8?B??=",
        "=?=",
        "utf-8''a.jpg",
    ],
)
def test_a_name_that_only_looks_encoded_stays_as_it_is(name: str) -> None:
    assert filename(f'filename="{as_sent(name)}"') == name


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ('filename="a%20b.jpg"', "a b.jpg"),
        ('filename="it\'s%20(1)!.jpg"', "it's (1)!.jpg"),
        ('filename="100%25.jpg"', "100%.jpg"),
        ('filename="..%2F..%2Fetc.jpg"', "../../etc.jpg"),
        ('filename="=?iso-8859-1?Q?gr=F6=DFe_1?="', "größe 1"),
        ('filename="=?utf-8?B?w6?= =?utf-8?B?pC5qcGc=?="', "ä.jpg"),
        ('filename="=?utf-8?B?w6Q=?==?windows-1252?Q?=80?="', "ä€"),
        ('filename="=?us-ascii*en?Q?a?="', "a"),
        ("filename*=iso-8859-1'de'gr%F6%DFe.jpg", "größe.jpg"),
        ("filename*=windows-1252''%80.jpg", "€.jpg"),
        ("filename*=gb18030''%C3%A4.jpg", "ä.jpg"),
        ("filename*=utf-8''%FF.jpg", "ÿ.jpg"),
        ("filename*=\"utf-8''a.jpg\"", "a.jpg"),
        ("filename*=utf-8''; filename=\"a.jpg\"", "a.jpg"),
        ('filename*=nonsense; filename="a.jpg"', "a.jpg"),
        ('filename="foo\\"', "foo\\"),
        ('filename="foo\\"; x="y"', "foo\\"),
        ('x=";"; filename=a.jpg', "a.jpg"),
        ('filename=""', ""),
        ("x=y", None),
        ("filename", None),
    ],
)
def test_what_clients_are_known_to_send(parameter: str, name: str | None) -> None:
    assert filename(parameter) == name


@given(st.text(st.characters(max_codepoint=255), max_size=200))
def test_whatever_is_sent_there_is_a_name_or_none(text: str) -> None:
    for parameter in (
        text,
        f'filename="{text}"',
        f"filename={text}",
        f"filename*={text}",
        f'filename="=?utf-8?q?{text}?="',
    ):
        name = filename(parameter)
        assert name is None or len(name) <= len(parameter)
