"""`mhz errors`: what a client may be answered, and what it may do about it."""

import click

from megahertz.errors import MegahertzError, tree
from megahertz.http import title

HEAD = """\
# Errors

<!-- Written by `mhz errors > docs/errors.md`; the table is the tree in `megahertz/errors.py`. -->

Every error of megahertz is answered by a problem document (RFC 9457, `application/problem+json`).
Match on `code`: it does not change.
*Retry* says whether the same request may succeed later.
The field `retry-after` says when, where that is known.

| code | status | retry | class | what happened |
|---|---|---|---|---|
"""


@click.command()
def errors() -> None:
    """Print every error as a table in Markdown.

    \b
    Example:
      mhz errors > docs/errors.md
    """
    click.echo(document())


def document() -> str:
    """The page docs/errors.md."""
    return HEAD + "\n".join(_row(kind) for kind in tree())


def _row(kind: type[MegahertzError]) -> str:
    retry = "yes" if kind.retryable else "no"
    status = "its own" if kind.code.startswith("http") else str(kind.status)
    return f"| `{kind.code}` | {status} | {retry} | `{kind.__name__}` | {title(kind)} |"
