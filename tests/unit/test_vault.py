"""The vault: what it finds, what it masks, and what it cannot."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from heliostat import Secret, Workflow
from heliostat.errors import DefinitionError
from heliostat.graph import Graph
from heliostat.vault import Vault


@pytest.mark.parametrize("name", ["../x", "a b", "", "a\0b", "a/b", ".hidden", "x" * 101, "é", 5, None])
def test_a_name_that_could_be_no_file_is_refused(name: str) -> None:
    """Where it is written."""
    with pytest.raises(DefinitionError, match=r"is no name for a secret; use letters, digits, _ . -"):
        Secret(name)


def test_a_definition_holds_the_name_alone() -> None:
    """And finds it again."""
    flow = Workflow("flow")
    flow.job("job", "true", env={"TOKEN": Secret("db.pass-word"), "PLAIN": "x"})
    flow.node(lambda: None, name="node", env={"TOKEN": Secret("token")})
    assert Graph.from_json(flow.graph.to_json()) == flow.graph
    assert Secret("db.pass-word").variable == "HELIOSTAT_SECRET_DB_PASS_WORD"
    with pytest.raises(DefinitionError, match="env: X is 5; the value of a variable is a string or a Secret"):
        flow.job("other", "true", env={"X": 5})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('it is s3cr"t/é', "it is ***"),
        ('s3cr"t/és3cr"t/é', "******"),
        ('{"a": "s3cr\\"t/é"}', '{"a": "***"}'),
        ('{"a": "s3cr\\"t/\\u00e9"}', '{"a": "***"}'),
        ("https://me:s3cr%22t%2F%C3%A9@host", "https://me:***@host"),
        ("czNjciJ0L8Op", "***"),
        ("s3cr", "s3cr"),
    ],
)
def test_a_value_is_masked_however_it_is_spelled(text: str, shown: str) -> None:
    """As it is, in JSON, in an address, in Base64; a part of it is not known."""
    vault = Vault(lambda _: 's3cr"t/é')
    assert (vault.masked(text), vault.empty) == (text, True)
    vault.read("token")
    assert vault.masked(text) == shown


def test_data_is_masked_text_by_text() -> None:
    """Numbers and what is short stay, and so does the shape."""
    values = {"long": "abcdefgh", "short": "abc"}
    vault = Vault(values.__getitem__)
    for name in values:
        vault.read(name)
    assert vault.veiled({"abcdefgh": [1, None, ("x abcdefgh", True)], "b": "abc"}) == {
        "***": [1, None, ["x ***", True]],
        "b": "abc",
    }
    assert (vault.held("abc"), vault.held(None, '["abcdefgh"]')) == (None, "long")


def test_a_file_is_masked_wherever_a_value_stands_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over the borders of the pieces in which it is read, and over several lines."""
    monkeypatch.setattr("heliostat.vault.PIECE", 7)
    vault = Vault({"one": "abcdefgh", "two": "12345678\n87654321"}.__getitem__)
    vault.read("one")
    vault.read("two")
    file = tmp_path / "stdout"
    for before in range(20):
        plain = "x" * before + "abcdefg abcdefghabcdefgh\n12345678 " + "y" * before + "12345678\n87654321\r\nab\udcff"
        file.write_bytes(plain.encode("utf-8", "surrogateescape"))
        vault.veil(file)
        shown = "x" * before + "abcdefg ******\n*** " + "y" * before + "***\r\nab\udcff"
        assert file.read_bytes().decode("utf-8", "surrogateescape") == shown
    assert [path.name for path in tmp_path.iterdir()] == ["stdout"]


def test_a_file_is_masked_in_little_memory_though_it_is_one_line(tmp_path: Path) -> None:
    """Whatever a program prints for days."""
    vault = Vault(lambda _: "abcdefgh")
    vault.read("token")
    file = tmp_path / "stdout"
    file.write_text("step " * (4 << 20) + "abcdefgh")
    tracemalloc.start()
    try:
        vault.veil(file)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20
    with file.open("rb") as masked:
        masked.seek(-8, os.SEEK_END)
        assert masked.read() == b"step ***"
