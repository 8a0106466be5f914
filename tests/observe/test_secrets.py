"""What is never written down."""

import pytest

from megahertz.observe.secrets import HIDDEN, Secrets


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Proxy-Authorization",
        "Cookie",
        "set-cookie",
        "password",
        "db_password",
        "X-Api-Key",
        "refresh_token",
        "client-secret",
        "sessionid",
    ],
)
def test_names_that_say_so(name):
    assert Secrets().is_secret(name)


@pytest.mark.parametrize("name", ["user", "key", "author", "path", ""])
def test_names_that_do_not(name):
    assert not Secrets().is_secret(name)


def test_names_of_ones_own():
    assert Secrets(["Pin-Code"]).is_secret("user_pin_code")


def test_at_every_level():
    given = {"user": {"name": "a", "password": "b"}, "list": [{"token": 1}, 2], "cookie": {}}

    assert Secrets().hide(given) == {
        "user": {"name": "a", "password": HIDDEN},
        "list": [{"token": HIDDEN}, 2],
        "cookie": HIDDEN,
    }


def test_what_is_too_deep_is_hidden_whole():
    given = {"a": None}
    given["a"] = [given]

    assert HIDDEN in str(Secrets().hide(given))


def test_queries():
    assert Secrets().query("a=1&token=x&b&token") == f"a=1&token={HIDDEN}&b&token"
    assert Secrets().query("plain") == "plain"


def test_the_names_it_remembers_have_a_bound():
    secrets = Secrets()
    for number in range(5000):
        assert not secrets.is_secret(f"name{number}")
    assert len(secrets._known) == 4096
