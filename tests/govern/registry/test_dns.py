"""Names with addresses, and SRV records of a small server."""

import asyncio
import socket
import sys

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rrset
import pytest

from megahertz.errors import BadSettings, ConnectError
from megahertz.govern.registry import DnsRegistry
from tests.virtual import virtual


class Zone(asyncio.DatagramProtocol):
    """Answers every question for SRV with what it holds; with nothing: the name is not there."""

    def __init__(self, *records, ttl=5):
        self.records, self.ttl = records, ttl

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, peer):
        asked = dns.message.from_wire(data)
        said = dns.message.make_response(asked)
        said.flags |= dns.flags.RA
        if self.records:
            name = asked.question[0].name
            said.answer.append(dns.rrset.from_text(name, self.ttl, "IN", "SRV", *self.records))
        else:
            said.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(said.to_wire(), peer)


async def served(zone):
    """A resolver that asks it."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: zone, ("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    return resolver, transport


def resolving(monkeypatch, *answers):
    """getaddrinfo gives one after the other: addresses, or an error."""
    left = list(answers)

    async def getaddrinfo(self, host, port, **named):
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, Exception):
            raise said
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (it, port)) for it in said]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


async def test_localhost_has_addresses():
    lists = DnsRegistry().watch("localhost:8000")

    assert "127.0.0.1:8000" in [it.name for it in await anext(lists)]
    await lists.aclose()


@virtual
async def test_addresses_are_told_when_they_change(monkeypatch):
    resolving(monkeypatch, ["10.0.0.2", "10.0.0.1"], ["10.0.0.1", "10.0.0.2"], ["10.0.0.3"])
    lists, loop = DnsRegistry(ttl=30.0).watch("orders:80"), asyncio.get_running_loop()

    assert [it.name for it in await anext(lists)] == ["10.0.0.1:80", "10.0.0.2:80"]
    began = loop.time()
    assert [it.name for it in await anext(lists)] == ["10.0.0.3:80"]
    assert 54 <= loop.time() - began <= 67
    await lists.aclose()


@virtual
async def test_a_name_that_is_gone_is_no_empty_list(monkeypatch):
    resolving(monkeypatch, ["10.0.0.1"], socket.gaierror(-2, "Name or service not known"))
    lists = DnsRegistry().watch("orders:80")
    await anext(lists)

    with pytest.raises(ConnectError, match="DNS orders: Name or service not known"):
        await anext(lists)


@pytest.mark.parametrize("service", ["orders", ":80", "orders:http"])
async def test_a_service_has_a_port(service):
    with pytest.raises(BadSettings, match="host:port or _service"):
        await anext(DnsRegistry().watch(service))


def test_a_ttl_is_above_nothing():
    with pytest.raises(BadSettings, match="ttl=0"):
        DnsRegistry(ttl=0)


async def test_srv_records_have_ports_weights_and_backups():
    records = ("10 60 8000 b.example.", "10 0 8001 a.example.", "20 5 8002 c.example.")
    resolver, transport = await served(Zone(*records))
    found = await anext(DnsRegistry(resolver=resolver).watch("_http._tcp.orders.example"))
    transport.close()

    told = [(it.name, it.weight, it.backup) for it in found]
    assert told == [
        ("a.example:8001", 1.0, False),
        ("b.example:8000", 60.0, False),
        ("c.example:8002", 5.0, True),
    ]


async def test_srv_records_are_asked_for_again_when_their_ttl_is_over():
    zone = Zone("1 1 80 a.example.", ttl=0)
    resolver, transport = await served(zone)
    lists = DnsRegistry(resolver=resolver, ttl=0.01).watch("_http._tcp.orders.example")
    assert [it.host for it in await anext(lists)] == ["a.example"]
    zone.records = ("1 1 80 b.example.",)
    assert [it.host for it in await anext(lists)] == ["b.example"]
    zone.records = ()
    with pytest.raises(ConnectError, match=r"DNS _http\._tcp\.orders\.example"):
        await anext(lists)
    transport.close()


async def test_srv_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dns.asyncresolver", None)
    with pytest.raises(BadSettings, match=r"megahertz\[dns\]"):
        await anext(DnsRegistry().watch("_http._tcp.orders.example"))
