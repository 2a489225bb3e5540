# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it says, in a process without PyTorch."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from spowl_ros.cli.main import main


@pytest.mark.slow
def test_bench_writes_every_key(untrained_bundle: Path, tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:
    """Latency in all and by stage for one and two threads, cold start, memory and rates."""
    file = tmp_path / 'bench.json'
    assert main(['bench', str(untrained_bundle), '--decisions', '50', '--no-paper-size', '--json',
                 str(file)]) == 0
    result = json.loads(file.read_text())
    assert result.keys() >= {'latency_ms', 'stages', 'threads', 'load_seconds', 'rss_mb', 'gflops',
                             'peak_gflops', 'paper_size'}
    assert set(result['threads']) == {'1', '2'}
    assert set(result['stages']) == {'encode', 'propose', 'improve', 'select'}
    for values in (result['latency_ms'], *result['stages'].values()):
        assert 0 < values['p50'] <= values['p95'] <= values['p99'] <= values['p99.9'] <= values[
            'max']
    # stages are parts of the whole
    assert sum(stage['p50'] for stage in result['stages'].values()) < 1.5 * result['latency_ms'][
        'p50']
    assert 0 < result['gflops'] < 2 * result['peak_gflops']
    assert result['rss_mb'] < 250
    assert 'policy alone' in capsys.readouterr().out


@pytest.mark.slow
def test_memory_does_not_grow(untrained_bundle: Path, tmp_path: Path) -> None:
    """Over thousands of decisions the planner keeps the memory that it started with."""
    file = tmp_path / 'soak.csv'
    assert main(['bench', str(untrained_bundle), '--soak', '2000', '--csv', str(file)]) == 0
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert int(rows[-1]['decisions']) == 2000
    memory = [float(row['rss_mb']) for row in rows]
    assert max(memory[20:]) - min(memory[20:]) < 2.0


def test_damaged_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a bundle is refused before anything is measured."""
    assert main(['bench', str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
