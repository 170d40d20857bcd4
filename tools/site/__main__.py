"""Build the site of the documentation from ``docs/`` into ``build/docs``; whatever Sphinx warns of is an error.

    python -m tools.site [options of sphinx-build]

The pages stay plain Markdown that a forge shows; what a site needs besides is added to a copy of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.site.pages import ROOT, staged

HERE = Path(__file__).resolve().parent
BUILD = ROOT / "build"
SITE, STAGE, KNOWN = BUILD / "docs", BUILD / "docs-pages", BUILD / "docs-known"


def main(options: list[str]) -> int:
    """Copy the pages, then have Sphinx make the site of them."""
    _write(staged())
    sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    settings = ["--builder=html", f"--conf-dir={HERE}", f"--doctree-dir={KNOWN}"]
    built = subprocess.run([*sphinx, *settings, *options, str(STAGE), str(SITE)], cwd=ROOT, check=False)
    if built.returncode == 0:
        print(f"The documentation is in {(SITE / 'index.html').relative_to(ROOT)}")
    return built.returncode


def _write(pages: dict[str, str]) -> None:
    """Bring the copy up to date; a page that did not change is left alone, so that Sphinx need not read it again."""
    shutil.rmtree(STAGE / "images", ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "images", STAGE / "images")
    for path in STAGE.rglob("*.md"):
        if path.relative_to(STAGE).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = STAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
