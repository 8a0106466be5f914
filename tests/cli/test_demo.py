import pytest
from click.testing import CliRunner

from megahertz.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["demo", "flash-sale", *arguments])


@pytest.mark.parametrize(
    "arguments",
    [("--stage", "nonsense"), ("--seconds", "0"), ("--seconds", "x")],
    ids=["stage", "zero", "no number"],
)
def test_what_is_not_understood_exits_with_2(arguments):
    assert run(*arguments).exit_code == 2


def test_help_has_an_example():
    assert "mhz demo flash-sale --seconds 2" in run("--help").output


def test_a_folder_of_another_demo_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flash-sale.data").mkdir()
    result = run("--seconds", "0.1")
    assert result.exit_code == 1
    assert "another demo runs" in result.output
    assert (tmp_path / "flash-sale.data").exists()


def test_without_fastapi_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("megahertz.cli.demo.find_spec", lambda name: None)
    result = run()
    assert result.exit_code == 1
    assert "pip install 'megahertz[demo]'" in result.output
