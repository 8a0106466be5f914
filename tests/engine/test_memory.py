import os

import pytest

from megahertz.engine import size
from megahertz.engine.memory import resident
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
    before = resident(os.getpid())
    held = b"x" * (64 << 20)

    assert resident(os.getpid()) >= before + len(held) // 2 > 0


def test_a_process_that_has_gone_holds_nothing(tmp_path):
    assert resident(1, tmp_path) == 0
