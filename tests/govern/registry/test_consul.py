"""Consul's contract, against a small server of it (`agent.py`)."""

import asyncio

import pytest

from megahertz.backends import Consul
from megahertz.errors import BadSettings, ConnectError, RemoteError
from megahertz.govern.balance import Group, Instance
from megahertz.govern.registry import ConsulRegistry, Following
from tests.cluster import free_port
from tests.govern.registry.agent import Agent, running
from tests.govern.registry.waiting import until

ONE = Instance(host="10.0.0.7", port=8000, weight=2.0, zone="a", labels={"v": "2"})


def service(own, port, *checks, **fields):
    """A service that somebody else has registered, with checks of (status, output)."""
    told = {"ID": own, "Name": "orders", "Address": "10.0.0.1", "Port": port, **fields}
    made = {
        f"{own}-{number}": {"Status": status, "Output": output, "ServiceID": own}
        for number, (status, output) in enumerate(checks)
    }
    return told, made


def put(agent, *found):
    for told, checks in found:
        agent.services[told["ID"]] = told
        agent.checks |= checks


@pytest.mark.parametrize(
    ("checks", "weight"),
    [
        ((), 100.0),
        ((("passing", "HTTP GET: 200 OK"),), 100.0),
        ((("passing", "latency_ms=250.5"),), 74.95),
        ((("passing", "latency_ms=5000"),), 1.0),
        ((("passing", "latency_ms=100"), ("passing", "x latency_ms=300")), 70.0),
        ((("warning", ""),), 69.0),
        ((("warning", "latency_ms=500"), ("passing", "")), 50.0),
        ((("warning", "latency_ms=950"),), 20.0),
        ((("critical", ""), ("passing", ""), ("warning", "")), None),
    ],
)
async def test_health_becomes_weight(checks, weight):
    agent = Agent()
    put(agent, service("a", 1, *checks), service("other", 2))
    async with running(agent) as url, Consul(url) as consul:
        found = await anext(ConsulRegistry(consul).watch("orders"))

    assert {it.port: it.weight for it in found}.get(1) == weight


async def test_what_is_registered_is_told_and_taken_back():
    agent = Agent()
    async with running(agent) as url, Consul(url) as consul:
        registry = ConsulRegistry(consul)
        lists = registry.watch("orders")
        assert await anext(lists) == []
        async with registry.register("orders", ONE):
            [found] = await anext(lists)
            told, check = *agent.services.values(), *agent.checks.values()

            assert found == Instance(
                host="10.0.0.7", port=8000, weight=200.0, zone="a", labels={"v": "2"}
            )
            assert (check["TTL"], check["DeregisterCriticalServiceAfter"]) == ("10s", "60s")
            assert told["ID"].startswith("orders-10.0.0.7:8000-")
        assert await anext(lists) == []
        await lists.aclose()
    assert agent.waits and all(54_000 <= int(it.removesuffix("ms")) <= 60_000 for it in agent.waits)


async def test_changes_are_waited_for_and_answers_without_one_are_not_told():
    agent = Agent()
    put(agent, service("a", 1, ("passing", "")))
    async with running(agent) as url, Consul(url) as consul:
        lists = ConsulRegistry(consul, wait=0.01).watch("orders")
        assert [it.weight for it in await anext(lists)] == [100.0]
        waiting = asyncio.create_task(anext(lists))
        await until(lambda: len(agent.waits) > 2)
        assert not waiting.done()
        await agent.become("a-0", Status="warning")
        assert [it.weight for it in await waiting] == [69.0]
        await agent.become("a-0", Status="critical")
        assert await anext(lists) == []
        await lists.aclose()


async def test_an_index_that_goes_back_begins_anew():
    agent = Agent()
    put(agent, service("a", 1))
    async with running(agent) as url, Consul(url) as consul:
        first = await consul.health("orders")
        agent.index = 3
        back = await consul.health("orders", index=first.index, wait=60.0)
        assert (first.index, back.index) == (10, 0)
        agent.index = 0
        assert (await consul.health("orders")).index == 1


async def test_what_the_agent_forgot_is_registered_again():
    agent = Agent()
    async with running(agent) as url, Consul(url) as consul:
        registry = ConsulRegistry(consul, ttl=0.05)
        for named in ({"latency": lambda: 0.25}, {"probe": "http://10.0.0.7:8000/health"}):
            async with registry.register("orders", ONE, **named) as registration:
                [own] = agent.services
                if "latency" in named:
                    check = agent.checks[own]
                    await until(lambda check=check: "latency_ms=250.0" in check["Output"])
                else:
                    assert agent.checks[own]["HTTP"] == named["probe"]
                await agent.forget(own)
                await until(lambda: registration.statistics().registered == 2)
                assert list(agent.services) == [own]
                assert "does not know it" not in registration.statistics().trouble
            assert agent.services == {}


async def test_an_agent_that_fails_is_asked_again_and_nothing_is_taken_back():
    agent = Agent()
    async with running(agent) as url, Consul(url) as consul:
        registry = ConsulRegistry(consul, ttl=0.05)
        async with registry.register("orders", ONE) as registration:
            agent.failing = 3
            await until(lambda: registration.statistics().losses >= 1)
            assert len(agent.services) == 1
            await until(lambda: registration.statistics().registered >= 2)
            agent.failing = 1
        # What could not be taken back runs out by its TTL.
        assert len(agent.services) <= 1


async def test_traffic_goes_on_while_the_agent_is_away():
    agent, group, port = Agent(), Group("orders"), free_port()
    put(agent, service("a", 1), service("b", 2))
    async with Consul(f"http://127.0.0.1:{port}", timeout=1.0) as gone:
        registry = ConsulRegistry(gone)
        async with Following(registry, "orders", group, patience=0.1) as following:
            assert following.statistics().state == "lost"
            with pytest.raises(ConnectError):
                group.acquire()
    async with running(agent) as url, Consul(url) as consul:
        following = Following(ConsulRegistry(consul), "orders", group)
        async with following:
            agent.failing = 4
            await agent.changed()
            await until(lambda: agent.failing == 0)
            with group.acquire():
                pass
            assert len(group.statistics()) == 2
            await until(lambda: following.statistics().state == "following")
            assert following.statistics().losses == 1


async def test_strange_services_are_left_out_and_duplicates_are_one(caplog):
    agent = Agent()
    put(
        agent,
        service("a", 1, ("warning", "")),
        service("a again", 1, ("passing", "")),
        service("no port", 0),
        service("no number", 2, Meta={"weight": "much"}),
        service("nothing", 3, Meta={"weight": "nan"}),
        service("on its node", 4, Address="", Meta={"backup": "true"}, Tags=["x"]),
    )
    async with running(agent) as url, Consul(url) as consul:
        found = await anext(ConsulRegistry(consul).watch("orders"))

    told = [(it.name, it.weight, it.backup) for it in found]
    assert told == [
        ("10.0.0.1:1", 100.0, False),
        ("10.0.0.1:2", 100.0, False),
        ("10.9.9.9:4", 100.0, True),
    ]
    assert caplog.text.count("is no instance") == 2


async def test_a_refusal_says_what_and_why():
    agent = Agent(token="secret")
    async with running(agent) as url:
        async with Consul(url, token="secret", datacenter="dc1") as consul:
            assert (await consul.health("orders")).instances == []
            assert not await consul.update("none", "passing")
            await consul.deregister("none")
        async with Consul(url) as consul:
            why = r"consul 127.0.0.1:\d+: GET /v1/health/service/a%2Fb: 403 Permission denied"
            with pytest.raises(RemoteError, match=why):
                await consul.health("a/b")


async def test_an_answer_that_is_none_is_an_error():
    agent = Agent()
    agent.json = lambda found, headers: Agent.json(agent, {"a": 1}, headers)
    async with running(agent) as url, Consul(url) as consul:
        with pytest.raises(RemoteError, match="an answer that is none"):
            await consul.health("orders")


def test_settings_that_cannot_be(tmp_path):
    for url in ("127.0.0.1:8500", "ftp://a"):
        with pytest.raises(BadSettings, match="http://host:port"):
            Consul(url)
    with pytest.raises(BadSettings, match=r"none\.pem"):
        Consul("https://a", ca_certs=str(tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(BadSettings, match=r"bad\.pem"):
        Consul("https://a", ca_certs=str(tmp_path / "bad.pem"))
    registry = ConsulRegistry(Consul())
    with pytest.raises(BadSettings, match="a probe"):
        registry.register("orders", ONE, probe="http://a", latency=lambda: 0.0)
    for bad in ({"wait": 601}, {"ttl": 0}, {"forget": 5}):
        with pytest.raises(BadSettings):
            ConsulRegistry(Consul(), **bad)
