"""The one door to the native module: everything else imports from `megahertz.engine`."""

from megahertz._core import __version__

__all__ = ["__version__"]
