"""The vault: what it finds, what it masks, and what it cannot."""

from __future__ import annotations

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
