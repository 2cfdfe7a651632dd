"""Lines of JSON as records, and where client properties come from: no Kafka."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from producers.connecting import ProduceError, client_properties
from producers.json_lines import JsonLines, MalformedLineError, json_key, open_lines, string_key


def test_a_value_is_the_line_itself() -> None:
    """Every byte but the end of line, whatever form numbers and texts have."""
    lines = [b'{"a": 1.10, "b":"\\u00e9"}\n', b"[1e300]\r\n", b"null\n", b' "last"']
    assert [item.value for item in JsonLines().items(lines)] == [line.rstrip(b"\r\n") for line in lines]


def test_keys() -> None:
    """A text is its UTF-8 or its JSON; anything else is JSON; null is no key."""
    lines = [b'{"a":{"b":"\xc3\xa9"}}', b'{"a":{"b":17}}', b'{"a":{"b":null}}']
    assert [i.key for i in JsonLines("a.b", string_key).items(lines)] == ["é".encode(), b"17", None]
    assert [i.key for i in JsonLines("a.b", json_key).items(lines)] == ['"é"'.encode(), b"17", None]


@pytest.mark.parametrize(
    "line", [b"", b"{", b"NaN", b'{"k":1} {"k":2}', b"\xff", b'{"other":1}', b"7", b'{"k":1.5}', b'{"k":1e40}']
)
def test_a_malformed_line(line: bytes) -> None:
    """It is named by its number, or left out and counted; the lines before and after are records."""
    lines = [b'{"k":1}\n', line + b"\n", b'{"k":3}\n']
    made = JsonLines("k")
    with pytest.raises(MalformedLineError, match="line 2: "):
        list(made.items(lines))
    skipping = JsonLines("k", skip=True)
    assert [(i.key, i.note["number"]) for i in skipping.items(lines)] == [(b"1", 1), (b"3", 3)]
    assert skipping.malformed == 1


def test_a_packed_file(tmp_path: Path) -> None:
    """A suffix says how it is packed; one that was cut off is an error, never a short file."""
    whole, cut = tmp_path / "whole.json.gz", tmp_path / "cut.json.gz"
    lines = [b'{"n":%d}\n' % n for n in range(1000)]
    whole.write_bytes(gzip.compress(b"".join(lines)))
    cut.write_bytes(whole.read_bytes()[:-20])
    with open_lines(str(whole)) as read:
        assert list(read) == lines
    with pytest.raises(OSError, match="runcated"), open_lines(str(cut)) as read:
        list(read)


def test_client_properties(tmp_path: Path) -> None:
    """Options come above the file, and the servers above both; names keep their case."""
    file = tmp_path / "client.properties"
    file.write_text("# secrets\nsasl.password = p=w%d#1\nacks=1\nssl.Odd=x\n")
    assert client_properties("h:1", file, ["acks=all"]) == {
        "sasl.password": "p=w%d#1",
        "acks": "all",
        "ssl.Odd": "x",
        "bootstrap.servers": "h:1",
    }


@pytest.mark.parametrize("given", ["sasl.password=hunter2", "ssl.key.pem=hunter2", "hunter2", "=hunter2"])
def test_no_secret_in_arguments(given: str) -> None:
    """A secret is refused where every process list shows it, and so is what is no NAME=VALUE."""
    with pytest.raises(ProduceError, match="--producer-property") as caught:
        client_properties("h:1", None, [given])
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("text", ["password hunter2\n", "a=1\na=hunter2\n", None])
def test_a_wrong_file_of_properties(tmp_path: Path, text: str | None) -> None:
    """One line with the file's name, and none of its content."""
    file = tmp_path / "client.properties"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ProduceError) as caught:
        client_properties("h:1", file)
    assert str(file) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_status == 2
