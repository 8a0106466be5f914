import mmap
import os

import pytest

from megahertz.engine import size
from megahertz.engine.memory import memory_limit, resident
from megahertz.errors import BadSettings


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("1", 1), ("512MiB", 512 << 20), ("2 GiB", 2 << 30), ("64KiB", 64 << 10)],
)
def test_a_size_is_a_number_and_a_unit(text, bytes_):
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "0", "512MB", "1.5GiB", "MiB", "-1", "1iB", "1KiBMiB"])
def test_anything_else_is_refused(text):
    with pytest.raises(BadSettings, match="512MiB"):
        size(text)


def test_what_a_process_holds_grows_with_what_it_touches():
    before, many = resident(os.getpid()), 64 << 20
    with mmap.mmap(-1, many) as held:  # malloc would give what others have touched
        held.write(b"x" * many)
        assert resident(os.getpid()) >= before + many // 2 > 0


def test_a_process_that_has_gone_holds_nothing(tmp_path):
    assert resident(1, tmp_path) == 0


@pytest.mark.parametrize(
    ("line", "files", "limit"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "5000"}, 5000),
        ("0::/a", {"a/memory.max": "9000", "memory.max": "7000"}, 7000),
        ("4:memory:/x", {"memory/x/memory.limit_in_bytes": "3000"}, 3000),
        ("2:cpu:/x", {"cpu/x/memory.max": "1"}, None),
        ("0::/gone", {}, None),
    ],
)
def test_what_may_be_held_is_the_least_of_the_groups(tmp_path, line, files, limit):
    own = tmp_path / "cgroup"
    own.write_text(f"{line}\n")
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    machine = memory_limit(tmp_path, tmp_path / "none")
    assert machine > 1 << 26
    assert memory_limit(tmp_path, own) == (limit or machine)
