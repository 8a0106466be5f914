import os
import subprocess
import sys
from pathlib import Path

from megahertz.load import tree, usage

TICK = 1 / os.sysconf("SC_CLK_TCK")
BUSY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", '''
import time, sys
data = bytearray(20_000_000)
while time.process_time() < 0.2: pass
print("ready", flush=True)
sys.stdin.read()
'''], stdin=subprocess.PIPE)
sys.stdin.read()
"""


def test_children_count_in_cpu_and_memory():
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        used = usage(parent.pid)
        assert len(tree(parent.pid)) == 2
        assert used.cpu >= 0.2
        assert used.rss >= 20_000_000
        parent.stdin.close()


def test_what_has_gone_used_nothing():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert usage(process.pid).cpu == 0
    assert usage(process.pid).rss == 0


def test_ticks_stand_in_where_the_scheduler_keeps_no_nanoseconds(monkeypatch):
    read = Path.read_text

    def without_schedstat(self, *args, **kwargs):
        if self.name == "schedstat":
            raise FileNotFoundError
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", without_schedstat)
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        assert usage(parent.pid).cpu >= 0.2 - 2 * TICK
        parent.stdin.close()
