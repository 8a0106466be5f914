"""The ordinary and the native shop are one service: the same requests, the same answers."""

import sqlite3

import pytest

from megahertz.demo.flash_sale import ordinary
from megahertz.demo.flash_sale.database import create
from megahertz.demo.flash_sale.native import shop
from megahertz.errors import Overloaded
from megahertz.govern import Policy
from megahertz.testing import Client


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A shop; what the ordinary one's threads leave open is closed at the end."""
    opened = []

    def connect(file):
        given = {"timeout": 30, "isolation_level": None, "check_same_thread": False}
        opened.append(sqlite3.connect(file, **given))
        return opened[-1]

    monkeypatch.setenv("FLASH_SALE", str(tmp_path))
    monkeypatch.setattr(ordinary, "connect", connect)
    create(tmp_path / "shop.db", {1: 2, 2: 5})
    yield tmp_path
    for database in opened:
        database.close()


@pytest.fixture(params=["ordinary", "native", "governed"])
def client(request, home):
    policy = Policy(deadline=5.0, concurrency=100) if request.param == "governed" else None
    app = ordinary.app if request.param == "ordinary" else shop(home, policy=policy)
    with Client(app) as client:
        yield client


def order(client, id, sku=1, user=None, **more):
    body = {"id": id, "sku": sku, "user": user or id, **more}
    return client.post("/orders", json=body)


def stored(home):
    database = sqlite3.connect(home / "shop.db")
    rows = database.execute("SELECT id, sku, user FROM orders ORDER BY id").fetchall()
    database.close()
    return rows


def test_an_order_is_accepted(client):
    reply = order(client, 1)
    assert reply.status_code == 201
    assert reply.json() == {"status": "accepted"}


def test_the_same_order_again_is_the_same_order(client):
    assert order(client, 1).status_code == 201
    assert order(client, 1).status_code == 201
    assert order(client, 2).status_code == 201, "the repeat took no unit"


def test_a_second_order_of_a_buyer_is_refused(client):
    assert order(client, 1, user=7).status_code == 201
    assert order(client, 2, user=7).status_code == 409
    assert order(client, 3, user=8).status_code == 201, "the refused order took no unit"


def test_an_id_belongs_to_one_order(client):
    assert order(client, 1, user=7).status_code == 201
    assert order(client, 1, user=8).status_code == 409


def test_what_is_sold_out_is_gone(client):
    assert [order(client, n).status_code for n in (1, 2, 3)] == [201, 201, 410]
    assert order(client, 4, sku=2).status_code == 201


def test_an_unknown_article_is_not_found(client):
    assert order(client, 1, sku=99).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"id": 1, "sku": 1, "user": 1, "quantity": 2},
        {"id": 1, "sku": 1, "user": 1, "quantity": 0},
        {"id": "x", "sku": 1, "user": 1},
        {"id": 1, "sku": 1},
        [],
    ],
    ids=["two units", "no unit", "id", "no user", "no object"],
)
def test_what_is_no_order_is_refused(client, body):
    assert client.post("/orders", json=body).status_code == 422


def test_the_database_has_what_was_accepted(home):
    for app in (ordinary.app, shop(home)):
        with Client(app) as client:
            order(client, 1)
            order(client, 2, user=1)
    assert stored(home) == [(1, 1, 1)]


def test_a_native_shop_takes_over_from_an_ordinary_one_and_back(home):
    with Client(ordinary.app) as client:
        assert order(client, 1).status_code == 201
    with Client(shop(home)) as client:
        assert order(client, 2, user=1).status_code == 409
        assert order(client, 2).status_code == 201
        assert order(client, 3).status_code == 410
    with Client(ordinary.app) as client:
        assert order(client, 4, user=2).status_code == 409


def test_an_order_that_was_not_kept_gives_its_unit_back(home, monkeypatch):
    from megahertz.data import WriteBehind

    put = WriteBehind.put

    async def full(self, record):
        raise Overloaded("full", retry_after=1.0)

    with Client(shop(home)) as client:
        monkeypatch.setattr(WriteBehind, "put", full)
        assert [order(client, n).status_code for n in (1, 2, 3)] == [503, 503, 503]
        monkeypatch.setattr(WriteBehind, "put", put)
        assert [order(client, n).status_code for n in (1, 2, 3)] == [201, 201, 410]
