import os
import socket

from megahertz.engine import listeners


def test_who_listens_is_found_and_who_is_connected_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listeners(port) == [os.getpid()]
        with socket.create_connection(("127.0.0.1", port)) as peer:
            assert listeners(peer.getsockname()[1]) == []
    assert listeners(port) == []


def test_an_ipv6_socket_counts_too():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert listeners(server.getsockname()[1]) == [os.getpid()]


def test_processes_that_hide_or_go_are_passed_over(tmp_path):
    (tmp_path / "net").mkdir()
    line = "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1"
    (tmp_path / "net/tcp").write_text(f"head\n{line}\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "1").mkdir()  # has no fd: another user's, or gone
    (tmp_path / "2/fd").mkdir(parents=True)
    (tmp_path / "2/fd/0").write_text("no link")
    (tmp_path / "3/fd").mkdir(parents=True)
    (tmp_path / "3/fd/5").symlink_to("socket:[77]")

    assert listeners(80, tmp_path) == [3]
