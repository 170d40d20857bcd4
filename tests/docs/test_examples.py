"""Every example in README and docs is true: it runs, or is at least a command that exists."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import string
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from heliostat import config
from heliostat.cli import app
from tests.docs.pages import SHELLS, Block, Page, commands, pages

pytestmark = pytest.mark.timeout(300)  # an example that waits for what never comes

PAGES = pages()
_CALL = re.compile(r"heliostat (?P<words>[^|;&<>()]*)")
_ASSIGNED = re.compile(r"(?P<name>[a-z]+)=\$\(heliostat (?P<words>[^|;&<>()]*)\)")


def runs(page: Page) -> bool:
    """Whether a page has anything to run."""
    return any(block.language == "python" or block.mark("run") is not None for block in page.blocks)


def configurations(page: Page) -> list[str]:
    """What a page shows of ``heliostat.toml``."""
    return [block.text for block in page.blocks if block.language == "toml"]


@dataclass
class Stage:
    """Where the blocks of one page run: a directory, a module, and what was said last."""

    page: Page
    directory: Path
    module: types.ModuleType
    said: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def play(self, block: Block) -> None:
        """Do with a block what its marks say."""
        if (name := block.mark("file")) is not None:
            (self.directory / name).write_text(block.text, "utf-8")
        if block.mark("prints") is not None:
            assert alike(block.text, self.said), f"{self._place(block)}: it says\n{self.said}"
        elif block.language == "python":
            self._python(block)
        elif block.mark("run") is not None:
            self._shell(block)

    def _python(self, block: Block) -> None:
        source = "\n" * (block.line - 1) + block.text  # so that a traceback names the page's own lines
        source = source.replace('if __name__ == "__main__":', "if True:")  # it is run as a program would be
        code = compile(source, str(self.page.path), "exec")
        if block.mark("sketch") is None:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(code, vars(self.module))
            self.said = said.getvalue()

    def _shell(self, block: Block) -> None:
        status, said, talk = 0, "", ""
        for line in commands(block):
            assert status == 0, f"{self._place(block)}: status {status} before: {line}"
            match = _ASSIGNED.fullmatch(line) or _CALL.fullmatch(line)
            assert match is not None, f"{self._place(block)}: only calls of heliostat can be run: {line}"
            words = shlex.split(string.Template(match["words"]).substitute(self.variables), comments=True)
            status, out, err = self._heliostat(words)
            talk += err
            if (name := match.groupdict().get("name")) is not None:
                self.variables[name] = out.strip()
            else:
                said += out
        wanted = int(block.mark("run") or 0)
        assert status == wanted, f"{self._place(block)}: status {status}\n{said}{talk}"
        self.said = said or talk

    def _heliostat(self, words: list[str]) -> tuple[int, str, str]:
        """Call the program in this process, which saves the second that each process takes to begin."""
        ran = CliRunner().invoke(app, words, prog_name="heliostat")
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        return ran.exit_code, ran.stdout, ran.stderr

    def _place(self, block: Block) -> str:
        return f"{self.page.name}:{block.line}"


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """An empty directory for a page, where ``heliostat`` is a command and nothing is configured."""
    page: Page = request.param
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("HELIOSTAT_DATABASE", "HELIOSTAT_FILES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    module = types.ModuleType("page")
    module.__file__ = str(tmp_path / "page.py")
    monkeypatch.setitem(sys.modules, "page", module)  # where dataclasses look names up
    yield Stage(page, tmp_path, module)
    for name, found in list(sys.modules.items()):
        if str(getattr(found, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]  # another page may have another file of that name


@pytest.mark.parametrize("stage", [p for p in PAGES if runs(p)], ids=lambda page: page.name, indirect=True)
def test_the_examples_of_a_page_run(stage: Stage) -> None:
    """Read from top to bottom, every block does what the page says."""
    for block in stage.page.blocks:
        stage.play(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Page) -> None:
    """In a block it can be read as it stands; in a sentence, noun, verb and options are those of the program."""
    lines = [line for block in page.blocks if block.language in SHELLS for line in commands(block)]
    for line in lines:
        for words in heliostats(line):
            command, rest = command_of(words)
            command.make_context(words[0], rest)  # raises for an unknown option, and for an argument that is missing
    for line in page.code:
        for words in heliostats(line):
            command, rest = command_of(words)
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known, line


@pytest.mark.parametrize("page", [p for p in PAGES if configurations(p)], ids=lambda page: page.name)
def test_the_configurations_on_a_page_are_taken(page: Page, tmp_path: Path) -> None:
    """Every block of TOML is a ``heliostat.toml`` that the program reads."""
    for text in configurations(page):
        (tmp_path / config.FILE).write_text(text, "utf-8")
        config.read(tmp_path)


def alike(pattern: str, said: str) -> bool:
    """Whether a text is the one that a page shows, where ``…`` stands for anything; columns may be wider."""
    pieces = [re.escape(piece) for piece in _narrow(pattern).split("…")]
    return re.fullmatch(".*".join(pieces), _narrow(said), re.DOTALL) is not None


def _narrow(text: str) -> str:
    return "\n".join(re.sub(" +", " ", line.strip()) for line in text.strip().splitlines())


def heliostats(line: str) -> Iterator[list[str]]:
    """The calls of ``heliostat`` in a line of shell, as words."""
    if not re.match(r"([A-Z_]+=\S+ )*heliostat ", line):
        return
    for part in re.split(r"\s(?:\||&&|;|&|>)\s?", line):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words[:1] == ["heliostat"]:
            yield words[1:]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and the words that are left for it."""
    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands") and rest:
        word = rest.pop(0)
        if word.startswith("--"):  # a global option, and its value
            rest = rest[0 if "=" in word or word in ("--help", "--version") else 1 :]
        else:
            assert word in command.commands, f"there is no command {word!r} in: heliostat {' '.join(words)}"
            command = command.commands[word]
    return command, rest
