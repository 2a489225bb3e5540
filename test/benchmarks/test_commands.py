# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands of benchmarks take bad input as `spowl` does."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[2]


def test_every_command_reports_its_errors() -> None:
    """No module of benchmarks that is a command runs without `run_command`."""
    commands = [(path.name, text) for path in (ROOT / 'benchmarks').rglob('*.py')
                if "__name__ == '__main__'" in (text := path.read_text())]
    assert len(commands) > 30
    assert [name for name, text in commands if not text.endswith('    run_command(main)\n')] == [
        'peer_process.py']  # it runs in another interpreter, for peer_planners.py


@pytest.mark.parametrize(('arguments', 'says'), [
    (['end_to_end_latency', 'nothing', '--priorities', 'ordinary', '--output', '{table}'],
     'there is no model in nothing'),
    (['seeds', 'nothing', '--output', '{folder}'], 'no best.pt in nothing'),
    (['foreign_bags', 'nothing'], 'no bag below nothing'),
    (['gait_search', 'Ant', '--start', 'config/training/gaits/Doggo.yaml', '--output', '{table}'],
     'a gait of Doggo cannot guide Ant'),
])
def test_bad_input_is_one_line_and_loses_nothing(
        arguments: list[str], says: str, tmp_path: Path) -> None:
    """A user's mistake ends with code 2; results of an earlier run stay."""
    table = tmp_path / 'table'
    table.write_text('kept')
    given = [part.format(table=table, folder=tmp_path) for part in arguments]
    ended = subprocess.run([sys.executable, '-m', f'benchmarks.{given[0]}', *given[1:]], cwd=ROOT,
                           capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 2
    assert says in ended.stderr and ended.stderr.count('\n') == 1
    assert table.read_text() == 'kept'
