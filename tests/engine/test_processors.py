import math
import os

import pytest

from megahertz.engine import bindings, nodes, usable
from megahertz.engine.processors import CPUS, bind_inherited, cgroup_quota


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("affinity", "quota", "count"),
    [
        ([0, 1, 2, 3], math.inf, 4),
        ([0, 1, 2, 3], 2.0, 2),
        ([0, 1, 2, 3], 1.5, 2),
        ([5], 8.0, 1),
        ([0, 1], 0.1, 1),
    ],
)
def test_the_lesser_of_affinity_and_quota_counts(affinity, quota, count):
    assert usable(affinity, quota) == count


def test_there_is_always_one():
    assert usable() >= 1


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({}, math.inf),
        ({"": "max 100000"}, math.inf),
        ({"app/web": "150000 100000"}, 1.5),
        ({"app": "100000 50000", "app/web": "max 100000"}, 2.0),
        ({"app": "50000 100000", "app/web": "400000 100000"}, 0.5),
    ],
    ids=["none", "max", "own", "parent's", "the least"],
)
def test_a_quota_of_cgroups_2_is_that_of_the_whole_path(tmp_path, limits, quota):
    for group, text in limits.items():
        write(tmp_path / group / "cpu.max", text)
    own = write(tmp_path / "self", "0::/app/web\n")

    assert cgroup_quota(tmp_path, own) == quota


@pytest.mark.parametrize(("microseconds", "quota"), [("-1", math.inf), ("25000", 0.25)])
def test_a_quota_of_cgroups_1_is_read_too(tmp_path, microseconds, quota):
    write(tmp_path / "cpu/job/cpu.cfs_quota_us", microseconds)
    write(tmp_path / "cpu/job/cpu.cfs_period_us", "100000")
    own = write(tmp_path / "self", "3:memory:/job\n2:cpu,cpuacct:/job\n")

    assert cgroup_quota(tmp_path, own) == quota


def test_without_a_cgroup_there_is_no_quota(tmp_path):
    assert cgroup_quota(tmp_path, tmp_path / "none") == math.inf


def test_nodes_hold_the_processors_that_we_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4, 9})
    write(tmp_path / "node0/cpulist", "0-3,8\n")
    write(tmp_path / "node1/cpulist", "4-7\n")
    write(tmp_path / "node2/cpulist", "\n")

    assert nodes(tmp_path) == [[0, 1], [4]]
    assert nodes(tmp_path / "none") == [[0, 1, 4, 9]]


@pytest.mark.parametrize(
    ("how", "groups", "expected"),
    [
        ("no", [[0, 1], [2, 3]], [[], [], []]),
        ("core", [[0, 1, 2]], [[0], [1], [2]]),
        ("core", [[0, 1], [4, 5]], [[0], [4], [1]]),
        ("core", [[7]], [[7], [7], [7]]),
        ("node", [[0, 1], [4, 5]], [[0, 1], [4, 5], [0, 1]]),
        ("node", [[0, 1, 2]], [[], [], []]),
    ],
)
def test_workers_are_spread_over_the_nodes(how, groups, expected):
    assert bindings(3, how, groups) == expected


def test_a_worker_binds_itself_once(monkeypatch):
    bound = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: bound.append(set(cpus)))
    monkeypatch.setenv(CPUS, "1,3")
    bind_inherited()
    bind_inherited()

    assert bound == [{1, 3}]
