"""List, fetch and put the files that runs keep."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import output, shapes
from heliostat.cli.output import AsJson
from heliostat.cli.run import Id, Reason
from heliostat.cli.runs import artifact_table, keeper, short_digest
from heliostat.cli.session import find_run, session
from heliostat.errors import BadInput, NotFound, nearest

if TYPE_CHECKING:
    from heliostat.artifact import Artifact
    from heliostat.store import Kept, Store

NAME = "artifact"
app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, run: Id, as_json: AsJson = False) -> None:
    """List the files that a run keeps."""
    with session(context).engine() as engine:
        handle = find_run(engine, run)
        found = [shapes.artifact_shape(handle.key, kept) for kept in engine.store.artifacts(handle.key)]
        if as_json:
            output.document(found)
        else:
            output.show(artifact_table(engine.store, found) if found else "no files")


@app.command()
def get(
    context: typer.Context,
    run: Id,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The file's name, or the beginning of its digest.")],
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write here; with a / at its end, into it (-: standard output).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a file that a run keeps; its digest is verified."""
    if as_json and out == "-":
        raise BadInput("--json and the file itself cannot both be written to standard output; say --out PATH")
    with session(context).engine() as engine:
        handle = find_run(engine, run)
        kept = engine.store.artifacts(handle.key)
        artifact = _chosen(engine.store, handle.key, name, kept)
        repository = engine.around.repository
        if out == "-":
            with repository.open(artifact) as source:
                shutil.copyfileobj(source, sys.stdout.buffer)
            return
        target = _target(artifact.name, out or "./")
        if target.exists():
            raise BadInput(f"{target} is there already; say --out with another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        brought = repository.bring(artifact, target.parent)
        if brought != target:
            brought.replace(target)
        if as_json:
            one = next(each for each in kept if each.artifact == artifact)
            fetched: shapes.FetchedShape = {**shapes.artifact_shape(handle.key, one), "written": str(target)}
            output.document(fetched)
        else:
            output.say(f"written: {target}")


@app.command()
def put(
    context: typer.Context,
    run: Id,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to keep.")],
    name: Annotated[str | None, typer.Option(help="What it is to be called; else as it is.")] = None,
    media_type: Annotated[str | None, typer.Option(metavar="TYPE", help="Else as its name tells.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A word to find it by, perhaps several times.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Have a run keep a file, also after its end."""
    with session(context).engine() as engine:
        handle = find_run(engine, run)
        artifact = handle.artifact(file, name=name, media_type=media_type, tags=tag or (), reason=reason)
        if as_json:
            kept = next(each for each in reversed(engine.store.artifacts(handle.key)) if each.artifact == artifact)
            output.document(shapes.artifact_shape(handle.key, kept))
        else:
            output.say(f"kept: {artifact.name}, {output.size(artifact.size)}")


def _target(name: str, out: str) -> Path:
    """Where a file of a name is to be written: into what is a directory, or is called as only one can be."""
    place = Path(out)
    return place / name if out.endswith("/") or place.is_dir() else place


def _chosen(store: Store, run: int, name: str, kept: list[Kept]) -> Artifact:
    """The file meant: by name, the newest of several that are the same; or by digest."""
    digest = name.removeprefix("sha256:").lower()
    found = {each.artifact.digest: each for each in kept if each.artifact.name == name}
    if not found and len(digest) >= 6:
        found = {
            each.artifact.digest: each for each in kept if each.artifact.digest.partition(":")[2].startswith(digest)
        }
    if not found:
        raise NotFound(f"the run keeps no file {name!r}{nearest(name, {each.artifact.name for each in kept})}")
    if len(found) > 1:
        each = ", ".join(f"{short_digest(digest)} ({keeper(store, run, one.number)})" for digest, one in found.items())
        raise BadInput(f"the run keeps {len(found)} different files {name!r}; name one by its digest: {each}")
    return next(iter(found.values())).artifact
