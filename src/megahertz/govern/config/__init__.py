"""Configuration: typed settings that change while a service runs."""

from megahertz.govern.config.configuration import (
    Configuration,
    ConfigurationStatistics,
    Snapshot,
)
from megahertz.govern.config.documents import KEEP, Document, Documents, Written
from megahertz.govern.config.layers import from_file, from_json, merged

__all__ = [
    "KEEP",
    "Configuration",
    "ConfigurationStatistics",
    "Document",
    "Documents",
    "Snapshot",
    "Written",
    "from_file",
    "from_json",
    "merged",
]
