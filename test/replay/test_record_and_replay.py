# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""An episode driven by the nodes themselves, recorded over DDS, is decided again bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
import re
import subprocess
import sys

import pytest

from spowl_ros.bags.context import read_context
from spowl_ros.bags.reader import Bag
from spowl_ros.control.bundle import Bundle

pytestmark = pytest.mark.slow

SPOWL = (sys.executable, '-m', 'spowl_ros.cli.main')


@pytest.mark.parametrize('rate', ['0.0', '4.0'], ids=['lock-step', 'real time'])
def test_a_recorded_run_is_reproduced(rate: str, bundle: Bundle, tmp_path: Path,
                                      ros_domain: int) -> None:
    """
    1,000 raw steps: whatever was late or stopped on the way, every decision agrees.

    Sensors are sent with best effort. What a busy machine's sockets drop on the way to the
    recorder is in no bag; the recorder counts it, and only then may a decision lack its inputs.
    """
    bag, figures = tmp_path / 'bag', tmp_path / 'figures.json'
    sim = subprocess.run(
        [*SPOWL, 'sim', 'episodes:=1', f'rate:={rate}', f'record:={bag}',
         f'model:={bundle.directory}'], check=True, timeout=250, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lost = re.search(r'(\d+) messages were LOST', sim.stdout)
    subprocess.run([*SPOWL, 'replay', str(bag), str(bundle.directory), '--json', str(figures)],
                   check=True, timeout=100)
    found = json.loads(figures.read_text())
    assert found['decisions'] > 100
    assert found['decisions_without_inputs'] == 0 or lost, sim.stdout
    assert found['identical'] is True or (found['identical'] is None and lost)
    assert len(found['episodes']) == 1
    with Bag(bag) as opened:
        context = read_context(opened)
    assert context.bundle_sha256 == bundle.digest
    assert context.parameters['/controller']['model'] == str(bundle.directory)
