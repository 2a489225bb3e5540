# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`spowl replay`: figures, report and sweep of bags, and what it says to mistakes."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
import json
from pathlib import Path
import re
import sys

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.cli.main import main
from spowl_ros.cli.replay import parse_changes, parse_sweeps
from spowl_ros.control.bundle import Bundle

KEYS = {'decisions', 'identical', 'diverged_at', 'return', 'cost', 'cost_value_calibration',
        'alarm', 'latency_ms'}


@pytest.fixture(scope='module')
def folder(driver, drive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two bags."""
    directory = tmp_path_factory.mktemp('folder')
    for seed in (1, 2):
        driver.record(directory / f'bag_{seed}', drive(steps=40, seed=seed))
    return directory


class Page(HTMLParser):
    """What a browser would fetch, and the pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.pictures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses."""
        for name, value in attrs:
            if name in ('src', 'href') and value:
                self.pictures += value.startswith('data:image/')
                self.fetched += [] if value.startswith('data:') else [value]


def test_figures_and_report(lock_step_bag: Path, bundle: Bundle, tmp_path: Path,
                            capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON has the keys that others rely on, the report all pictures and no address."""
    figures, report = tmp_path / 'figures.json', tmp_path / 'report.html'
    assert main(['replay', str(lock_step_bag), str(bundle.directory), '--json', str(figures),
                 '--report', str(report)]) == 0
    assert 'all identical, bit for bit' in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert found.keys() >= KEYS
    assert found['decisions'] == 200
    assert found['identical'] is True
    assert found['diverged_at'] is None
    assert found['alarm'].keys() >= {'hits', 'misses', 'false_alarms', 'lead_seconds'}
    assert found['latency_ms']['p50'] > 0.0
    assert len(found['cost_value_calibration']['curve']) == 10
    page = Page(report.read_text())
    assert page.fetched == []
    assert page.pictures >= 4
    assert 'url(' not in report.read_text()


def test_planner_and_setting_are_changed(lock_step_bag: Path, bundle: Bundle,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """What another planner would have done is summed up in words."""
    assert main(['replay', str(lock_step_bag), str(bundle.directory), '--planner', 'policy',
                 '--set', 'cost_value.budget=3']) == 0
    said = capsys.readouterr().out
    assert 'different from decision 0 on' in said
    assert re.search(r'source .*plan to policy \d+', said)


@pytest.mark.slow
def test_sweep_over_a_folder(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Every combination is replayed on every bag, and the limit's own alarms count."""
    rows_file, figures = tmp_path / 'rows.csv', tmp_path / 'figures.json'
    assert main(['replay', str(folder), str(bundle.directory), '--jobs', '2',
                 '--sweep', 'cost_value.budget=0,1000', '--sweep', 'planner.kind=adaptive,policy',
                 '--csv', str(rows_file), '--json', str(figures),
                 '--report', str(tmp_path / 'report.html')]) == 0
    with rows_file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row['cost_value.budget'], row['planner.kind']) for row in rows] == [
        ('0.0', 'adaptive'), ('0.0', 'policy'), ('1000.0', 'adaptive'), ('1000.0', 'policy')]
    assert all(row['decisions'] == '80' for row in rows)
    assert float(rows[0]['alarmed']) > float(rows[2]['alarmed']) == 0.0
    assert rows[0]['diverged'] == '0' or float(rows[0]['source_plan']) > 0.0
    assert float(rows[1]['source_policy']) == 1.0
    found = json.loads(figures.read_text())
    assert len(found['bags']) == 2
    assert len(found['sweep']) == 4
    assert Page((tmp_path / 'report.html').read_text()).pictures >= 9


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--set', 'colour=red'], "no setting 'colour'"),
    (['--set', 'iterations=many'], "'planner.iterations' is 'many'"),
    (['--set', 'level=stop'], "'level' could mean"),
    (['--set', 'iterations'], 'not of the form NAME=VALUE'),
    (['--set', 'horizon=7'], "'horizon' is fixed"),
    (['--csv', 'rows.csv'], 'there is none'),
    (['--jobs', '0'], '--jobs is 0'),
    (['--json', '/no/such/place/a.json'], 'cannot be written'),
    (['--live', '--json', 'a.json', '--report', 'a.html'],
     '--json and --report cannot go with --live'),
])
def test_mistakes_are_told_in_one_line(folder: Path, bundle: Bundle, arguments: list[str],
                                       said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line, no traceback."""
    assert main(['replay', str(folder), str(bundle.directory), *arguments]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith('spowl: error: ')
    assert said in message


@pytest.mark.slow
def test_a_folder_is_replayed_without_its_bad_bags(
        folder: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that cannot be read costs nothing but itself, one line, and the exit code."""
    (tmp_path / 'bags' / 'bad').mkdir(parents=True)
    (tmp_path / 'bags' / 'bad' / 'bad_0.mcap').touch()
    (tmp_path / 'bags' / 'good').symlink_to(folder / 'bag_1')
    figures = tmp_path / 'figures.json'
    assert main(['replay', str(tmp_path / 'bags'), str(bundle.directory), '--json', str(figures),
                 '--sweep', 'cost_value.budget=1']) == 2
    said = capsys.readouterr()
    assert 'all identical' in said.out
    assert re.search(r'left out: .*bad_0\.mcap is empty', said.err)
    assert json.loads(figures.read_text())['sweep'][0]['decisions'] == 40


def test_a_report_without_matplotlib_says_what_to_install(
        folder: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    """`make sim` installs no matplotlib: replaying works, and only the report asks for it."""
    monkeypatch.setitem(sys.modules, 'matplotlib', None)  # as if it were not there
    arguments = ['replay', str(folder / 'bag_1'), str(bundle.directory)]
    assert main([*arguments, '--report', str(tmp_path / 'report.html')]) == 2
    said = capsys.readouterr()
    assert said.out == ''
    assert said.err.strip().splitlines() == [
        'spowl: error: --report draws with matplotlib, which is not installed: '
        'python -m pip install matplotlib']
    assert main(arguments) == 0


def test_what_is_not_a_bag_or_not_a_bundle(tmp_path: Path, folder: Path, bundle: Bundle,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    """Each is told by its path."""
    assert main(['replay', str(tmp_path), str(bundle.directory)]) == 2
    assert 'is not a bag' in capsys.readouterr().err
    assert main(['replay', str(folder), str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_names_may_be_shortened_where_that_is_clear() -> None:
    """The last word is enough, as long as only one setting ends in it."""
    assert parse_changes(['threshold=0.5', 'budget=3']) == {
        'planner.cost_threshold': 0.5, 'cost_value.budget': 3.0}
    assert parse_sweeps(['temperature=0.5, 1']) == {'planner.temperature': [0.5, 1.0]}
    with pytest.raises(SpowlError, match='could mean'):
        parse_changes(['hysteresis=0.5'])
