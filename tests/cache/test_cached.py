"""`@cached`: which call is which key, and what a function behind it can do."""

import asyncio
import inspect
from typing import Any

import pytest

from megahertz import App, Policy
from megahertz.cache import LRU, Sharded, Tiers, cached
from megahertz.errors import BadSettings, Misused
from megahertz.testing import Client


async def test_a_call_is_made_once():
    calls = []

    @cached(60)
    async def user(number: int) -> str:
        """Of a number."""
        calls.append(number)
        return f"user {number}"

    assert [await user(7), await user(number=7), await user(8)] == ["user 7", "user 7", "user 8"]
    assert calls == [7, 8]
    assert user.peek(7) == "user 7" and user.peek(9) is None
    await user.delete(7)
    assert user.peek(7) is None and await user(7) == "user 7" and calls == [7, 8, 7]
    assert user.__doc__ == "Of a number." and list(inspect.signature(user).parameters) == ["number"]
    assert inspect.iscoroutinefunction(user)
    statistics = user.tiers.statistics()
    assert (statistics.loads, statistics.hits) == (3, 2)


async def test_a_default_is_the_functions():
    @cached(60)
    async def page(number: int = 1) -> int:
        return number

    assert await page() == 1 and await page(2) == 2
    assert page.tiers.local.statistics().size == 2 and page.key() == 1


async def test_several_arguments_are_one_key_however_they_are_given():
    calls = []

    @cached(60)
    async def price(sku: int, currency: str = "EUR", *, net: bool = False) -> str:
        calls.append((sku, currency, net))
        return f"{sku} {currency} {net}"

    assert await price(1) == await price(1, "EUR") == await price(sku=1, net=False) == "1 EUR False"
    assert await price(1, net=True) == "1 EUR True"
    assert calls == [(1, "EUR", False), (1, "EUR", True)]
    assert price.key(1) == (1, "EUR", False)
    await price.delete(1, net=True)
    assert price.peek(1, net=True) is None and price.peek(1) == "1 EUR False"


async def test_no_argument_and_only_a_named_one():
    @cached(60)
    async def settings() -> dict[str, int]:
        return {"a": 1}

    @cached(60)
    async def flag(*, name: str) -> str:
        return name

    @cached(60)
    async def pair(a: int, b: int) -> int:
        return a + b

    assert await settings() is await settings()
    assert await flag(name="x") == "x" and flag.peek(name="x") == "x"
    assert await pair(1, 2) == 3 and pair.peek(b=2, a=1) == 3


@pytest.mark.parametrize(
    "local",
    [lambda: LRU(8), lambda: LRU(8, hot=4), lambda: Sharded(lambda: LRU(8), shards=2)],
    ids=["quick", "counts keys", "has locks"],
)
async def test_any_cache_is_a_local_level(local):
    kept = local()

    @cached(60, local=kept)
    async def double(number: int) -> int:
        return 2 * number

    assert [await double(n) for n in (1, 2, 1, 1)] == [2, 4, 2, 2]
    assert kept.statistics().hits == 2 and double.tiers.statistics().loads == 2


async def test_what_is_used_stays():
    """The quick way notes a use, though not each one."""

    @cached(60, local=LRU(2))
    async def same(number: int) -> int:
        return number

    for number in (1, 2, 1, 1, 3, 1):
        await same(number)
    assert same.peek(1) == 1 and same.peek(2) is None


async def test_what_cannot_be_a_key():
    @cached(60)
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    with pytest.raises(TypeError, match="unhashable"):
        await total([1, 2])

    @cached(60)
    async def kind(of: Any) -> str:
        return str(of)

    with pytest.raises(Misused, match="no key"):
        await kind(object)


def test_what_cannot_be_cached():
    with pytest.raises(BadSettings, match="async def"):
        cached(60)(lambda number: number)

    class Shop:
        async def item(self, sku: int) -> int: ...

        async def items(*skus: int) -> int: ...

    for function in (Shop.item, Shop.items):
        with pytest.raises(BadSettings, match="no key"):
            cached(60)(function)

    async def bare(number): ...

    with pytest.raises(BadSettings, match="return annotation"):
        cached(60, remote=None)(bare)

    async def unknown(number) -> "Nowhere": ...  # noqa: F821

    with pytest.raises(BadSettings, match="Nowhere"):
        cached(60, remote=None)(unknown)
    cached(60, type=int)(bare)


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"name": "a:b"},
        {"name": ""},
        {"timeout": 0},
        {"stale": -1},
        {"jitter": 1},
        {"unheard": 0},
        {"beta": float("nan")},
        {"loads": 0},
    ],
    ids=str,
)
def test_numbers_that_cannot_be(options):
    with pytest.raises(BadSettings):
        Tiers(asyncio.sleep, **{"ttl": 1, "name": "n", **options})


def test_a_load_outlives_the_deadline_of_the_request_that_began_it():
    """In the engine: the first client has its 504, the next one what was loaded meanwhile."""
    calls, gate = [], []

    @cached(60)
    async def slow(number: int) -> int:
        calls.append(number)
        gate.append(asyncio.Event())
        await gate[0].wait()
        return number

    app = App()

    @app.get("/slow", policy=Policy(deadline=0.05))
    async def get() -> int:
        return await slow(7)

    @app.get("/open")
    async def release() -> int:
        gate[0].set()
        return await slow(7)

    with Client(app) as client:
        assert client.get("/slow").status_code == 504
        assert client.get("/open").json() == 7
        assert client.get("/slow").json() == 7
    assert calls == [7]
