"""Who looks into a process: by a socket of the process's name, answered in threads."""

import os
import socket
import threading

import msgspec
import pytest

from megahertz.engine import Inspector, ask, ask_all, inspector
from megahertz.errors import BackendError

ME = os.getpid()


def test_a_question_is_answered_by_its_name():
    def double(question):
        return {"twice": 2 * question.given["value"]}

    with Inspector({"double": double, "raw": lambda question: b"[1]"}):
        assert msgspec.json.decode(ask(ME, "double", timeout=20, value=21)) == {"twice": 42}
        assert ask(ME, "raw", timeout=20) == b"[1]"
    with pytest.raises(BackendError, match="cannot be looked into"):
        ask(ME, "raw", timeout=20)


def wrong(question):
    raise ValueError("a number, please")


def broken(question):
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize(
    ("what", "why"),
    [("wrong", "a number, please"), ("unknown", "nobody answers 'unknown'"), ("broken", "oops")],
)
def test_what_goes_wrong_is_told_to_who_asks(what, why):
    with (
        Inspector({"wrong": wrong, "broken": broken}),
        pytest.raises(BackendError, match=why),
    ):
        ask(ME, what, timeout=20)


def raw(data):
    """What it answers to bytes that are no question."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"\0megahertz/{ME}/inspector")
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has left meanwhile
        try:
            return sock.makefile("rb").read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"[]\n", b"x" * 100_000, b'{"what":1'])
def test_what_is_no_question_harms_nobody(data):
    with Inspector({"state": lambda question: 1}):
        answer = raw(data)
        assert answer == b"" or answer.startswith(b'{"error":')
        assert ask(ME, "state", timeout=20) == b"1"


def test_another_user_is_not_answered(monkeypatch):
    with Inspector({"state": lambda question: 1}):
        real = inspector.who
        monkeypatch.setattr(inspector, "who", lambda sock: (real(sock)[0], 12345))
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
        with pytest.raises(BackendError, match="somebody else's"):
            ask(ME, "state", timeout=20)


def test_who_listens_under_a_name_that_is_not_its_own_is_not_believed(monkeypatch):
    with Inspector({"state": lambda question: 1}):
        monkeypatch.setattr(inspector, "who", lambda sock: (1, 0))
        with pytest.raises(BackendError, match="somebody else listens"):
            ask(ME, "state", timeout=20)


def test_a_name_that_is_taken_costs_only_the_commands():
    with Inspector({"state": lambda question: 1}), Inspector({"state": lambda question: 2}):
        assert ask(ME, "state", timeout=20) == b"1"


def test_one_that_does_not_answer_does_not_hold_up_the_others():
    go = threading.Event()

    def stuck(question):
        go.wait()
        return 1

    with Inspector({"stuck": stuck}):
        found = ask_all([ME, 999_999_999], "stuck", timeout=0.05)
        go.set()
    assert "has not answered in time" in str(found[ME])
    assert "cannot be looked into" in str(found[999_999_999])


def test_only_so_many_talks_at_once(monkeypatch):
    monkeypatch.setattr(inspector, "TALKS", 1)
    inside, go = threading.Event(), threading.Event()

    def stuck(question):
        inside.set()
        go.wait()
        return 1

    with Inspector({"stuck": stuck}):
        first = threading.Thread(target=ask, args=(ME, "stuck"), kwargs={"timeout": 60})
        first.start()
        inside.wait()
        with pytest.raises(BackendError, match="try again"):
            ask(ME, "stuck", timeout=20)
        go.set()
        first.join()


def test_it_notices_that_who_asked_has_left():
    left = threading.Event()

    def until_gone(question):
        while not question.gone():
            pass
        left.set()
        return 1

    with Inspector({"wait": until_gone, "gone": lambda question: question.gone()}):
        assert ask(ME, "gone", timeout=20) == b"false"
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"\0megahertz/{ME}/inspector")
        sock.sendall(b'{"what":"wait"}\n')
        sock.close()
        assert left.wait(60)


def test_no_more_files_do_not_end_it(monkeypatch):
    monkeypatch.setattr(inspector, "AGAIN", 0.0)

    class Full:
        left = 3

        def accept(self):
            self.left -= 1
            if not self.left:
                listening._closed.set()
            raise OSError(24, "Too many open files")

    listening, full = Inspector({}), Full()
    listening._listen(full)
    assert full.left == 0


def test_answers_of_any_length_come_at_the_same_time():
    """Each is larger than a socket takes: whoever waits to be read would hold up the others."""
    long = b"[" + b"1," * 1_000_000 + b"1]"
    with Inspector({"long": lambda question: long}):
        assert ask(ME, "long", timeout=60) == long
