import gc

from hypothesis import given
from hypothesis import strategies as st

from megahertz.demo.flash_sale.stock import Order, Stock

ORDERS = st.builds(Order, id=st.integers(1, 12), sku=st.integers(1, 3), user=st.integers(1, 12))
UNITS = {1: 2, 2: 3}


def filled(*orders):
    stock = Stock()
    stock.fill(UNITS, orders)
    return stock


@given(st.lists(ORDERS, max_size=60))
def test_nothing_is_oversold_and_nobody_has_two(orders):
    stock = filled()
    taken = [order for order in orders if stock.reserve(order) == "taken"]
    assert len({order.id for order in taken}) == len(taken)
    assert len({order.user for order in taken}) == len(taken)
    for sku, units in UNITS.items():
        assert stock.left(sku) == units - sum(order.sku == sku for order in taken) >= 0


@given(st.lists(ORDERS, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_a_restart_remembers_what_was_kept_and_nothing_else(orders, kept):
    before, placed = filled(), []
    for order, keep in zip(orders, kept, strict=False):
        if before.reserve(order) == "taken":
            placed.append(order) if keep else before.release(order)
    # the journal and the database may both have an order
    after = filled(*placed, *placed)
    for order in orders:
        assert after.reserve(order) == before.reserve(order)


def test_the_same_order_again_is_no_second_order():
    order = Order(1, 1, 7)
    stock = filled()
    assert stock.reserve(order) == "taken"
    assert stock.reserve(Order(1, 1, 7)) == "again"
    assert stock.left(1) == 1


def test_each_refusal_says_why():
    stock = filled(Order(1, 1, 7), Order(2, 1, 8))
    assert stock.reserve(Order(3, 99, 9)) == "no such article"
    assert stock.reserve(Order(3, 1, 9)) == "sold out"
    assert stock.reserve(Order(3, 2, 7)) == "one order a buyer"
    assert stock.reserve(Order(1, 2, 7)) == "id in use"


def test_the_collector_passes_over_the_orders():
    stock = filled(*(Order(n, 1, n) for n in (1, 2)))
    assert not gc.is_tracked(stock._orders)
    assert not gc.is_tracked(stock._buyers)
