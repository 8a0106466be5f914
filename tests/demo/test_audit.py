import sqlite3

import pytest

from megahertz.demo import audit
from megahertz.load import Outcome


def shop(tmp_path, *orders, units=10, unique=True):
    """A database with `(id, sku, user)` rows; without its constraints where a test breaks them."""
    file = tmp_path / "shop.db"
    key = "PRIMARY KEY" if unique else ""
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE stock (sku, units, sold)")
        database.execute(f"CREATE TABLE orders (id INTEGER {key}, sku, user, quantity)")
        database.execute("INSERT INTO stock VALUES (1, ?, 0)", (units,))
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, 1)", orders)
    database.close()
    return file


def told(*outcomes):
    return [Outcome(order, 0, status) for order, status in outcomes]


def test_books_that_agree_hold(tmp_path):
    file = shop(tmp_path, (1, 1, 7), (2, 1, 8))
    found = audit(file, told((1, 201), (2, 200), (3, 409), (4, 422)))
    assert found.ok
    assert (found.acknowledged, found.refused, found.stored, found.sold) == (2, 2, 2, 2)


@pytest.mark.parametrize("status", [None, 500, 503, 504])
@pytest.mark.parametrize("kept", [True, False])
def test_an_order_without_a_clear_answer_may_be_there_or_not_and_is_listed(tmp_path, status, kept):
    file = shop(tmp_path, *([(1, 1, 7)] if kept else []))
    found = audit(file, told((1, status)))
    assert found.ok
    assert (found.unknown, found.unknown_stored) == (1, int(kept))


def test_an_acknowledged_order_that_is_missing_is_found(tmp_path):
    found = audit(shop(tmp_path, (1, 1, 7)), told((1, 201), (2, 201)))
    assert found.findings == {"acknowledged and missing": [2]}
    assert not found.ok


def test_a_refused_order_that_was_kept_is_found(tmp_path):
    found = audit(shop(tmp_path, (1, 1, 7)), told((1, 410)))
    assert found.findings == {"refused and stored": [1]}


def test_an_order_that_nobody_asked_for_is_found(tmp_path):
    found = audit(shop(tmp_path, (1, 1, 7)), told())
    assert found.findings == {"stored and never asked for": [1]}


def test_an_order_stored_twice_is_found(tmp_path):
    file = shop(tmp_path, (1, 1, 7), (1, 1, 8), unique=False)
    assert audit(file, told((1, 201))).findings == {"stored more than once": [1]}


def test_a_buyer_with_two_orders_is_found(tmp_path):
    found = audit(shop(tmp_path, (1, 1, 7), (2, 1, 7)), told((1, 201), (2, 201)))
    assert found.findings == {"buyers with more than one order": [7]}


def test_more_sold_than_there_is_is_found(tmp_path):
    found = audit(shop(tmp_path, (1, 1, 7), (2, 1, 8), units=1), told((1, 201), (2, 201)))
    assert found.findings == {"SKUs sold beyond the stock": [1]}


def test_an_order_of_what_was_never_on_sale_is_found(tmp_path):
    found = audit(shop(tmp_path, (1, 99, 7)), told((1, 201)))
    assert found.findings == {"SKUs sold beyond the stock": [99]}


def test_findings_name_a_few_and_the_counts_have_all(tmp_path):
    found = audit(shop(tmp_path), told(*((order, 201) for order in range(100))))
    assert found.findings["acknowledged and missing"] == list(range(10))
    assert found.acknowledged == 100
    assert found.as_dict()["ok"] is False


def test_the_database_is_only_read(tmp_path):
    file = shop(tmp_path, (1, 1, 7))
    before = file.read_bytes()
    audit(file, told((1, 201)))
    assert file.read_bytes() == before
