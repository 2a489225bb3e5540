# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags become datasets, and what is read from those is what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip('pyarrow', reason='the extra dataset is not installed')

import pyarrow as pa
from pyarrow import parquet

from spowl_ros.bags.reader import Bag
from spowl_ros.base.errors import SpowlError
from spowl_ros.cli.main import main
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.decision import Decision
from spowl_ros.control.run_record import Episode
from spowl_ros.replay import dataset
from spowl_ros.replay.recording import Outcome, RecordedRun, Sample
from spowl_ros.replay.replay import replay
from spowl_ros.robot.topics import load_robot

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract


def columns(directory: Path) -> dict[str, Any]:
    """Return the columns of a dataset by name, as arrays."""
    table = pa.concat_tables(map(parquet.read_table, sorted(directory.glob('data/*/*.parquet'))))
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


def recorded(path: Path, contract: Contract) -> tuple[list[Decision], list[np.ndarray]]:
    """Return decisions of a bag, and the vectors of the samples that they name."""
    with Bag(path) as bag:
        events = [event for _, event in RecordedRun(bag, contract, load_robot('')).events()]
    samples = {(event.field, event.stamp_ns): event.values for event in events
               if isinstance(event, Sample)}
    decisions = [event for event in events if isinstance(event, Decision)]
    return decisions, [np.concatenate([
        samples[field.name, stamp] for field, stamp in zip(
            contract.fields, decision.stamps_ns, strict=True)]) for decision in decisions]


def test_a_round_trip_keeps_every_number(lock_step_bag: Path, bundle: Bundle,
                                         tmp_path: Path) -> None:
    """Observations, commands, sources, times and outcomes are the recorded ones."""
    contract = bundle.contract
    written = dataset.write([lock_step_bag], contract, tmp_path / 'set')
    found = columns(tmp_path / 'set')
    decisions, observations = recorded(lock_step_bag, contract)
    assert (written.episodes, written.frames, written.left_out) == (1, len(decisions), {})
    assert np.array_equal(found['observation.state'], np.float32(observations))
    assert np.array_equal(found['action'], np.float32(
        contract.action.command(np.array([decision.action for decision in decisions]))))
    assert found['source'].tolist() == [decision.source for decision in decisions]
    assert found['stamp_ns'].tolist() == [decision.now_ns for decision in decisions]
    assert np.allclose(np.diff(found['timestamp']), contract.control_period, atol=1e-5)
    assert found['index'].tolist() == found['frame_index'].tolist() == list(range(len(decisions)))
    with Bag(lock_step_bag) as bag:
        run = RecordedRun(bag, contract, load_robot(''))
        amounts = {name: sum(event.amount for _, event in run.events()
                             if isinstance(event, Outcome) and event.name == name)
                   for name in ('reward', 'cost')}
    assert found['next.reward'].sum() == pytest.approx(amounts['reward'], abs=1e-3)
    assert found['next.cost'].sum() == pytest.approx(amounts['cost'], abs=1e-3)


def test_bags_and_episodes_are_numbered_through(driver: Any, drive: Any, bundle: Bundle,
                                                tmp_path: Path) -> None:
    """The tables beside the frames say where each episode begins and ends."""
    for name, seed in (('one', 1), ('two', 4)):
        driver.record(tmp_path / name, drive(steps=12, episodes=2, seed=seed))
    written = dataset.write([tmp_path / 'one', tmp_path / 'two'], bundle.contract,
                            tmp_path / 'set')
    found = columns(tmp_path / 'set')
    assert (written.episodes, written.frames) == (4, 48)
    assert found['episode_index'].tolist() == np.repeat(range(4), 12).tolist()
    assert found['index'].tolist() == list(range(48))
    rows = parquet.read_table(tmp_path / 'set' / dataset.EPISODES).to_pylist()
    assert [(row['dataset_from_index'], row['dataset_to_index'], row['data/file_index'])
            for row in rows] == [(0, 12, 0), (12, 24, 0), (24, 36, 1), (36, 48, 1)]
    meta = tmp_path / 'set' / 'meta'
    info = json.loads((meta / 'info.json').read_text())
    assert (info['total_episodes'], info['total_frames'], info['fps']) == (4, 48, 10)
    assert info['features'].keys() == found.keys()
    assert info['features']['action']['names'] == list(bundle.contract.action.names)
    statistics = json.loads((meta / 'stats.json').read_text())
    for name in ('observation.state', 'action'):
        assert np.allclose(statistics[name]['mean'], found[name].mean(0), atol=1e-4)
        assert np.allclose(statistics[name]['std'], found[name].std(0), atol=1e-3)


def test_what_the_bag_lacks_is_left_out_and_counted(real_time_bag: Path, lock_step_bag: Path,
                                                    bundle: Bundle, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost sensor message costs its frame and ends the episode; nothing takes its place."""
    whole = dataset.write([real_time_bag], bundle.contract, tmp_path / 'whole')
    assert sum(whole.left_out.values()) + whole.frames == len(
        recorded(real_time_bag, bundle.contract)[0])
    lost = recorded(lock_step_bag, bundle.contract)[0][40].stamps_ns[0]
    events = RecordedRun.events
    monkeypatch.setattr(RecordedRun, 'events', lambda run: (
        entry for entry in events(run)
        if not (isinstance(entry[1], Sample) and entry[1].stamp_ns == lost)))
    written = dataset.write([lock_step_bag], bundle.contract, tmp_path / 'set')
    assert written.left_out == {'without its whole observation': 1}
    assert written.episodes == 2
    assert 40 not in columns(tmp_path / 'set')['step']


@pytest.mark.parametrize('part', ['action', 'stamps_ns', 'silences'])
def test_a_decision_of_another_robot_is_refused(lock_step_bag: Path, bundle: Bundle, part: str,
                                                tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Dataset and replay name the decision that the contract does not fit, and write nothing."""
    from_items = Decision.from_items

    def shorter(items: Iterable[tuple[str, str]]) -> Decision:
        decision = from_items(items)
        return replace(decision, **{part: getattr(decision, part)[:1]})

    monkeypatch.setattr(Decision, 'from_items', shorter)
    wrong = f'decision 0 has 1 values in {part}, and {bundle.contract.task} has'
    with pytest.raises(SpowlError, match=wrong):
        dataset.write([lock_step_bag], bundle.contract, tmp_path / 'set')
    assert not (tmp_path / 'set').exists()
    with pytest.raises(SpowlError, match=wrong):
        replay(lock_step_bag, bundle)


@pytest.mark.parametrize('leap_s', [60.0, -60.0, -1.0], ids=str)
def test_a_leap_of_the_clock_ends_an_episode(driver: Any, drive: Any, bundle: Bundle,
                                             tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             leap_s: float) -> None:
    """After a silence, or where the clock was set back, the next frame begins another one."""
    driver.record(tmp_path / 'bag', drive(steps=12))
    events = RecordedRun.events
    monkeypatch.setattr(RecordedRun, 'events', lambda run: (
        (time_ns, replace(event, now_ns=event.now_ns + round(leap_s * 1e9))
         if isinstance(event, Decision) and event.step >= 6 else event)
        for time_ns, event in events(run)))
    found = dataset.write([tmp_path / 'bag'], bundle.contract, tmp_path / 'data')
    assert (found.episodes, found.frames) == (2, 12)
    read = columns(tmp_path / 'data')
    assert read['frame_index'].tolist() == [*range(6), *range(6)]
    steps = np.diff(read['timestamp'])[np.diff(read['episode_index']) == 0]
    np.testing.assert_allclose(steps, bundle.contract.control_period, atol=1e-6)


def test_an_episode_without_its_first_decision_is_kept(
        driver: Any, drive: Any, bundle: Bundle, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what follows the end of an episode is left out, not the next episode."""
    driver.record(tmp_path / 'bag', drive(steps=5, episodes=2))
    events = RecordedRun.events

    def changed(run: RecordedRun) -> Iterator[tuple[int, Any]]:
        decided = 0
        for time_ns, event in events(run):
            decided += isinstance(event, Decision)
            if isinstance(event, Decision) and decided == 5:
                yield time_ns, event
                yield time_ns, Episode(1.0, 0.0, 5)
                yield time_ns, replace(event, step=5)
            elif not (isinstance(event, Decision) and decided == 6):
                yield time_ns, event

    monkeypatch.setattr(RecordedRun, 'events', changed)
    found = dataset.write([tmp_path / 'bag'], bundle.contract, tmp_path / 'data')
    assert found.left_out == {'after the end of the episode': 1}
    assert columns(tmp_path / 'data')['step'].tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4]


def test_mistakes_are_one_sentence_and_leave_nothing(driver: Any, drive: Any, bundle: Bundle,
                                                     tmp_path: Path) -> None:
    """A bag without decisions, and a directory that exists."""
    driver.record(tmp_path / 'bag', drive(steps=3, decisions=False))
    with pytest.raises(SpowlError, match='no decisions'):
        dataset.write([tmp_path / 'bag'], bundle.contract, tmp_path / 'set')
    assert not (tmp_path / 'set').exists()
    with pytest.raises(SpowlError, match='exists already'):
        dataset.write([tmp_path / 'bag'], bundle.contract, tmp_path)


def test_a_bag_that_was_cut_off_is_written_with_a_note(
        driver: Any, drive: Any, bundle: Bundle, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    """What could be read is written; the command and the dataset say that it is not all."""
    driver.record(tmp_path / 'bag', drive(steps=30))
    file = tmp_path / 'bag' / 'bag_0.mcap'
    frames = []
    for name, share in (('all', 1.0), ('less', 0.7)):
        os.truncate(file, int(file.stat().st_size * share))
        command = ['dataset', str(bundle.directory), str(tmp_path / name), str(file.parent)]
        assert main(command) == 0
        said = capsys.readouterr().out
        info, spowl = (json.loads((tmp_path / name / 'meta' / f'{part}.json').read_text())
                       for part in ('info', 'spowl'))
        assert ('NOTE' in said) == bool(spowl['damage']) == (share < 1.0), said
        frames.append(info['total_frames'])
    assert 0 < frames[1] < frames[0]
