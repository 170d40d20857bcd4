"""The configuration: what is refused of it, and what wins over what."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat import config
from heliostat.errors import BadInput


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("site = 5", "database, artifacts, broker, site and executor are strings"),
        ("sites = 5", "sites are tables, such as sites.JAO ="),
        ("sites.JAO = 5", "sites are tables, such as sites.JAO ="),
        ('sites.JAO = { artifacts = "x" }', "sites.JAO has no setting 'artifacts'; there is queues"),
        ("sites.JAO = { queues = [5] }", "sites.JAO.queues is a list of strings"),
        ('site = "JOA"\nsites.JAO = {}', "there is no site 'JOA' in heliostat.toml; did you mean 'JAO'"),
    ],
)
def test_a_site_that_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """By the name of the setting."""
    (tmp_path / config.FILE).write_text(text, "utf-8")
    with pytest.raises(BadInput, match=said):
        config.read(tmp_path)


def test_a_site_has_queues_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins over the file; where nothing is said of a site, its workers take from all."""
    (tmp_path / config.FILE).write_text('site = "EU"\nsites.EU = {}\nsites.JAO = { queues = ["gpu"] }', "utf-8")
    assert (config.read(tmp_path).site, config.read(tmp_path).queues) == ("EU", None)
    monkeypatch.setenv("HELIOSTAT_SITE", "JAO")
    read = config.read(tmp_path)
    assert (read.site, read.queues, read.whence["site"]) == ("JAO", ("gpu",), "HELIOSTAT_SITE")
    assert read.at("EU").queues is None


def test_the_executor_is_one_of_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads unless somebody says otherwise; the environment wins over the file."""
    assert config.read(tmp_path).executor == "thread"
    (tmp_path / config.FILE).write_text('executor = "process"', "utf-8")
    assert (config.read(tmp_path).executor, config.read(tmp_path).whence["executor"]) == ("process", config.FILE)
    monkeypatch.setenv("HELIOSTAT_EXECUTOR", "thread")
    assert config.read(tmp_path).executor == "thread"
    monkeypatch.setenv("HELIOSTAT_EXECUTOR", "threads")
    with pytest.raises(BadInput, match="executor: 'threads' is none; write thread or process"):
        config.read(tmp_path)


def test_where_no_sites_are_listed_any_name_will_do(tmp_path: Path) -> None:
    """A label needs no list."""
    (tmp_path / config.FILE).write_text('site = "the dome"', "utf-8")
    assert config.read(tmp_path).site == "the dome"


@pytest.mark.parametrize("password", ["secret", "se/cret", "se:cret", "s@cret", "se?cret#"])
def test_no_part_of_a_password_is_shown(password: str) -> None:
    """Also where it should have been escaped."""
    shown = config.masked(f"amqp://me:{password}@host:5672/sky")
    assert shown == "amqp://me:***@host:5672/sky"
