"""Which records are kept."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.engine import TraceSource
from megahertz.errors import BadSettings
from megahertz.observe import Sampling

D, I, W, E = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR  # noqa: E741


class Asked:
    """An exchange of a client."""

    def __init__(self, host):
        self.peer = None if host is None else (host, 1)
        self.headers = []


def trace(number=2**64 - 1, host="192.0.2.1"):
    exchange = Asked(host)
    exchange.headers = [(b"b3", f"{number:032x}-{1:016x}".encode())]
    return TraceSource(0.0).of(exchange)


def test_errors_always():
    assert Sampling(warning=0, info=0).takes(E, trace())


def test_what_is_no_requests_is_kept_from_the_level_on():
    sampling = Sampling(level="warning", info=0, warning=0)

    assert [sampling.takes(level, None) for level in (D, I, W, E)] == [False, False, True, True]


@given(st.integers(1, 2**128 - 1))
def test_a_request_whose_information_is_kept_has_its_warnings_too(number):
    sampling = Sampling(info=0.3, warning=0.5)
    found = trace(number)

    assert sampling.takes(I, found) == ((number % 2**64 >> 11) / 2**53 < 0.3)
    assert sampling.takes(W, found) or not sampling.takes(I, found)


def test_the_shares_are_those_of_the_reports():
    assert (Sampling().warning, Sampling().info, Sampling().level) == (0.05, 0.001, "info")


def test_debug_is_off_unless_switched_on():
    assert not Sampling().takes(D, trace())
    assert Sampling(level="debug").takes(D, trace())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.1.2.3", True),
        ("2001:db8::7", True),
        ("11.0.0.1", False),
        ("unix", False),
        (None, False),
    ],
)
def test_everything_of_listed_clients(host, expected):
    sampling = Sampling(debug_for=("10.0.0.0/8", "2001:db8::/32"))

    assert [sampling.takes(level, trace(host=host)) for level in (D, I, W)] == [expected] * 3
    assert sampling.least == D
    assert not sampling.takes(D, None)


def test_everything_for_development():
    assert all(Sampling.everything("debug").takes(level, trace()) for level in (D, I, W, E))


@pytest.mark.parametrize(
    "options", [{"level": "loud"}, {"info": 2.0}, {"warning": -1}, {"debug_for": ("10.0.0.1/8",)}]
)
def test_settings_that_cannot_be(options):
    with pytest.raises(BadSettings):
        Sampling(**options)
