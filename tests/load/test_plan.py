import pytest

from megahertz.errors import BadSettings
from megahertz.load import Plan, Template, statuses


@pytest.mark.parametrize(
    ("text", "within", "without"),
    [("2xx", 200, 300), ("200", 200, 201), ("2XX, 409", 409, 410), ("4xx,5xx", 503, 200)],
)
def test_statuses_are_named_one_by_one_or_by_class(text, within, without):
    assert within in statuses(text)
    assert without not in statuses(text)


@pytest.mark.parametrize("text", ["", "2x", "abc", "200,", "600", "xxx"])
def test_what_is_no_status_is_refused(text):
    with pytest.raises(BadSettings, match="not a status"):
        statuses(text)


@pytest.mark.parametrize("url", ["a:80", "http://", "ftp://a/", "http://a:99999/", "/path"])
def test_only_urls_of_http_are_taken(url):
    with pytest.raises(BadSettings):
        Plan(url=url)


@pytest.mark.parametrize("name", ["connections", "threads", "duration", "timeout"])
def test_nothing_may_be_zero(name):
    with pytest.raises(BadSettings, match=name):
        Plan(url="http://a/", **{name: 0})


def test_warm_up_may_be_zero_but_not_less():
    assert Plan(url="http://a/", warmup=0).warmup == 0
    with pytest.raises(BadSettings, match="warmup"):
        Plan(url="http://a/", warmup=-1)


def test_the_url_gives_target_and_host():
    ((_, method, target, headers, body),) = Plan(url="http://u:p@h:81/a?b=c").requests()
    assert (method, target, body) == ("GET", "/a?b=c", None)
    assert headers == [("host", "h:81")]


def test_a_template_has_the_last_word():
    template = Template(target="/x", headers=(("Host", "other"),))
    ((_, _, target, headers, _),) = Plan(url="http://h/a", mix=(template,)).requests()
    assert target == "/x"
    assert headers == [("Host", "other")]


def test_a_bare_host_means_its_root_on_port_80():
    plan = Plan(url="http://127.0.0.1")
    assert plan.address() == ("127.0.0.1", 80)
    assert plan.requests()[0][2] == "/"


def test_ipv6_is_an_address_too():
    assert Plan(url="http://[::1]:8000/").address() == ("::1", 8000)
