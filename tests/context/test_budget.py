import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.context import (
    budget_headers,
    deadline,
    format_grpc_timeout,
    grpc_timeout,
    read_budget,
    read_grpc_timeout,
)
from megahertz.errors import DeadlineExceeded, RemoteProtocolError
from tests.virtual import virtual


@virtual
async def test_an_outgoing_call_says_what_is_left():
    with deadline(0.25):
        assert budget_headers() == {"x-envoy-expected-rq-timeout-ms": "250"}
        assert budget_headers("x-budget") == {"x-budget": "250"}
        assert read_grpc_timeout(grpc_timeout()) == pytest.approx(0.25, abs=1e-5)


@virtual
async def test_without_a_deadline_it_says_nothing():
    assert budget_headers() == {}
    assert grpc_timeout() is None


@virtual
async def test_with_nothing_left_no_call_is_made():
    with deadline(0):
        with pytest.raises(DeadlineExceeded):
            budget_headers()
        with pytest.raises(DeadlineExceeded):
            grpc_timeout()


def test_a_budget_is_milliseconds():
    assert read_budget("1500") == 1.5
    assert read_budget("0") == 0.0


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "1e3", " 1", "1\n", "\u0661", "12345678901", "inf", "+1", "1_0"]
)
def test_a_budget_that_cannot_be_read_is_refused(text):
    with pytest.raises(RemoteProtocolError):
        read_budget(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600), ("2M", 120), ("3S", 3), ("4m", 0.004), ("5u", 5e-6), ("6n", 6e-9), ("0n", 0)],
)
def test_a_grpc_timeout_has_a_unit(text, seconds):
    assert read_grpc_timeout(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "S", "-1S", "123456789S", "1s", "1S ", "1.5S", "\u0661S"]
)
def test_a_grpc_timeout_that_cannot_be_read_is_refused(text):
    with pytest.raises(RemoteProtocolError):
        read_grpc_timeout(text)


@given(st.floats(0, 1e12))
def test_a_grpc_timeout_never_promises_more_than_there_is(seconds):
    text = format_grpc_timeout(seconds)

    assert len(text) <= 9
    assert read_grpc_timeout(text) <= seconds
    if seconds < 3.6e11:  # below, the finest unit that fits leaves 7 digits at least, or is whole
        assert read_grpc_timeout(text) == pytest.approx(seconds, rel=1e-5, abs=2e-9)


@pytest.mark.parametrize("seconds", [float("inf"), 1e30])
def test_the_longest_is_8_digits_of_hours(seconds):
    assert format_grpc_timeout(seconds).endswith("H")
