# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A cluster of one's own is seen by nobody else, and failures of jobs are outcomes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip('ray')

SCRIPT = """
from functools import partial
import json
import psutil
from spowl_ros.base.errors import SpowlError
from spowl_ros.scale.cluster import Cluster

with Cluster(cores=1) as cluster:
    jobs = iter(['7', 'seven', '9'])
    found = [[outcome.job, outcome.value, outcome.failed]
             for outcome in cluster.run(int, partial(next, jobs, None))]
    try:
        cluster.slots(cores=1000)
        refused = ''
    except SpowlError as error:
        refused = str(error)
    me = psutil.Process()
    listening = [connection.laddr.ip for process in [me, *me.children(recursive=True)]
                 for connection in process.net_connections() if connection.status == 'LISTEN']
print(json.dumps([found, refused, listening]))
"""


@pytest.mark.slow
def test_a_cluster_of_ones_own() -> None:
    """All ports are on loopback; a job that fails tells why; what no machine has is refused."""
    done = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True,
                          timeout=200, check=True)
    found, refused, listening = json.loads(done.stdout)
    assert sorted((job, value) for job, value, _ in found) == [
        ('7', 7), ('9', 9), ('seven', None)]
    assert 'ValueError' in next(failed for job, _, failed in found if job == 'seven')
    assert 'needs 1000 CPU' in refused
    assert listening
    assert {address.removeprefix('::ffff:') for address in listening} == {'127.0.0.1'}
