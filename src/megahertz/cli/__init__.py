"""The `mhz` command."""

from megahertz.cli.main import main

__all__ = ["main"]
