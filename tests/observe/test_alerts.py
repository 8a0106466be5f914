"""The alert rules, by Prometheus's own tool."""

from pathlib import Path

ALERTS = Path(__file__).parents[2] / "deploy/prometheus/alerts.yml"


def test_they_are_rules(promtool):
    promtool("check", "rules", ALERTS)


def test_they_fire_when_they_should_and_not_otherwise(promtool, tmp_path):
    tests = tmp_path / "alerts.yml"
    tests.write_text(
        Path(__file__).with_name("alerts.yml").read_text().replace("ALERTS", f"{ALERTS}")
    )

    promtool("test", "rules", tests)
