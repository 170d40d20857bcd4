"""The configuration: what is refused of it, and what wins over what."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat import config
from heliostat.batch import BatchQueue
from heliostat.errors import BadInput
from heliostat.queue import Terms


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("site = 5", "site is a string, not 5"),
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
    assert (config.read(tmp_path).site, config.read(tmp_path).takes) == ("EU", None)
    monkeypatch.setenv("HELIOSTAT_SITE", "JAO")
    read = config.read(tmp_path)
    assert (read.site, read.takes, read.whence["site"]) == ("JAO", ("gpu",), "HELIOSTAT_SITE")
    assert read.at("EU").takes is None


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


def test_a_queue_has_terms_and_a_place_where_its_functions_run(tmp_path: Path) -> None:
    """Where any is configured, these are all that there are, and the one of nodes that name none."""
    assert config.read(tmp_path).known is None
    (tmp_path / config.FILE).write_text(
        'queues.cluster = { limit = 200, rate = "600/m", executor = "process" }\n[queues.tape]', "utf-8"
    )
    read = config.read(tmp_path)
    assert read.queues == {
        "cluster": config.QueueConfig(Terms(200, "600/m"), "process"),
        "tape": config.QueueConfig(),
    }
    assert read.known == {"cluster", "tape", "default"}
    assert read.whence["queues"] == config.FILE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("queues = 5", "queues are tables, such as queues.cluster ="),
        ("queues.tape = 5", "queues.tape is 5"),
        ("queues.tape = { limits = 5 }", "queues.tape has no setting 'limits'; did you mean 'limit'?"),
        ("queues.tape = { limit = 0 }", "queues.tape.limit: a whole number from 1 to"),
        ("queues.tape = { limit = true }", "queues.tape.limit: a whole number from 1 to"),
        ('queues.tape = { rate = "5" }', "queues.tape.rate: '5' is no rate"),
        ("queues.tape = { executor = [] }", r"queues.tape.executor: \[\] is none; write thread or process or local"),
        ('queues.tape = { executor = "slrum" }', r"queues.tape.executor: 'slrum' is none; .*; did you mean 'slurm'\?"),
        (
            'queues.tape = { partition = "x" }',
            "queues.tape.partition is for a cluster: write executor = 'slurm'",
        ),
        (
            'queues.tape = { executor = "pbs", host = "a b" }',
            "queues.tape.host: 'a b' is no address",
        ),
        (
            'queues.tape = { executor = "pbs", host = "a", directory = "b" }',
            "queues.tape.directory: 'b' is no",
        ),
        ('queues.tape = { executor = "pbs", directory = "/b" }', "queues.tape.directory is for a cluster"),
        ('queues.tape = { executor = "local", array = 5 }', "queues.tape.array is for a cluster"),
        ('queues.tape = { executor = "slurm", setup = "module load x" }', "queues.tape.setup is a list of strings"),
        ('queues.tape = { executor = "slurm", array = -1 }', "queues.tape.array: a whole number from 0 to 10,000"),
        ('queues.tape = { executor = "slurm", account = 5 }', "queues.tape.account is a string of one line, not 5"),
        (
            'queues.tape = { executor = "slurm", template = "no" }',
            "queues.tape.template: .*/no cannot be read",
        ),
        ('executor = "slurm"', "executor: 'slurm' is none; write thread or process"),
        ('queues."a b" = {}', "'a b' is no name for a queue"),
        ('queues.tape = {}\nsites.JAO = { queues = ["tapes"] }', "there is no queue 'tapes'; did you mean 'tape'?"),
        ("apps = [5]", r"apps is a list of strings, not \[5\]"),
        ("[", "heliostat.toml: "),
    ],
)
def test_a_queue_that_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """By the name of the setting, with what would be right."""
    (tmp_path / config.FILE).write_text(text, "utf-8")
    with pytest.raises(BadInput, match=said):
        config.read(tmp_path)


def test_a_queue_may_have_a_cluster(tmp_path: Path) -> None:
    """With all that its scheduler wants to know; a site's own script is read with it."""
    (tmp_path / "site.sh").write_text("#!/bin/sh\n{{header}}\n{{run}}\n")
    (tmp_path / config.FILE).write_text(
        'queues.q = { executor = "slurm", limit = 5, partition = "p", account = "a", setup = ["module load x"], '
        'directives = ["--qos=high"], template = "site.sh", array = 1000, host = "h", directory = "/d", '
        'python = "/p" }',
        "utf-8",
    )
    assert config.read(tmp_path).queues["q"] == config.QueueConfig(
        Terms(5),
        "",
        BatchQueue(
            "slurm",
            "p",
            "a",
            ("module load x",),
            ("--qos=high",),
            "#!/bin/sh\n{{header}}\n{{run}}\n",
            1000,
            "h",
            "/d",
            "/p",
        ),
    )


def test_a_queue_says_what_runs_its_tasks_as_it_was_written(tmp_path: Path) -> None:
    """An executor, a batch system, or nothing where the worker decides."""
    (tmp_path / config.FILE).write_text(
        'queues.a = { executor = "process" }\nqueues.b = { executor = "slurm" }\nqueues.c = { executor = "local" }\n'
        "queues.d = {}\n",
        "utf-8",
    )
    assert {name: queue.runs for name, queue in config.read(tmp_path).queues.items()} == {
        "a": "process",
        "b": "slurm",
        "c": "local",
        "d": "",
    }


def test_a_queue_says_what_runs_its_images(tmp_path: Path) -> None:
    """A program by name or full path, with options of its own; on a cluster as well as here."""
    (tmp_path / config.FILE).write_text(
        "queues.a = { containers = \"docker --volume '/a b:/a b'\" }\n"
        'queues.b = { executor = "slurm", containers = "/opt/bin/apptainer" }\nqueues.c = {}\n',
        "utf-8",
    )
    read = config.read(tmp_path)
    assert read.containers == {"a": ("docker", "--volume", "/a b:/a b"), "b": ("/opt/bin/apptainer",)}
    assert (read.queues["a"].batch, read.queues["b"].batch) == (None, BatchQueue("slurm"))


@pytest.mark.parametrize(
    "value", ['"rkt"', '""', '"bin/docker"', "5", '"sudo docker"', '"docker \\n id"', '"docker \'"']
)
def test_what_runs_no_containers_is_refused(tmp_path: Path, value: str) -> None:
    """It would be a job that fails, each time."""
    (tmp_path / config.FILE).write_text(f"queues.a = {{ containers = {value} }}\n", "utf-8")
    with pytest.raises(BadInput, match=r"queues.a.containers: .*write apptainer or singularity or podman or docker"):
        config.read(tmp_path)


def test_a_template_without_its_placeholders_is_refused(tmp_path: Path) -> None:
    """It would be a job that does nothing."""
    (tmp_path / "site.sh").write_text("#!/bin/sh\n{{header}}\n")
    (tmp_path / config.FILE).write_text('queues.q = { executor = "slurm", template = "site.sh" }', "utf-8")
    with pytest.raises(BadInput, match=r"queues.q.template: .*site.sh has no {{run}}"):
        config.read(tmp_path)


def test_all_mistakes_are_found_at_once(tmp_path: Path) -> None:
    """Whoever reads the configuration hears of the first, and of how many more there are."""
    (tmp_path / config.FILE).write_text(
        'databse = "x"\nbroker = 5\nsite = "X"\nsites.JAO = {}\nqueues.q = { limit = "x", cores = 5 }', "utf-8"
    )
    _, mistakes = config.examine(tmp_path)
    assert [mistake.removeprefix(f"{tmp_path}/heliostat.toml: ")[:30] for mistake in mistakes] == [
        "there is no setting 'databse';",
        "broker is a string, not 5",
        "queues.q has no setting 'cores",
        "queues.q.limit: a whole number",
        "there is no site 'X' in helios",
    ]
    with pytest.raises(BadInput, match=r"'database'\? \(and 4 more: heliostat config check\)"):
        config.read(tmp_path)


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    """It is not taken for none."""
    (tmp_path / config.FILE).mkdir()
    with pytest.raises(BadInput, match=r"heliostat.toml cannot be read: Is a directory"):
        config.read(tmp_path)


@pytest.mark.parametrize("password", ["secret", "se/cret", "se:cret", "s@cret", "se?cret#"])
def test_no_part_of_a_password_is_shown(password: str) -> None:
    """Also where it should have been escaped."""
    shown = config.masked(f"amqp://me:{password}@host:5672/sky")
    assert shown == "amqp://me:***@host:5672/sky"
