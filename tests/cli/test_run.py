import json
import os
import signal
import socket
import threading

import pytest

from megahertz.engine import usable

ANY = ("--host", "127.0.0.1", "--port", "0")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_serves_an_app_and_says_where(serve, loop):
    served = serve("shop:app", *ANY, "--loop", loop).wait_for_url()

    assert int(served.get("/pid")) == served.process.pid
    assert loop in served.line
    assert served.end() == 0
    assert (served.directory / "left").read_text() == "yes"


def test_serves_an_asgi_application(serve):
    served = serve("shop:asgi", *ANY).wait_for_url()

    assert served.get("/anything") == b"asgi"
    assert served.end() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_asgi_application_learns_where_it_is_mounted(serve, workers):
    options = ("--workers", workers, "--root-path", "/api", "--lifespan", "off")
    served = serve("shop:mounted", *ANY, *options).wait_for_url()

    assert served.get("/a") == b"/api/a /api no lifespan"
    assert served.end() == 0


def test_a_lifespan_that_has_to_be_there(serve):
    served = serve("shop:asgi", *ANY, "--lifespan", "on")

    assert served.process.wait(20) == 3
    assert "has no lifespan" in served.process.stderr.read()


def test_serves_what_a_factory_makes(serve):
    served = serve("shop:make", "--factory", *ANY).wait_for_url()

    assert int(served.get("/pid")) == served.process.pid


def test_sigterm_lets_running_requests_finish(serve, until):
    served = serve("shop:app", *ANY).wait_for_url()
    answers = []
    request = threading.Thread(target=lambda: answers.append(served.get("/slow")))
    request.start()
    until((served.directory / "entered").exists)

    served.process.send_signal(signal.SIGTERM)
    until(served.refuses)
    (served.directory / "leave").touch()
    request.join(20)

    assert answers == [b"done"]
    assert served.process.wait(20) == 0


def test_a_second_sigint_ends_the_grace(serve, until):
    served = serve("shop:app", *ANY).wait_for_url()
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as peer:
        peer.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        until((served.directory / "entered").exists)
        served.process.send_signal(signal.SIGINT)
        until(served.refuses)

        assert served.end(signal.SIGINT) == 130
    assert (served.directory / "left").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_cancels_a_start_that_takes_too_long(serve, until, workers):
    served = serve("shop:app", *ANY, "--workers", workers, ENDLESS="1")
    until((served.directory / "entered").exists)

    assert served.end() == 0
    assert (served.directory / "left").exists()


def test_a_thread_that_never_ends_does_not_hold_the_process(serve, until):
    served = serve("shop:app", *ANY, "--grace", "0").wait_for_url()
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as peer:
        peer.sendall(b"GET /stuck-thread HTTP/1.1\r\nHost: x\r\n\r\n")
        until((served.directory / "entered").exists)

        assert served.end() == 0
    assert "left behind" in served.process.stderr.read()


def test_a_worker_that_ignores_the_grace_is_killed(serve, until):
    served = serve("shop:app", *ANY, "--workers", "2", "--grace", "0").wait_for_url()
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as peer:
        peer.sendall(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
        until((served.directory / "entered").exists)

        assert served.end() == 0
    assert "is killed" in served.process.stderr.read()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_limit_of_the_engine_is_an_option(serve, workers):
    served = serve("shop:app", *ANY, "--workers", workers, "--limit", "requests=1").wait_for_url()
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        assert b"connection: close" in peer.makefile("rb").read()


def test_the_grace_has_an_end(serve, until):
    served = serve("shop:app", *ANY, "--grace", "0.1").wait_for_url()
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as peer:
        peer.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        until((served.directory / "entered").exists)

        assert served.end() == 0


@pytest.mark.parametrize(
    ("arguments", "env", "told"),
    [
        (["shop"], {}, "write module:app"),
        (["shop.py"], {}, "shop:app"),
        (["shop:app", "--limit", "nope=1"], {}, "the limits are head_bytes"),
        (["shops:app"], {}, "there is no module 'shops'"),
        (["shop:nope"], {}, "it has app, limited"),
        (["shop:app"], {"BROKEN": "1"}, "broken on purpose"),
        (["shop:app"], {"UNWILLING": "1"}, "no database"),
        (["shop:app", "--workers", "2"], {"BROKEN": "1"}, "before it served"),
        (["shop:make"], {}, "--factory"),
        (["shop:os"], {}, "neither a megahertz App nor an ASGI 3 application"),
        (["shop:app", "--host", "203.0.113.1"], {}, "no interface here has that address"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_start_says_why_and_exits_with_3(serve, arguments, env, told):
    served = serve(*arguments, "--port", "0", **env)

    out, err = served.process.communicate(timeout=30)

    assert served.process.returncode == 3
    assert told in err
    assert out == ""


def test_serves_on_a_unix_socket_and_removes_it(serve):
    served = serve("shop:app", "--host", "unix:sock")
    assert "serves unix:sock" in served.process.stdout.readline()
    second = serve("shop:app", "--host", "unix:sock")
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(served.directory / "sock"))
        peer.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: peer.recv(4096), b""))

    assert answer.endswith(b"\r\n\r\n%d" % served.process.pid)
    assert "a server listens there already" in second.process.communicate(timeout=30)[1]
    assert served.end() == 0
    assert not (served.directory / "sock").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_named(serve, workers):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        served = serve("shop:app", "--port", str(port), "--workers", workers)
        _, err = served.process.communicate(timeout=30)

    assert served.process.returncode == 3
    assert f"http://127.0.0.1:{port}: the port is in use" in err


def test_workers_share_a_port_and_know_their_number(serve):
    served = serve("shop:app", *ANY, "--workers", "2").wait_for_url()

    found = {tuple(json.loads(served.get("/worker"))) for _ in range(64)}

    assert found == {("0", "2", None), ("1", "2", None)}
    assert served.end() == 0


def test_workers_are_as_many_as_processors_and_bound_to_one_each(serve):
    served = serve("shop:app", *ANY, "--workers", "auto", "--supervise", "--bind-cpus", "core")
    served.wait_for_url()
    found = {tuple(os.sched_getaffinity(int(served.get("/pid")))) for _ in range(64)}

    assert len(found) == usable()
    assert {len(each) for each in found} == {1}
    assert served.end() == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--workers", "0"], "a number from 1 on, or auto"),
        (["--worker-memory", "512MB"], "512MiB"),
        (["--pid-file", "none/at/all"], "No such file"),
    ],
)
def test_an_option_that_makes_no_sense_is_explained(serve, arguments, told):
    served = serve("shop:app", *ANY, "--supervise", *arguments)
    assert told in served.process.communicate(timeout=30)[1]
    assert served.process.returncode in (2, 3)


def test_a_dead_worker_is_started_again(serve, until):
    served = serve("shop:app", *ANY, "--workers", "2").wait_for_url()
    before = until(lambda: pids(served, 2))

    os.kill(min(before), signal.SIGKILL)

    until(lambda: pids(served, 2) and pids(served, 2) != before)
    assert served.end() == 0


def test_no_worker_outlives_its_supervisor(serve, until):
    served = serve("shop:app", *ANY, "--workers", "2").wait_for_url()
    workers = until(lambda: pids(served, 2))

    served.process.kill()

    until(lambda: not any(alive(pid) for pid in workers))


def test_sigterm_stops_every_worker_gracefully(serve, until):
    served = serve("shop:app", *ANY, "--workers", "2").wait_for_url()
    workers = until(lambda: pids(served, 2))

    assert served.end() == 0
    assert not any(alive(pid) for pid in workers)
    assert (served.directory / "left").exists()


def pids(served, count):
    """The workers' process ids, once so many answer; a dying one may cut a connection."""
    found = set()
    for _ in range(64):
        try:
            found.add(int(served.get("/pid")))
        except OSError:
            continue
    return found if len(found) == count else None


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
