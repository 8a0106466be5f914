"""Discovery: who serves a service, told by a registry."""

from megahertz.govern.registry.consul import ConsulRegistry
from megahertz.govern.registry.dns import DnsRegistry
from megahertz.govern.registry.etcd import EtcdRegistry
from megahertz.govern.registry.file import FileRegistry
from megahertz.govern.registry.following import Following, FollowingStatistics
from megahertz.govern.registry.registration import Lost, Registration, RegistrationStatistics
from megahertz.govern.registry.registry import Registrar, Registry
from megahertz.govern.registry.static import StaticRegistry

__all__ = [
    "ConsulRegistry",
    "DnsRegistry",
    "EtcdRegistry",
    "FileRegistry",
    "Following",
    "FollowingStatistics",
    "Lost",
    "Registrar",
    "Registration",
    "RegistrationStatistics",
    "Registry",
    "StaticRegistry",
]
