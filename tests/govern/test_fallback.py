import asyncio

import pytest

from megahertz.clock import Manual
from megahertz.errors import BadSettings, ConnectError, DeadlineExceeded, Misused, StatusError
from megahertz.govern import Fallback, Retry, Stale, Timeout
from megahertz.govern.balance import Group, Health, Instance
from tests.virtual import virtual


class Price:
    def __init__(self):
        self.error = None

    async def __call__(self, sku, *, currency="EUR"):
        if self.error:
            raise self.error
        return f"{sku} {currency}"


@virtual
async def test_a_value_answers():
    async def hangs() -> str:
        await asyncio.Event().wait()
        return "never"

    assert await Timeout(0.1, fallback="late").run(hangs) == "late"


@virtual
async def test_a_function_is_asked_with_the_same_arguments():
    price = Price()
    price.error = ConnectError()

    async def instead(sku, *, currency):
        return f"about {sku} {currency}"

    guard = Timeout(1, fallback=instead)
    assert await guard.run(price, 7, currency="CHF") == "about 7 CHF"
    assert await Timeout(1, fallback=lambda sku: sku).run(price, 7) == 7


@virtual
async def test_a_bug_has_no_fallback():
    price = Price()
    price.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await Timeout(1, fallback="x").run(price, 7)


@virtual
async def test_the_last_good_answer_to_the_same_question():
    price, clock = Price(), Manual()
    guard = Timeout(1, fallback=Stale(60, clock=clock))
    await guard.run(price, 7, currency="CHF")
    price.error = ConnectError()

    assert await guard.run(price, 7, currency="CHF") == "7 CHF"
    with pytest.raises(ConnectError):
        await guard.run(price, 7)
    clock.advance(61)
    with pytest.raises(ConnectError):
        await guard.run(price, 7, currency="CHF")


@virtual
async def test_a_default_where_nothing_is_kept():
    price = Price()
    price.error = ConnectError()
    guard = Timeout(1, fallback=Stale(60, default="unknown"))
    assert await guard.run(price, 7) == "unknown"


@virtual
async def test_what_was_asked_for_longest_ago_is_forgotten():
    price = Price()
    guard = Timeout(1, fallback=Stale(60, keys=2))
    for sku in (1, 2):
        await guard.run(price, sku)
    price.error = ConnectError()
    await guard.run(price, 1)
    price.error = None
    await guard.run(price, 3)
    price.error = ConnectError()

    assert await guard.run(price, 1) == "1 EUR"
    with pytest.raises(ConnectError):
        await guard.run(price, 2)


@virtual
async def test_arguments_that_cannot_be_compared_need_a_key():
    async def total(skus: list[int]) -> int:
        return sum(skus)

    with pytest.raises(Misused, match="key="):
        await Timeout(1, fallback=Stale(60)).run(total, [1, 2])
    assert await Timeout(1, fallback=Stale(60, key=tuple)).run(total, [1, 2]) == 3


@virtual
async def test_a_clients_own_errors_can_be_named():
    class Foreign(Exception):
        pass

    async def ask() -> str:
        raise Foreign

    assert await Timeout(1, fallback=Fallback("x", on=(Foreign,))).run(ask) == "x"
    assert not Stale(1).has_key
    with pytest.raises(Foreign):
        await Timeout(1, fallback="x").run(ask)


@virtual
async def test_guards_go_around_each_other():
    tried = []

    @Retry(2, idempotent=True, fallback="nothing")
    @Timeout(0.1)
    async def slow(seconds: float) -> str:
        tried.append(seconds)
        await asyncio.sleep(seconds)
        return "done"

    assert await slow(1) == "nothing"
    assert await slow(0.01) == "done"
    assert tried == [1, 1, 0.01]


@virtual
async def test_a_timeout_is_a_block_too():
    timeout = Timeout(0.1)
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            async with timeout:
                await asyncio.sleep(1)
    assert repr(timeout) == "Timeout(0.1)"


@pytest.mark.parametrize("make", [lambda: Stale(0), lambda: Stale(1, keys=0), lambda: Timeout(-1)])
def test_what_cannot_be_is_refused(make):
    with pytest.raises(BadSettings):
        make()


@pytest.mark.parametrize(("status", "given"), [(503, "instead"), (404, None)])
def test_a_status_below_500_is_an_answer_to_all_of_them(status, given):
    error = StatusError("said so", status_code=status)
    tries = []

    async def call():
        tries.append(1)
        raise error

    group = Group("svc", [Instance(host="a", port=80)], health=Health(max_fails=1))

    async def grouped():
        with group.acquire():
            raise error

    retry = Retry(2, idempotent=True, first=0, longest=0, fallback="instead")
    if given is None:
        with pytest.raises(StatusError):
            asyncio.run(retry.run(call))
    else:
        assert asyncio.run(retry.run(call)) == given
    with pytest.raises(StatusError):
        asyncio.run(grouped())

    assert len(tries) == (1 if given is None else 2)
    assert group.statistics()[0].failures == (0 if given is None else 1)


def test_who_names_it_has_any_status_answered():
    async def call():
        raise StatusError("not there", status_code=404)

    guarded = Timeout(5, fallback=Fallback("unknown", on=(StatusError,)))(call)
    assert asyncio.run(guarded()) == "unknown"
