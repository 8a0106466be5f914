"""`mhz load`: measure a service from this machine."""

from megahertz.cli.load.command import load

__all__ = ["load"]
