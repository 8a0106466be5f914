"""What each layer says, and who has the last word."""

from typing import Annotated

import msgspec
import pytest

from megahertz.errors import BadSettings
from megahertz.govern.config.layers import (
    built,
    check_type,
    from_environment,
    from_file,
    from_json,
    merged,
)


class Database(msgspec.Struct, frozen=True):
    pool: int = 10
    dsn: str = ""


class Shop(msgspec.Struct, frozen=True):
    limit: Annotated[int, msgspec.Meta(ge=1)] = 100
    rate: float | None = 0.5
    debug: bool = False
    zones: list[str] = []
    database: Database = Database()
    spare: Database | None = None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", 'limit = 5\n[database]\ndsn = "x"\n'),
        ("a.yaml", "limit: 5\ndatabase: {dsn: x}\n"),
        ("a.yml", "limit: 5\ndatabase:\n  dsn: x\n"),
        ("a.json", '{"limit": 5, "database": {"dsn": "x"}}'),
    ],
)
def test_a_file_is_read_by_its_suffix(tmp_path, name, text):
    (tmp_path / name).write_text(text)

    assert from_file(tmp_path / name) == {"limit": 5, "database": {"dsn": "x"}}


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.toml", "limit = ", "a.toml: Invalid value"),
        ("a.toml", b"\xff", "a.toml: .*utf-8"),
        ("a.json", "[1]", "a mapping expected, not list"),
        ("a.yaml", "", "a mapping expected, not NoneType"),
        ("a.yaml", "a: [", "a.yaml: "),
        ("a.ini", "", r"\.ini: one of \.toml, \.yaml, \.yml, \.json expected"),
        ("a", "", "no suffix: one of"),
        ("b.toml", None, "b.toml: No such file"),
    ],
)
def test_a_bad_file_says_which_and_why(tmp_path, name, text, why):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadSettings, match=why):
        from_file(tmp_path / name)


def test_yaml_names_its_extra(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("a: 1")
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(BadSettings, match=r"megahertz\[yaml\]"):
        from_file(tmp_path / "a.yaml")


def test_the_environment_is_read_as_the_fields_are_typed():
    found = from_environment(
        Shop,
        "SHOP_",
        {
            "SHOP_LIMIT": "7",
            "SHOP_RATE": "null",
            "SHOP_DEBUG": "true",
            "SHOP_ZONES": '["a", "b"]',
            "SHOP_DATABASE__DSN": "5432",
            "SHOP_SPARE__POOL": "3",
            "SHOP_UNKNOWN": "x",
            "LIMIT": "8",
        },
    )

    assert found == {
        "limit": 7,
        "rate": None,
        "debug": True,
        "zones": ["a", "b"],
        "database": {"dsn": "5432"},
        "spare": {"pool": 3},
    }


@pytest.mark.parametrize("text", ["many", "0", "1.5", ""])
def test_a_bad_variable_is_named(text):
    with pytest.raises(BadSettings, match=f"SHOP_LIMIT='{text}'"):
        from_environment(Shop, "SHOP_", {"SHOP_LIMIT": text})


def test_the_last_layer_has_the_last_word():
    value = built(
        Shop,
        [
            {"limit": 1, "database": {"pool": 2, "dsn": "file"}},
            {"database": {"pool": 3}},
            {"limit": 4, "zones": ["a"]},
        ],
    )

    assert value == Shop(limit=4, zones=["a"], database=Database(3, "file"))
    assert built(Shop, []) == Shop()


def test_what_is_merged_is_not_changed():
    under, over = {"a": {"b": 1}}, {"a": {"c": 2}}

    assert merged(under, over) == {"a": {"b": 1, "c": 2}}
    assert (under, over) == ({"a": {"b": 1}}, {"a": {"c": 2}})
    assert merged({"a": 1}, {"a": {"b": 1}}) == {"a": {"b": 1}}
    assert merged({"a": {"b": 1}}, {"a": None}) == {"a": None}


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ({"limits": 1}, r"Shop: no setting 'limits', did you mean 'limit'\?"),
        ({"database": {"size": 1}}, r"no setting 'database.size' \(there are pool, dsn\)"),
        ({"spare": {"poool": 1}}, r"'spare.poool', did you mean 'pool'\?"),
        ({"limit": "many"}, r"Shop: Expected `int`, got `str` - at `\$.limit`"),
        ({"limit": 0}, r"Expected `int` >= 1"),
        ({"database": 5}, r"at `\$.database`"),
    ],
)
def test_what_cannot_be_is_named(layer, why):
    with pytest.raises(BadSettings, match=why):
        built(Shop, [layer])


@pytest.mark.parametrize("text", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_document_is_an_object(text):
    with pytest.raises(BadSettings, match="no JSON object"):
        from_json(text)
    assert from_json(b"") == {}


def test_settings_have_to_be_frozen_all_through():
    class Open(msgspec.Struct):
        pool: int = 1

    class Around(msgspec.Struct, frozen=True):
        inner: Open | None = None

    with pytest.raises(BadSettings, match=r"class Open\(Struct, frozen=True\)"):
        check_type(Around)
