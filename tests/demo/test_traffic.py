import json
import re

import msgspec
import pytest

from megahertz.demo import PHASES
from megahertz.demo.flash_sale.stock import Order
from megahertz.demo.traffic import MIX, plan


def filled(template):
    body = template.body.decode().replace("{id}", "4294967296")
    return re.sub(r"\{rand:(\d+)-\d+\}", r"\1", body)


@pytest.mark.parametrize("template", MIX)
def test_every_body_is_json_and_has_an_id_of_its_own(template):
    assert b'"id": {id}' in template.body
    assert json.loads(filled(template))["id"] == 4294967296


def test_only_what_expects_422_breaks_the_rules_of_an_order():
    for template in MIX:
        try:
            msgspec.json.decode(filled(template), type=Order)
        except msgspec.ValidationError:
            assert template.expect == {422}
        else:
            assert template.expect != {422}


def test_most_buyers_are_good_and_new():
    good = [kind.weight for kind in MIX if 201 in kind.expect and b'"user": {id}' in kind.body]
    assert sum(good) / sum(kind.weight for kind in MIX) == pytest.approx(0.94)


def test_the_rush_has_ten_thousand_units_and_orders_more_than_anybody_asks_for():
    units = {phase.name: sum(phase.stock().values()) for phase in PHASES}
    assert units["rush"] == 10_000
    assert units["orders"] > 10_000_000


def test_every_request_is_recorded():
    planned = plan("http://127.0.0.1:1", seconds=2.0)
    assert planned.record
    assert planned.connections == 400
    assert planned.first_id >= 2**32, "ids are no small users' numbers"
