"""Exit codes of `mhz load`, and the errors that end it before it has begun."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from megahertz.load import Report

OK = 0
BROKEN = 1
UNREACHABLE = 3
UNANSWERED = 4

_ALIKE = """\
  2  the command or the scenario file is not understood
  3  no connection was made: no such host, refused, unreachable, no TLS
  4  connections were made, and nothing was answered: closed, reset, garbage, silence
"""

RUN = f"""\b
Exit codes:
  0  every answer and every threshold was as expected
  1  an answer, or a threshold, was not
{_ALIKE}"""

SEARCH = f"""\b
Exit codes:
  0  a knee was found
  1  everything holds, or not even the first rate does
{_ALIKE}"""


class Unreachable(click.ClickException):
    """Nobody to load."""

    exit_code = UNREACHABLE


def code(report: "Report") -> int:
    """The exit code of a run."""
    if report.requests:
        return OK if report.ok else BROKEN
    return UNANSWERED if report.connects else UNREACHABLE


@contextmanager
def explained() -> Iterator[None]:
    """Errors of plans and hosts as a command says them."""
    from megahertz.errors import BadSettings, ConnectError

    try:
        yield
    except BadSettings as error:
        raise click.UsageError(str(error)) from error
    except ConnectError as error:
        raise Unreachable(str(error)) from error
