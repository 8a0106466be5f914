import re
import tomllib

import pytest

from benchmarks.build import PEERS, ROOT
from benchmarks.peer import chosen, peers
from benchmarks.peers.python import shop
from benchmarks.work import BLOB, ORDERS, WORKS, compact, order


def test_the_posted_order_is_one_kibibyte_and_what_the_types_say():
    body = compact(order())

    assert len(body) == 1024
    assert shop.encode(shop.decode_order(body)) == body


def test_a_wrong_order_is_among_what_is_verified():
    (wrong,) = [ask for ask in ORDERS if ask.refused]

    with pytest.raises(ValueError, match="Expected `int`"):
        shop.decode_order(wrong.body)


@pytest.mark.parametrize("work", WORKS.values(), ids=lambda work: work.name)
def test_a_work_asks_known_peers_for_known_answers(work):
    assert set(work.peers) <= set(peers())
    assert all(ask.refused or ask.answer is not None for ask in work.asks)
    assert any(peers()[name].is_ours for name in work.peers)


def test_servers_send_the_bytes_that_are_expected():
    assert shop.BLOB == BLOB
    assert len(BLOB) == 64 * 1024


def test_peers_are_chosen_by_a_part_of_their_name_and_ours_always():
    names = WORKS["hello"].peers

    assert chosen(names, ["granian", "fasthttp"]) == [
        "fasthttp",
        "granian RSGI",
        "granian ASGI",
        "megahertz",
        "megahertz uvloop",
    ]
    assert chosen(names, []) == list(names)


def test_an_unknown_peer_is_told():
    with pytest.raises(ValueError, match="no peer is called apache"):
        chosen(WORKS["hello"].peers, ["Apache"])


def test_our_server_has_what_it_imports_where_the_peers_are():
    """It runs in their virtual environment, from its sources."""
    pinned = (PEERS / "python/requirements.txt").read_text()
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

    for name in (re.split(r"[^\w-]", line)[0] for line in needed):
        assert f"\n{name}==" in pinned


def test_every_pinned_package_is_pinned_exactly():
    lines = (PEERS / "python/requirements.txt").read_text().splitlines()

    assert all("==" in line for line in lines if not line.startswith("#"))
