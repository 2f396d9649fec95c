"""What CI runs, on every Python that is here (``nox``); ``nox -s release -- 0.2.0`` makes a release, with no upload."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
QUICK = ("tests/cli", "tests/td", "tests/dxe", "tests/loaders", "tests/boots", "tests/shell", "tests/packaging")
CHANGELOG = Path("CHANGELOG.md")
NOT_RELEASED = "## Not released\n"
VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite; paths after ``--`` instead of all of it."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


@nox.session(python=PYTHONS)
def quick(session: nox.Session) -> None:
    """The model, the shell and the command line, without browsers and real code."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *(session.posargs or QUICK))


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Lint, types, layers."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """The site, and the blocks of its pages."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "mkdocs", "build", "--strict", "--site-dir", session.create_tmp(), env=NO_NOTICE)
    session.run("python", "-m", "pytest", "-q", "docs", "README.md", *session.posargs)


NO_NOTICE = {"NO_MKDOCS_2_WARNING": "1"}


@nox.session(python="3.11")
def build(session: nox.Session) -> None:
    """The sdist and the wheel of it, into ``dist``, and their metadata checked."""
    session.install("build", "twine")
    for old in Path("dist").glob("tdvfsh-*"):
        old.unlink()
    session.run("python", "-m", "build", "--outdir", "dist")
    session.run("twine", "check", "--strict", *map(str, Path("dist").glob("tdvfsh-*")))


@nox.session(python="3.11")
def release(session: nox.Session) -> None:
    """Check, give the changes their heading, commit, tag, build. What is then to be pushed and uploaded is printed."""
    (version,) = session.posargs or session.error("which version? nox -s release -- 0.2.0")
    if not VERSION.fullmatch(version):
        session.error(f"{version}: not a version such as 0.2.0 or 0.2.0rc1")
    tag = f"v{version}"
    if _git(session, "status", "--porcelain"):
        session.error("commit first: the tree is not clean")
    if _git(session, "tag", "--list", tag):
        session.error(f"{tag}: there is such a tag")
    text = CHANGELOG.read_text("utf-8")
    before, heading, after = text.partition(NOT_RELEASED)
    if not heading or after.lstrip().startswith("## "):
        session.error(f"{CHANGELOG}: nothing stands under '{NOT_RELEASED.strip()}'")
    session.run(".ci/run", external=True)
    today = datetime.now(UTC).date().isoformat()
    CHANGELOG.write_text(f"{before}{NOT_RELEASED}\n## {version} ({today})\n{after}", "utf-8")
    session.run("git", "commit", "--quiet", "-m", f"release {version}", str(CHANGELOG), external=True)
    session.run("git", "tag", "--annotate", tag, "-m", f"tdvfsh {version}", external=True)
    build(session)
    wheels = [path.name for path in Path("dist").glob("*.whl")]
    if wheels != [f"tdvfsh-{version}-py3-none-any.whl"]:
        session.error(f"dist has {wheels}, not the wheel of {version}")
    session.log(f"next: git push origin HEAD {tag}; twine upload dist/*")


def _git(session: nox.Session, *words: str) -> str:
    return str(session.run("git", *words, external=True, silent=True) or "").strip()
