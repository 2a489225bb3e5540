# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate lets through what decides alike, and what is not known fails."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import declared
from spowl_ros.cli.main import main
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.replay.gate import GateRules, compare, rules_from
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


def test_what_is_not_known_fails(bundle: Bundle, driver, drive, tmp_path: Path) -> None:
    """Too few decisions, and costs whose consequences nobody recorded, are no pass."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    found = {finding.rule: finding for finding in compare(
        [tmp_path / 'bag'], bundle, bundle, GateRules())}
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


def test_another_contract_is_refused(bundle: Bundle, lock_step_bag: Path) -> None:
    """Two bundles of different contracts cannot be compared."""
    contract = replace(bundle.contract, raw_period=0.03)
    with pytest.raises(SpowlError, match='differ in raw_period'):
        compare([lock_step_bag], bundle, replace(bundle, contract=contract), GateRules())


def test_the_example_holds_every_rule_at_its_default() -> None:
    """config/gate.yaml is complete and true."""
    assert rules_from(ROOT / 'config' / 'gate.yaml') == GateRules()
    text = (ROOT / 'config' / 'gate.yaml').read_text()
    assert all(f'{entry.name}: ' in text for entry in declared(GateRules()))
