"""A client over many instances: what is tried again, what is the answer, what is learned."""

import asyncio
from collections import Counter

import pytest

from megahertz import Breaker, Client, deadline
from megahertz.errors import BadSettings, ConnectError, DeadlineExceeded, ReadError
from megahertz.govern import Hedge, Retry, Upstream
from megahertz.govern.balance import (
    ConsistentHash,
    Group,
    Health,
    Instance,
    LeastConnections,
    Probe,
    RoundRobin,
)
from tests.virtual import virtual

from .pools import Came, Scripted


def group(hosts="ab", balancer=None, **health):
    instances = [Instance(host=host, port=8000) for host in hosts]
    balancer = RoundRobin() if balancer is None else balancer
    return Group("orders", instances, balancer=balancer, health=Health(**health))


def governed(pool, members=None, *, base="http://orders", **options):
    options.setdefault("retry", Retry(first=0, longest=0))
    upstream = Upstream(members or group(max_fails=0), **options)
    return Client(base, pool=pool, upstream=upstream)


def by_host(**answers):
    """A pool whose instances answer each for itself."""

    def answer(sent):
        found = answers.get(sent.origin.host, Came(200, body=sent.origin.host.encode()))
        return found(sent) if callable(found) else found

    return Scripted(answer)


def met(pool):
    return "".join(sent.origin.host for sent in pool.sent)


@virtual
async def test_an_instance_is_asked_by_the_name_of_the_service():
    pool = by_host()
    response = await governed(pool, base="https://orders:8443/v1").get("/7?full=1")
    sent = pool.sent[0]

    assert (sent.origin.scheme, sent.origin.host, sent.origin.port) == ("https", "a", 8000)
    assert sent.header("host") == "orders:8443"
    assert sent.server_name == "orders"
    assert sent.target == "/v1/7?full=1"
    assert str(response.url) == "https://orders:8443/v1/7?full=1"


@virtual
async def test_another_host_is_asked_as_it_is():
    pool = by_host()
    await governed(pool).get("http://elsewhere/x")

    assert met(pool) == "elsewhere"
    assert pool.sent[0].server_name is None


@pytest.mark.parametrize("status", [502, 503, 504])
@virtual
async def test_an_instance_that_is_away_is_left_for_another(status):
    pool = by_host(a=Came(status))
    response = await governed(pool).get("/")

    assert response.text == "b"
    assert met(pool) == "ab"


@pytest.mark.parametrize("status", [200, 302, 404, 429, 500, 501])
@virtual
async def test_an_answer_is_an_answer(status):
    pool = by_host(a=Came(status))

    assert (await governed(pool).get("/")).status_code == status
    assert met(pool) == "a"


@virtual
async def test_where_everybody_is_away_that_is_the_answer():
    last = Came(503, body=b"last")
    pool = by_host(a=Came(502), b=Came(503), c=last)
    response = await governed(pool, group("abc", max_fails=0)).get("/")

    assert response.status_code == 503
    assert response.text == "last"
    assert met(pool) == "abc"


@virtual
async def test_what_must_not_be_done_twice_is_done_once():
    pool = by_host(a=ReadError("cut"))
    with pytest.raises(ReadError):
        await governed(pool).post("/", json=1)
    response = await governed(by_host(a=Came(503))).post("/", json=1)

    assert met(pool) == "a"
    assert response.status_code == 503


@virtual
async def test_what_was_not_done_is_done_elsewhere():
    pool = by_host(a=ConnectError("refused"))
    response = await governed(pool).post("/", json=1)

    assert response.text == "b"
    assert [sent.body for sent in pool.sent] == [b"1", b"1"]


@virtual
async def test_a_body_that_was_read_is_not_sent_again():
    async def body():
        yield b"x"

    pool = by_host(a=ReadError("cut"))
    with pytest.raises(ReadError):
        await governed(pool).put("/", content=body())

    assert met(pool) == "a"


@virtual
async def test_who_asks_for_time_is_given_it():
    loop = asyncio.get_running_loop()
    times = []

    def away(sent):
        times.append(loop.time())
        return Came(503, [("retry-after", "2")])

    pool = by_host(a=away, b=lambda sent: times.append(loop.time()) or Came())
    await governed(pool).get("/")
    assert times[1] - times[0] == pytest.approx(2, abs=0.01)

    pool = by_host(a=away)
    assert (await governed(pool).get("/", timeout=1)).status_code == 503
    assert met(pool) == "a"


@virtual
async def test_a_try_has_its_own_time_and_the_call_the_whole():
    async def silent(sent):
        await asyncio.sleep(sent.timeout)
        raise DeadlineExceeded("late")

    pool = by_host(a=silent, b=silent)
    members = group(max_fails=0)
    with pytest.raises(DeadlineExceeded):
        await governed(pool, members, per_try=0.4, retry=Retry(10, first=0, longest=0)).get(
            "/", timeout=1.0
        )

    assert [sent.timeout for sent in pool.sent] == [0.4, 0.4, pytest.approx(0.2)]
    told = [int(sent.header("x-envoy-expected-rq-timeout-ms")) for sent in pool.sent]
    assert told[:2] == [400, 400]  # the least of the try's and the call's
    assert told[2] in (199, 200)


@virtual
async def test_a_hedge_answers_for_a_slow_instance():
    async def silent(sent):
        await asyncio.Event().wait()

    pool = by_host(a=silent)
    response = await governed(pool, hedge=Hedge(0.05), retry=None).get("/")

    assert response.text == "b"
    assert met(pool) == "ab"


@virtual
async def test_each_instance_has_a_breaker():
    pool = by_host(a=Came(503))
    client = governed(pool, breaker=Breaker(3, 1), retry=None)
    statuses = [(await client.get("/")).status_code for _ in range(20)]

    assert statuses.count(503) == 3
    assert Counter(met(pool)) == {"a": 3, "b": 17}
    assert client.statistics().upstream.breakers["a:8000"].state == "open"


@virtual
async def test_an_instance_that_fails_is_out_for_others_calls_too():
    pool = by_host(a=ConnectError("refused"))
    client = governed(pool, group(max_fails=2))
    for _ in range(20):
        assert (await client.get("/")).status_code == 200

    assert Counter(met(pool)) == {"a": 2, "b": 20}


@virtual
async def test_calls_that_belong_together_meet_the_same_instance():
    pool = by_host()
    client = governed(pool, group("abcdef", ConsistentHash()))
    for _ in range(5):
        for user in range(20):
            await client.get("/", key=f"user {user}".encode(), headers={"x-user": str(user)})
    places = {}
    for sent in pool.sent:
        places.setdefault(sent.header("x-user"), set()).add(sent.origin.host)

    assert all(len(hosts) == 1 for hosts in places.values())
    assert len(set.union(*places.values())) > 2


@virtual
async def test_a_stream_is_tried_again_until_it_begins():
    away = Came(503)
    pool = by_host(a=away, b=Came(pieces=[b"x", b"y"]))
    async with governed(pool).stream("GET", "/") as response:
        assert away.closed
        assert await response.aread() == b"xy"


@virtual
async def test_the_last_of_streams_that_failed_is_given():
    first, last = Came(503, pieces=[b"1"]), Came(503, pieces=[b"2"])
    pool = by_host(a=first, b=last)
    client = governed(pool, retry=Retry(2, first=0, longest=0))
    async with client.stream("GET", "/") as response:
        assert await response.aread() == b"2"
        assert first.closed
        assert not last.closed


@virtual
async def test_redirects_within_the_service_go_to_its_instances():
    def answer(sent):
        return Came(302, [("location", "/there")]) if sent.target == "/" else Came(body=b"there")

    pool = Scripted(answer)
    response = await governed(pool).get("/", follow_redirects=True)

    assert response.text == "there"
    assert met(pool) == "ab"


@virtual
async def test_probes_run_while_the_client_is_open():
    def health(sent):
        return Came(500 if sent.origin.host == "a" else 200)

    pool = Scripted(health)
    members = group(max_fails=0)
    client = governed(pool, members, probe=Probe(path="/health", every=10, timeout=3))
    async with client:
        await asyncio.sleep(60)
    asked = len(pool.sent)
    await asyncio.sleep(60)

    assert len(pool.sent) == asked
    sent = pool.sent[0]
    assert (sent.method, sent.target, sent.timeout) == ("GET", "/health", 3)
    assert sent.header("host") == "orders"
    assert [peer.share for peer in members.statistics()] == [0, 1]


@virtual
async def test_probes_begin_with_the_first_call_of_one_that_is_not_entered():
    pool = by_host()
    client = governed(pool, probe=Probe(every=10))
    await client.get("/")
    await asyncio.sleep(30)
    await client.aclose()
    await client.aclose()

    assert len(pool.sent) > 4


@virtual
async def test_the_deadline_of_who_called_first_is_not_that_of_the_probes():
    pool, members = by_host(), group(max_fails=0)
    client = governed(pool, members, probe=Probe(every=10))
    with deadline(1):
        await client.get("/")
    await asyncio.sleep(100)
    await client.aclose()
    probes = [sent for sent in pool.sent if sent.target == "/health"]

    assert len(probes) >= 18
    assert {sent.header("x-envoy-expected-rq-timeout-ms") for sent in probes} == {None}
    assert [peer.share for peer in members.statistics()] == [1, 1]


@virtual
async def test_no_instance_is_an_error_and_a_service_has_a_name():
    with pytest.raises(ConnectError, match="orders: no instance"):
        await governed(by_host(), group("")).get("/")
    with pytest.raises(BadSettings):
        governed(by_host(), base="")


@virtual
async def test_a_slow_instance_gets_fewer_calls():
    """Many callers at once, a hundred times longer at one of three."""

    async def slow(sent):
        await asyncio.sleep(1.0 if sent.origin.host == "a" else 0.01)
        return Came()

    pool = Scripted(slow)
    client = governed(pool, group("abc", LeastConnections()), retry=None)

    async def caller():
        for _ in range(30):
            await client.get("/")

    await asyncio.gather(*(caller() for _ in range(10)))
    share = Counter(met(pool))

    assert share["a"] < 0.15 * len(pool.sent)
    assert all(peer.running == 0 for peer in client.statistics().upstream.peers)
