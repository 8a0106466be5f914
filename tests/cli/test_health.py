import signal
import urllib.error

import pytest

ANY = ("--host", "127.0.0.1", "--port", "0")


def status(served, path):
    try:
        served.get(path)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("app", ["shop:app", "shop:asgi"])
def test_readiness_ends_before_service_does(serve, until, app, workers):
    """Load balancers take a while to notice: until then everybody is served."""
    served = serve(
        app, *ANY, "--workers", workers, "--health", "/_mhz", "--drain-delay", "60"
    ).wait_for_url()
    assert (status(served, "/_mhz/ready"), status(served, "/_mhz/live")) == (200, 200)

    served.process.send_signal(signal.SIGINT)
    until(lambda: status(served, "/_mhz/ready") == 503)

    assert (status(served, "/pid"), status(served, "/_mhz/live")) == (200, 200)
    assert served.end(signal.SIGINT) == 130


def test_no_route_is_taken_unless_asked_for(serve):
    served = serve("shop:app", *ANY).wait_for_url()
    assert status(served, "/live") == status(served, "/_mhz/live") == 404
    assert served.end() == 0


def test_the_prefix_may_be_the_root(serve):
    served = serve("shop:app", *ANY, "--health", "/").wait_for_url()
    assert status(served, "/ready") == 200
    assert served.end() == 0


def test_a_path_that_the_application_has_is_refused(serve, tmp_path):
    (tmp_path / "own.py").write_text(
        "from megahertz import App\n"
        "app = App()\n"
        "@app.get('/live')\n"
        "async def live() -> str: return 'mine'\n"
    )
    served = serve("own:app", *ANY, "--health", "/")
    assert "/live" in served.process.communicate(timeout=30)[1]
    assert served.process.returncode == 3
