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
from spowl_ros.cli.evaluate import settings_of
from spowl_ros.cli.main import main
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
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        """Note what is to be read, and which of it stands in which row of a table."""
        if text := ' '.join(data.split()):
            self.texts.append(text)
            if self.rows and self._in_row:
                self.rows[-1].append(text)

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a row."""
        self._in_row = self._in_row and tag != 'tr'

    _in_row = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses, and where a row begins."""
        if tag == 'tr':
            self.rows.append([])
            self._in_row = True
        for name, value in attrs:
            if name in ('src', 'href') and value:
                self.pictures += value.startswith('data:image/')
                self.fetched += [] if value.startswith('data:') else [value]


@pytest.mark.slow
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


def test_the_summary_keeps_its_order(driver, drive, bundle: Bundle, tmp_path: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    """Each line stands in its place, whichever others there are."""
    driver.record(tmp_path / 'bag', drive(steps=4))
    names = ['decisions', 'episodes', 'differences', 'acted', 'cost value', 'budget', 'alarms',
             'latency']
    for settings, missing in ((['--planner', 'policy', '--set', 'budget.limit=100'], ''),
                              (['--planner', 'policy'], 'budget'), ([], 'differences budget')):
        main(['replay', str(tmp_path / 'bag'), str(bundle.directory), *settings])
        lines = capsys.readouterr().out.splitlines()
        found = [line[2:14].strip() for line in lines[1:] if 'NOTE' not in line]
        assert found == [name for name in names if name not in missing]


def shown(value: float | None, digits: int = 3) -> str:
    """Return a figure as the report shows it."""
    return '–' if value is None else f'{value:.{digits}g}'


@pytest.mark.slow
def test_the_report_shows_the_figures_that_were_computed(
        lock_step_bag: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Every number of tiles, tables and shares is that of the JSON."""
    figures, report = tmp_path / 'figures.json', tmp_path / 'report.html'
    assert main(['replay', str(lock_step_bag), str(bundle.directory), '--json', str(figures),
                 '--report', str(report), '--planner', 'policy']) == 0
    found, page = json.loads(figures.read_text()), Page(report.read_text())
    # A figure stands before its name; the first of a name is a tile.
    tiles = dict(reversed(list(zip(page.texts[1:], page.texts, strict=False))))
    alarm, latency, found_by = found['alarm'], found['latency_ms'], found['divergence']
    assert tiles['decisions'] == '200'
    assert tiles['first decision that differs'] == f'#{found["diverged_at"]}'
    assert tiles['return per episode'] == shown(found['return'], 4)
    assert tiles['cost per episode'] == shown(found['cost'], 4)
    assert tiles['costs warned of'] == f'{alarm["hits"]} of {alarm["hits"] + alarm["misses"]}'
    assert tiles[f'per decision, p99 {shown(latency["p99"])} ms'] == f'{shown(latency["p50"])} ms'
    for source, share in found['source_fraction'].items():
        assert f'{source} {share:.1%}' in page.texts
    rows = {row[0]: row[1:] for row in page.rows if row}
    for name in ('value', 'cost value'):
        one = found[f'{name.replace(" ", "_")}_calibration']
        assert [name, str(one['decisions']), shown(one['bias']), shown(one['rmse']),
                shown(one['correlation'], 2)] in page.rows
    for name, one in ({'all together': alarm} | alarm['by_monitor']).items():
        assert [name.replace('_', ' '), str(one['hits']), str(one['misses']),
                str(one['false_alarms']), shown(one['lead_seconds'], 2),
                f'{one["alarmed"]:.0%}'] in page.rows
    assert rows[f'{found_by["decisions"]} of 200'] == [
        str(found_by['action']['decisions']), shown(found_by['action']['mean']),
        shown(found_by['action']['max']), shown(found_by['value']), shown(found_by['cost_value'])]
    assert rows['1'] == [shown(found['episodes'][0]['return'], 4),
                         shown(found['episodes'][0]['cost'], 4)]
    assert rows['changed for this replay'] == ['planner.kind = policy']
    assert found['bundle_sha256'][:16] in rows['bundle'][0]


def test_names_in_a_report_are_texts(driver, drive, bundle: Bundle, tmp_path: Path) -> None:
    """Whatever a bag is called, its name is shown and not run."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    path = tmp_path / '<b>bold'
    (tmp_path / 'bag').rename(path)
    report = tmp_path / 'report.html'
    assert main(['replay', str(path), str(bundle.directory), '--report', str(report)]) == 0
    assert '<b>bold' not in report.read_text()
    assert str(path) in Page(report.read_text()).texts


def test_planner_and_setting_are_changed(lock_step_bag: Path, bundle: Bundle,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """What another planner would have done is summed up in words."""
    assert main(['replay', str(lock_step_bag), str(bundle.directory), '--planner', 'policy',
                 '--set', 'cost_value.budget=3']) == 0
    said = capsys.readouterr().out
    assert 'different from decision 0 on' in said
    assert re.search(r'source .*plan to policy \d+', said)


@pytest.mark.slow
def test_sweep_over_a_folder(folder: Path, bundle: Bundle, tmp_path: Path,
                             capsys: pytest.CaptureFixture[str]) -> None:
    """Every combination is replayed on every bag, and the limit's own alarms count."""
    rows_file, figures = tmp_path / 'rows.csv', tmp_path / 'figures.json'
    assert main(['replay', str(folder), str(bundle.directory), '--jobs', '2',
                 '--sweep', 'cost_value.budget=0,1000', '--sweep', 'planner.kind=adaptive,policy',
                 '--csv', str(rows_file), '--json', str(figures),
                 '--report', str(tmp_path / 'report.html')]) == 0
    with rows_file.open() as stream:
        rows = list(csv.DictReader(stream))
    printed = [line.split() for line in capsys.readouterr().out.splitlines()[:5]]
    assert printed[0][:3] == ['cost', 'value.budget', 'planner.kind']
    assert [line[:3] for line in printed[1:]] == [
        ['0', 'adaptive', '80'], ['0', 'policy', '80'], ['1000', 'adaptive', '80'],
        ['1000', 'policy', '80']]
    assert [line[4] for line in printed[1:]] == [row['misses'] for row in rows]
    assert [(row['cost_value.budget'], row['planner.kind']) for row in rows] == [
        ('0.0', 'adaptive'), ('0.0', 'policy'), ('1000.0', 'adaptive'), ('1000.0', 'policy')]
    assert all(row['decisions'] == '80' for row in rows)
    assert float(rows[0]['alarmed']) > float(rows[2]['alarmed']) == 0.0
    assert rows[0]['diverged'] == '0' or float(rows[0]['source_plan']) > 0.0
    assert float(rows[1]['source_policy']) == 1.0
    found = json.loads(figures.read_text())
    assert len(found['bags']) == 2
    assert len(found['sweep']) == 4
    page = Page((tmp_path / 'report.html').read_text())
    assert page.pictures >= 9
    assert [row[:2] + row[3:5] for row in page.rows[1:5]] == [
        [shown(float(row['cost_value.budget']), 4), row['planner.kind'], row['hits'],
         row['misses']]
        for row in rows]


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--set', 'colour=red'], "no setting 'colour'"),
    (['--set', 'iterations=many'], "'planner.iterations' is 'many'"),
    (['--set', 'level=stop'], "'level' could mean"),
    (['--set', 'iterations'], 'not of the form NAME=VALUE'),
    (['--set', 'horizon=7'], "'horizon' is fixed"),
    (['--csv', 'rows.csv'], 'there is none'),
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
        "spowl: error: this needs matplotlib: pip install 'spowl_ros[report]'"]
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
    assert settings_of(['threshold=0.5', 'budget=3']) == {
        'planner.cost_threshold': 0.5, 'cost_value.budget': 3.0}
    with pytest.raises(SpowlError, match='could mean'):
        settings_of(['hysteresis=0.5'])
