from rich.console import Console

from megahertz.engine import Latencies
from megahertz.load import Live, Plan, Progress, Sample
from megahertz.load.live import spark


def look(**changes):
    given = {"stage": "measuring", "elapsed": 3.0, "measured": 2.0, "answered": 100, "failed": 7}
    given |= {"latencies": Latencies(), "busy": 3, "backlog": 0, "sample": None}
    return Progress(**(given | changes))


def sample(**changes):
    given = {"p50": 0.001, "p99": 0.002, "p999": None, "busy": 3, "backlog": 12}
    given |= {"at": 1.0, "seconds": 0.2, "rate": 1234.0, "failed": 1, "generator": 0.1}
    return Sample(**(given | changes))


def shown(*looks):
    console = Console(width=100, force_terminal=False)
    live = Live(console, Plan(url="http://h/", warmup=1.0, duration=9.0))
    with console.capture() as text:
        for each in looks:
            live.look(each)
            console.print(live.view(each))
    return text.get()


def test_the_picture_has_rate_latencies_and_errors():
    text = shown(look(sample=sample(rate=600.0)), look(sample=sample()))
    for word in ("measuring", "3 of 10 s", "1,234 /s", "▄█", "2 ms", "7", "12 due and not sent"):
        assert word in text


def test_the_server_stands_there_where_it_is_known():
    assert "memory" not in shown(look(sample=sample()))
    text = shown(look(sample=sample(rss=50_000_000, cpu=0.5, tasks=41.0)))
    for word in ("50 MB", "0.50 cores", "41"):
        assert word in text


def test_before_the_first_sample_there_is_only_the_bar():
    assert "rate" not in shown(look())


def test_a_run_leaves_nothing_on_the_screen():
    console = Console(width=100, force_terminal=False)
    with console.capture() as text, Live(console, Plan(url="http://h/")) as live:
        live.look(look(sample=sample()))
    assert text.get().strip() == ""


def test_the_highest_bar_is_the_most():
    assert spark([0, 1, 2, 4, 8]) == " ▁▂▄█"
    assert spark([]) == spark([0.0, 0.0]) == ""
