"""Open files: ten thousand connections must fit into each process."""

import resource

from benchmarks.build import Missing

SPARE = 500
"""Descriptors of a process beside its connections."""


def raise_limits(connections: int) -> None:
    """As many open files as the system allows, for us and all that we start.

    Raises:
        Missing: that is too few for so many connections.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < connections + SPARE:
        raise Missing(f"{connections} connections need `ulimit -Hn` of {connections + SPARE}")
