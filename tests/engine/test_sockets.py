import socket
from contextlib import ExitStack

import pytest

from megahertz.engine import bind, listen, places, url
from megahertz.engine.sockets import silence
from megahertz.errors import BadSettings


def closing(stack, sockets):
    for sock in sockets:
        stack.enter_context(sock)
    return sockets


def test_a_port_in_use_is_refused_with_advice():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(BadSettings, match=f"127.0.0.1:{port}: the port is in use"):
            bind("127.0.0.1", port)


def test_an_ipv6_address_is_bound_and_spelled_in_brackets():
    with ExitStack() as stack:
        (sock,) = closing(stack, bind("::1", 0))
        listen([sock])
        port = sock.getsockname()[1]

        socket.create_connection(("::1", port)).close()
        assert url("::1", port) == f"http://[::1]:{port}"


def test_the_workers_of_a_port_have_a_socket_each():
    with ExitStack() as stack:
        first, second = (closing(stack, group) for group in places("127.0.0.1", 0, 2))
        port = first[0].getsockname()[1]
        assert second[0].getsockname()[1] == port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

        listen(second)
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_silent_socket_gives_its_connections_to_others_and_may_listen_again():
    """Also where another process holds it: closing would not do."""
    with ExitStack() as stack:
        first, second = (closing(stack, group) for group in places("127.0.0.1", 0, 2))
        held = stack.enter_context(first[0].dup())
        port = first[0].getsockname()[1]
        listen(first)
        silence(first)
        silence(first)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

        listen(second)
        for _ in range(20):
            socket.create_connection(("127.0.0.1", port)).close()
        listen([held])
        silence(second)
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_port_that_another_server_shares_is_refused():
    """SO_REUSEPORT alone would split the connections between two applications."""
    with ExitStack() as stack:
        (other,) = closing(stack, bind("127.0.0.1", 0, shared=True))
        listen([other])

        with pytest.raises(BadSettings, match="in use"):
            places("127.0.0.1", other.getsockname()[1], 2)


def test_a_unix_socket_that_a_dead_server_left_is_replaced(tmp_path):
    path = tmp_path / "sock"
    dead = bind(f"unix:{path}", 0)
    silence(dead)
    dead[0].close()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    with ExitStack() as stack:
        (sock,) = closing(stack, bind(f"unix:{path}", 0))
        listen([sock])

        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
