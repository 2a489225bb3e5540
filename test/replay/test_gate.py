# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate lets through what decides alike, and what is not known fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64

from spowl_ros.bags.reader import Bag
from spowl_ros.bags.writer import BagWriter
from spowl_ros.base.errors import UNREAD, SpowlError
from spowl_ros.base.settings import declared
from spowl_ros.cli.main import main
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.replay.gate import GateRules, Tally, check_contracts, judge, rules_from
from spowl_ros.replay.replay import Changes, replay
from spowl_ros.training.untrained import COMPACT, export_untrained

ROOT = Path(__file__).resolve().parents[2]
LENIENT = 'latency: -1\nmisses: 1000\nfalse_alarms: 1000\n'


@pytest.fixture(scope='module')
def other(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of other random networks."""
    directory = tmp_path_factory.mktemp('other') / 'bundle'
    export_untrained(directory, bundle.contract,
                     replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32),
                     PlannerSettings.compact(iterations=2, samples=32, policy_candidates=8,
                                             elites=8), seed=3)
    return directory


def gate(*arguments: object) -> int:
    """Return the exit code of `spowl gate`."""
    return main(['gate', *map(str, arguments)])


@pytest.mark.slow
def test_the_same_bundle_passes_and_another_fails(
        untrained_bundle: Path, other: Path, lock_step_bag: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes 0 and 1; every rule is told with its figure."""
    rules = tmp_path / 'rules.yaml'
    rules.write_text(LENIENT)
    assert gate(untrained_bundle, untrained_bundle, lock_step_bag, '--rules', rules) == 0
    assert capsys.readouterr().out.splitlines()[-1] == 'passes'
    rules.write_text(LENIENT + 'action_mean: 0.01\n')
    assert gate(untrained_bundle, other, lock_step_bag, '--rules', rules,
                '--json', tmp_path / 'found.json') == 1
    assert 'action_mean' in capsys.readouterr().out.splitlines()[-1]
    found = json.loads((tmp_path / 'found.json').read_text())
    assert not found['passed'] and not found['rules']['action_mean']['passed']
    assert found['rules']['action_mean']['figure'] > 0.01
    assert 'latency' not in found['rules']


@pytest.mark.slow
def test_a_reader_that_leaves_makes_no_verdict_a_pass(
        untrained_bundle: Path, other: Path, lock_step_bag: Path, tmp_path: Path) -> None:
    """A pipe that nobody reads gives a failure's code or its own, never 0; the file is whole."""
    (tmp_path / 'rules.yaml').write_text(LENIENT + 'action_mean: 0.01\n')
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, 'w') as nobody:
        done = subprocess.run(
            [sys.executable, '-m', 'spowl_ros.cli.main', 'gate', untrained_bundle, other,
             lock_step_bag, '--rules', tmp_path / 'rules.yaml', '--json', tmp_path / 'found.json'],
            stdout=nobody, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == UNREAD and done.stderr == ''
    assert not json.loads((tmp_path / 'found.json').read_text())['passed']


@pytest.mark.slow
def test_damage_is_told_beside_the_verdict(
        untrained_bundle: Path, lock_step_bag: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    """What a bag lost may hold the costs that would have failed."""
    (tmp_path / 'rules.yaml').write_text(LENIENT + 'decisions: 1\n')
    bag = shutil.copytree(lock_step_bag, tmp_path / 'bag')
    part, = bag.glob('*.mcap')
    part.write_bytes(part.read_bytes()[:part.stat().st_size * 2 // 3])
    gate(untrained_bundle, untrained_bundle, bag, '--rules', tmp_path / 'rules.yaml',
         '--json', tmp_path / 'found.json')
    told, = json.loads((tmp_path / 'found.json').read_text())['damage']
    assert 'is damaged' in told and f'NOTE {told}' in capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_on_a_cluster_it_judges_alike(
        untrained_bundle: Path, other: Path, lock_step_bag: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    """Figures and verdict are those of one process; only new bags are computed; damage is told."""
    pytest.importorskip('ray')
    from pyarrow import parquet

    rules, folder, table = tmp_path / 'rules.yaml', tmp_path / 'bags', tmp_path / 'rows.parquet'
    rules.write_text(LENIENT + 'action_mean: 0.01\n')
    for name in ('a', 'b'):
        shutil.copytree(lock_step_bag, folder / name)
    assert gate(untrained_bundle, other, folder, '--rules', rules, '--json',
                tmp_path / 'here.json') == 1
    (folder / 'c').mkdir()
    (folder / 'c' / 'c.mcap').write_bytes(b'junk')
    scaled = ('--rules', rules, '--address', 'local', '--table', table, '--cache',
              tmp_path / 'cache', '--json', tmp_path / 'there.json')
    for computed in (1, 0):  # both good bags have the same bytes
        capsys.readouterr()
        assert gate(untrained_bundle, other, folder, *scaled) == 2
        said = capsys.readouterr()
        assert f'3 bags, {computed} computed now, 1 unreadable' in said.out or computed
        assert 'c' in said.err and 'neither MCAP nor sqlite3' in said.err
    here, there = (json.loads((tmp_path / f'{name}.json').read_text())
                   for name in ('here', 'there'))
    assert there == {**here, 'unreadable': 1}
    rows = parquet.read_table(table).to_pylist()
    assert [Path(row['bag']).name for row in rows] == ['a', 'b', 'c']
    assert rows[0]['decisions'] == rows[1]['decisions'] > 0 and rows[2]['error']


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['adaptive', 'policy'])
def test_each_bundle_plans_with_its_own_iterations(
        bundle: Bundle, driver, drive, tmp_path: Path, kind: str) -> None:
    """What the recording robot had time for, or did not plan, says nothing of another bundle."""
    driver.record(tmp_path / 'bag', drive(steps=5, settings={'planner.kind': kind}))
    thorough = export_untrained(
        tmp_path / 'thorough', bundle.contract,
        replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32),
        PlannerSettings.compact(iterations=5, samples=32, policy_candidates=8, elites=8))
    own = bundle.settings.iterations
    for decides, changes, wanted in (
            (bundle, {}, own if kind == 'adaptive' else 0), (thorough, {}, 5),
            (bundle, {'planner.kind': 'adaptive', 'planner.temperature': 1.0}, own)):
        found = replay(tmp_path / 'bag', decides, Changes(changes))
        assert set(found.replayed.plan['iterations']) == {wanted}


def test_what_had_to_be_cut_short_is_not_when_the_planner_differs(
        real_time_bag: Path, bundle: Bundle) -> None:
    """The recorded iterations are those of the recorded planner settings alone."""
    found = replay(real_time_bag, bundle, Changes({'planner.cost_weight': 1.0}))
    assert found.recorded is not None
    clear = ~(found.replayed.alarms['deadline'] | found.replayed.alarms['staleness'])
    assert len(set(found.recorded.plan['iterations'][clear])) > 1
    assert set(found.replayed.plan['iterations'][clear]) == {bundle.settings.iterations}


def test_sums_of_bags_add_up(bundle: Bundle, driver, drive, tmp_path: Path) -> None:
    """A row gives back its sums; quantiles hold over all bags; one unknown makes them unknown."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    one = Tally.of(tmp_path / 'bag', bundle, bundle)
    assert Tally.from_row(one.row()).row() == one.row()
    assert (one + Tally()).row() == one.row()
    many = sum((Tally(decisions=1, differences=Counter([step]), latencies=Counter([step]))
                for step in range(101)), Tally())
    figures = many.figures(period=1e-6)
    assert figures['action_high'] == pytest.approx(0.095, abs=2e-3)
    assert figures['latency'] == pytest.approx(1.01**99, rel=0.02)
    unknown = many + Tally(latencies=Counter([-1]))
    assert unknown.figures(period=0.1)['latency'] is None


@pytest.mark.parametrize('costs', [[], [-1.0]])
def test_costs_that_nobody_told_do_not_pass(
        bundle: Bundle, driver, drive, tmp_path: Path, costs: list[float]) -> None:
    """A recorder lists a cost topic on which nobody spoke; and one cost may be none."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    with Bag(tmp_path / 'bag') as bag:
        writer = BagWriter(tmp_path / 'silent')
        numbers = {name: writer.add_topic(name, topic.type) for name, topic in bag.topics.items()}
        for message in bag.messages(bag.topics.keys() - {'/cost'}):
            writer.write(numbers[message.topic], message.time_ns, message.data)
        for cost in costs:
            writer.write(numbers['/cost'], message.time_ns,
                         serialize_message(Float64(data=cost)))
        writer.close()
    found = {finding.rule: finding for finding in judge(
        Tally.of(tmp_path / 'silent', bundle, bundle), GateRules(),
        bundle.contract.control_period)}
    for rule in ('misses', 'false_alarms', 'cost_error'):
        assert found[rule].figure is None and not found[rule].passed


def test_what_is_not_known_fails(bundle: Bundle, driver, drive, tmp_path: Path) -> None:
    """Too few decisions, and costs whose consequences nobody recorded, are no pass."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    found = {finding.rule: finding for finding in judge(
        Tally.of(tmp_path / 'bag', bundle, bundle), GateRules(), bundle.contract.control_period)}
    assert not found['decisions'].passed and found['decisions'].figure == 5.0
    assert found['cost_error'].figure is None and not found['cost_error'].passed
    assert found['action_mean'].passed and found['action_mean'].figure == 0.0


@pytest.mark.parametrize(('text', 'words'), [
    ('mises: 3', 'did you mean'), ('misses: many', "'misses' is 'many'"), ('- 1', 'a mapping'),
    ('stops: 2', "'stops' is 2"), ('', 'wanted a mapping')])
def test_wrong_rules_are_told_in_one_line(text: str, words: str, tmp_path: Path,
                                          untrained_bundle: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what is wrong."""
    (tmp_path / 'rules.yaml').write_text(text)
    assert gate(untrained_bundle, untrained_bundle, 'none', '--rules',
                tmp_path / 'rules.yaml') == 2
    line, = capsys.readouterr().err.splitlines()
    assert words in line


def test_another_contract_is_refused(bundle: Bundle) -> None:
    """Two bundles of different contracts cannot be compared."""
    contract = replace(bundle.contract, raw_period=0.03)
    with pytest.raises(SpowlError, match='differ in raw_period'):
        check_contracts(bundle, replace(bundle, contract=contract))


def test_the_example_holds_every_rule_at_its_default() -> None:
    """config/gate.yaml is complete and true."""
    assert rules_from(ROOT / 'config' / 'gate.yaml') == GateRules()
    text = (ROOT / 'config' / 'gate.yaml').read_text()
    assert all(f'{entry.name}: ' in text for entry in declared(GateRules()))
