"""Settings that follow a real etcd: what is applied, who is told, and what is refused."""

import asyncio
import logging
import os

import msgspec
import pytest

from megahertz import App, Policy
from megahertz.backends import Etcd
from megahertz.errors import BackendError, BadSettings, CompareFailed
from megahertz.govern.config import Configuration, Documents, subscriber
from megahertz.testing import Client
from tests.govern.config.storm import storm


class Shop(msgspec.Struct, frozen=True):
    limit: int = 100
    level: str = "INFO"


def at_most_a_thousand(shop):
    if shop.limit > 1000:
        raise ValueError("a limit above 1000")


async def write(documents, **changes):
    text = msgspec.json.encode(changes)
    return await documents.write(text, expected=(await documents.read()).version, by="test")


class Told:
    """A subscriber that can be waited for."""

    def __init__(self, settings):
        self.limits, self._changed = [], asyncio.Condition()
        settings.subscribe(self.hear)

    async def hear(self, snapshot):
        self.limits.append(snapshot.value.limit)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, limit):
        async with self._changed:
            await self._changed.wait_for(lambda: limit in self.limits)


def test_without_etcd_it_is_a_value(tmp_path, monkeypatch):
    (tmp_path / "shop.toml").write_text("limit = 5\nlevel = 'DEBUG'\n")
    monkeypatch.setenv("SHOP_LIMIT", "7")
    settings = Configuration(Shop, file=tmp_path / "shop.toml", environment="SHOP_")

    assert settings.value == Shop(7, "DEBUG")
    assert settings.snapshot.version == 0
    assert settings.statistics().state == "local"


async def test_without_etcd_subscribers_are_told_once():
    settings = Configuration(Shop)
    told = Told(settings)
    async with settings:
        await settings.settled()
        settings.subscribe(told.hear)
        await settings.settled()

    assert told.limits == [100, 100]


def test_a_bad_value_is_refused_at_once():
    with pytest.raises(BadSettings, match="Shop: a limit above 1000"):
        Configuration(Shop, validate=at_most_a_thousand).build(b'{"limit": 1001}')
    with pytest.raises(BadSettings, match="a key"):
        Configuration(Shop, etcd=Etcd(), key="/")


async def test_each_version_is_applied_and_told_in_order(etcd):
    async with Etcd(etcd.endpoint) as client:
        documents = Documents(client, "config/order")
        settings = Configuration(Shop, etcd=client, key="config/order", required=True)
        told = Told(settings)
        async with settings:
            versions = [await write(documents, limit=limit) for limit in (1, 2, 3)]
            await told.until(3)

            assert told.limits == [100, 1, 2, 3]
            assert settings.snapshot.version == versions[-1]
            assert settings.statistics().state == "following"
            await client.delete("config/order")
            await told.until(100)
            assert settings.value == Shop()


async def test_a_bad_version_changes_nothing(etcd, caplog):
    async with Etcd(etcd.endpoint) as client:
        documents = Documents(client, "config/bad")
        settings = Configuration(Shop, etcd=client, key="config/bad", validate=at_most_a_thousand)
        told = Told(settings)
        async with settings:
            good = await write(documents, limit=1)
            await told.until(1)
            await write(documents, limit="many")
            await write(documents, limits=5)
            bad = await write(documents, limit=1001)
            while settings.statistics().refused < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

            seen = settings.statistics()
            assert (seen.version, seen.refused, settings.value.limit) == (good, 3, 1)
            assert seen.trouble == f"version {bad} is refused: Shop: a limit above 1000"
            assert "did you mean 'limit'?" in caplog.text
            assert dict(settings.figures()) == {
                'settings_applied_total{settings="config/bad"}': seen.applied,
                'settings_refused_total{settings="config/bad"}': 3,
                'settings_lost{settings="config/bad"}': 0,
                'settings_behind{settings="config/bad"}': 0,
            }
            await write(documents, limit=2)
            await told.until(2)
            assert told.limits[1:] == [1, 2]
            assert settings.statistics().trouble == ""


async def test_a_restart_with_a_bad_version_begins_with_the_last_good_one(etcd):
    async with Etcd(etcd.endpoint) as client:
        documents = Documents(client, "config/again")
        good = await write(documents, limit=7)
        await write(documents, limit="many")
        async with Configuration(Shop, etcd=client, key="config/again") as settings:
            assert (settings.value.limit, settings.snapshot.version) == (7, good)


async def test_nothing_good_at_all_is_an_error(etcd):
    async with Etcd(etcd.endpoint) as client:
        await write(Documents(client, "config/none"), limit="many")
        with pytest.raises(BadSettings, match="nor is there a good one"):
            await Configuration(Shop, etcd=client, key="config/none").__aenter__()


async def test_without_etcd_at_start_it_begins_with_what_there_is_and_follows_later(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint) as other:
        await write(Documents(other, "a"), limit=5)
    async with Etcd(server.endpoint, timeout=0.5, longest_backoff=0.1) as client:
        server.kill()
        with pytest.raises(BackendError):
            await Configuration(Shop, etcd=client, key="a", required=True).__aenter__()
        settings = Configuration(Shop, etcd=client, key="a")
        told = Told(settings)
        async with settings:
            seen = settings.statistics()
            assert (seen.state, seen.version, seen.losses) == ("lost", 0, 1)
            await asyncio.to_thread(server.start)
            await told.until(5)
            assert told.limits == [100, 5]


async def test_a_store_that_went_back_is_read_anew(new_etcd, tmp_path, caplog):
    server = new_etcd()
    async with Etcd(server.endpoint, longest_backoff=0.1) as client:
        documents = Documents(client, "a")
        for limit in (1, 2, 3):
            await write(documents, limit=limit)
        settings = Configuration(Shop, etcd=client, key="a")
        told = Told(settings)
        async with settings:
            await told.until(3)
            server.kill()
            (tmp_path / "etcd-0/data").rename(tmp_path / "lost")
            await asyncio.to_thread(server.start)
            await told.until(100)
            await write(documents, limit=4)
            await told.until(4)

    assert told.limits == [3, 100, 4]
    assert "etcd went back" in caplog.text


async def test_a_subscriber_that_hangs_or_fails_is_counted_and_goes_on(etcd, caplog):
    async with Etcd(etcd.endpoint) as client:
        documents = Documents(client, "config/hangs")
        settings = Configuration(Shop, etcd=client, key="config/hangs", patience=0.5)
        told, heard = Told(settings), []

        @settings.subscribe
        async def hangs(snapshot):
            heard.append(snapshot.value.limit)
            if snapshot.value.limit == 1:
                await asyncio.Event().wait()
            if snapshot.value.limit == 2:
                raise KeyError("x")

        async with settings:
            for limit in (1, 2, 3):
                await write(documents, limit=limit)
            await told.until(3)
            await settings.settled()

            assert heard == [100, 1, 2, 3]
            assert settings.statistics().failures == 2
            assert "hangs took more than 0.5 s" in caplog.text
            assert "hangs failed (KeyError('x'))" in caplog.text


async def test_a_subscriber_far_behind_is_waited_for(etcd, monkeypatch):
    monkeypatch.setattr(subscriber, "BEHIND", 2)
    async with Etcd(etcd.endpoint) as client:
        documents = Documents(client, "config/behind")
        settings = Configuration(Shop, etcd=client, key="config/behind")
        gate, heard, reached = asyncio.Event(), [], asyncio.Event()

        @settings.subscribe
        async def slow(snapshot):
            heard.append(snapshot.value.limit)
            if heard[-1] == 9:
                reached.set()
            await gate.wait()

        async with settings:
            for limit in range(1, 10):
                await write(documents, limit=limit)
            while settings.statistics().behind < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert settings.value.limit <= 3
            gate.set()
            await reached.wait()

    assert heard == [100, *range(1, 10)]


async def test_two_writers_cannot_overwrite_each_other_unseen(etcd):
    async with Etcd(etcd.endpoint) as client:
        documents = Documents(client, "config/writers")
        seen = (await documents.read()).version
        await documents.write(b'{"limit": 1}', expected=seen, by="one")
        with pytest.raises(CompareFailed, match="somebody has written it since"):
            await documents.write(b'{"limit": 2}', expected=seen, by="two")

        assert (await documents.read()).text == b'{"limit": 1}'


async def test_what_was_is_kept_and_comes_back(etcd):
    async with Etcd(etcd.endpoint) as client:
        documents = Documents(client, "config/history", keep=3)
        versions = [await write(documents, limit=limit) for limit in range(5)]
        history = await documents.history()

        assert [it.version for it in history] == versions[:1:-1]
        assert bytes((await documents.version(versions[2])).document) == b'{"limit":2}'
        again = await documents.roll_back(versions[3], by="test")
        newest = (await documents.history())[0]
        assert (newest.version, newest.why) == (again, f"back to version {versions[3]}")
        assert (await documents.read()).text == b'{"limit":3}'
        with pytest.raises(BadSettings, match=rf"no version {versions[0]}.*newest: {again}"):
            await documents.roll_back(versions[0], by="test")


async def test_policies_and_log_levels_are_settings_like_any_other(etcd):
    class Service(msgspec.Struct, frozen=True):
        deadline: float = 1.0
        level: str = "WARNING"

    app = App(policy=Policy(deadline=1.0))

    @app.get("/")
    async def hello() -> str:
        return "hello"

    async with Etcd(etcd.endpoint) as client:
        settings = Configuration(Service, etcd=client, key="config/policy")
        applied = asyncio.Event()

        @settings.subscribe
        def apply(snapshot):
            app.set_policy(Policy(deadline=snapshot.value.deadline), route="GET /")
            logging.getLogger("shop").setLevel(snapshot.value.level)
            if snapshot.value.deadline == 0.25:
                applied.set()

        with Client(app):
            async with settings:
                await write(Documents(client, "config/policy"), deadline=0.25, level="DEBUG")
                await applied.wait()
    assert logging.getLogger("shop").level == logging.DEBUG
    assert settings.statistics().failures == 0


async def test_every_subscriber_sees_each_applied_version_once_and_ends_at_the_last(tmp_path):
    """The whole, 10,000 changes: `python -m tests.govern.config.storm`; here once each fault."""
    whole = os.environ.get("MEGAHERTZ_SUITES") == "all"
    kinds = iter(["kill", "partition", "compact", "delay"] * 100)
    seen, faults = await storm(tmp_path, 10_000 if whole else 300, every=60, kinds=kinds)

    assert min(faults.values()) >= 1
    assert seen.losses >= 1 and seen.rereads >= 1 and seen.applied > 200
