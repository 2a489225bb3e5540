# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Write episodes of bags as a training dataset: Parquet in the layout of LeRobotDataset v3.0.

A frame is a recorded decision with its observation, and what followed until the next decision.
What the bag lacks is left out and counted, never filled in. A missing observation ends an episode,
and so does a clock that leaps or is set back, so neighbouring frames are always consecutive
decisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import itertools
import json
import math
from pathlib import Path
import tempfile
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from spowl_ros.bags.reader import Bag
from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract
from spowl_ros.control.controller import LEAP_PERIODS
from spowl_ros.control.decision import Decision
from spowl_ros.control.run_record import Episode
from spowl_ros.replay.recording import OUTCOMES, Outcome, RecordedRun
from spowl_ros.replay.replay import Inputs
from spowl_ros.robot.topics import load_robot

VERSION = 'v3.0'
"""Version of the layout."""
CHUNK = 1000
"""Files per folder."""
DATA = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
EPISODES = 'meta/episodes/chunk-000/file-000.parquet'
TASKS = 'meta/tasks.parquet'
SCALARS = {'next.reward': 'float32', 'next.cost': 'float32', 'next.done': 'bool',
           'source': 'string', 'stamp_ns': 'int64', 'step': 'int64', 'timestamp': 'float32',
           'frame_index': 'int64', 'episode_index': 'int64', 'index': 'int64',
           'task_index': 'int64'}
"""Columns of one value, with their types."""


@dataclass(frozen=True)
class Written:
    """Content of a written dataset."""

    directory: Path
    episodes: int
    frames: int
    left_out: dict[str, int]
    """Reason for omission to the number of decisions left out."""
    damage: tuple[str, ...]
    """What could not be read of the bags, one line each."""


def write(bags: Sequence[Path], contract: Contract, directory: Path, robot_file: str = '',
          namespace: str | None = None,
          progress: Callable[[int], None] = lambda frames: None) -> Written:
    """
    Write the dataset of some bags of one robot.

    :param robot_file: YAML file of the robot's topics and units; empty: the contract's own
    :param namespace: of the robot's topics in the bags; None: search for it
    :param progress: called with the number of frames of each episode
    :raises SpowlError: the directory exists, or a bag is not of this robot or has no usable
        decision
    """
    if directory.exists() or directory.is_symlink():
        raise SpowlError(f'{directory} exists already; choose another directory')
    robot = load_robot(robot_file)
    contract = robot.applied_to(contract)
    left_out: Counter[str] = Counter()
    damage: list[str] = []
    rows: list[dict[str, Any]] = []
    sums: list[dict[str, tuple[Any, ...]]] = []
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix='.dataset-') as folder:
        building = Path(folder) / 'new'
        first = 0
        for number, path in enumerate(bags):
            with Bag(path) as bag:
                run = RecordedRun(bag, contract, robot, namespace)
                if not run.decided:
                    raise SpowlError(f'bag {path} has no decisions, so no actions; decide on it '
                                     'by spowl replay first')
                tables = []
                chunk, file = divmod(number, CHUNK)
                for episode in _episodes(_frames(run, contract, left_out), contract, left_out):
                    tables.append(_table(episode, contract, len(rows), first))
                    sums.append(_sums(tables[-1]))
                    rows.append({
                        'episode_index': len(rows), 'tasks': [contract.task],
                        'length': len(episode), 'data/chunk_index': chunk, 'data/file_index': file,
                        'dataset_from_index': first, 'dataset_to_index': first + len(episode),
                        'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0,
                        'bag': str(path)})
                    first += len(episode)
                    progress(len(episode))
                damage += [f'{path}: {line}' for line in bag.damage]
            if tables:
                target = building / DATA.format(chunk_index=chunk, file_index=file)
                target.parent.mkdir(parents=True, exist_ok=True)
                parquet.write_table(pa.concat_tables(tables), target)
        if not rows:
            raise SpowlError(f'no decision of {", ".join(map(str, bags))} has its whole '
                             'observation in the bag; nothing was written')
        _write_meta(building, contract, rows, first, _statistics(sums), left_out,
                    damage)
        building.rename(directory)
    return Written(directory, len(rows), first, dict(left_out), tuple(damage))


def _frames(run: RecordedRun, contract: Contract, left_out: Counter[str]) -> list[dict[str, Any]]:
    """
    Return the decisions of a bag as rows by column, without the columns of their episode.

    An observation is None where the bag lacks a part of it, a reward or cost is NaN where none was
    recorded.
    """
    inputs = Inputs(contract)
    nothing = {f'next.{name}': 0.0 if name in run.outcomes else math.nan for name in OUTCOMES}
    frames: list[dict[str, Any]] = []
    last: dict[str, Any] | None = None
    ended, step = False, -1
    for event in inputs.in_turn(run.events()):
        if isinstance(event, Decision):
            ended = ended and event.step > step  # the bag may lack step 0
            step = event.step
            if ended:
                left_out['after the end of the episode'] += 1
                last = None
                continue
            whole = bool(event.stamps_ns) and inputs.known(event)
            observation = inputs.observe(event) if whole else None
            last = {
                'observation.state': None if observation is None else observation.values,
                'action': contract.action.command(np.array(event.action)).astype(np.float32),
                **nothing, 'next.done': False, 'source': event.source, 'stamp_ns': event.now_ns,
                'step': step, 'stamps_ns': event.stamps_ns}
            frames.append(last)
        elif isinstance(event, Outcome) and last is not None:
            last[f'next.{event.name}'] += event.amount
        elif isinstance(event, Episode) and last is not None:
            last['next.done'] = ended = True
    return frames


def _episodes(frames: list[dict[str, Any]], contract: Contract,
              left_out: Counter[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield runs of consecutive frames; frames without an observation are left out."""
    longest_ns = LEAP_PERIODS * contract.control_period * 1e9
    episode: list[dict[str, Any]] = []
    for frame in frames:
        whole = frame['observation.state'] is not None
        follows = episode and frame['step'] == episode[-1]['step'] + 1 and (
            0 < frame['stamp_ns'] - episode[-1]['stamp_ns'] <= longest_ns)
        if episode and not (whole and follows):
            yield episode
            episode = []
        if whole:
            episode.append(frame)
        else:
            left_out['without its whole observation' if frame['stamps_ns']
                     else 'a stop before every sensor was known'] += 1
    if episode:
        yield episode


def _table(episode: list[dict[str, Any]], contract: Contract, number: int, first: int) -> pa.Table:
    """Return an episode as a table, one row a frame; its columns are those of `_features`."""
    sizes = {name: feature['shape'][0] for name, feature in _features(contract).items()}
    return pa.Table.from_pylist(
        [{**frame, 'timestamp': (frame['stamp_ns'] - episode[0]['stamp_ns']) * 1e-9,
          'frame_index': index, 'episode_index': number, 'index': first + index, 'task_index': 0}
         for index, frame in enumerate(episode)],
        pa.schema([(name, SCALARS.get(name) or pa.list_(pa.float32(), size))
                   for name, size in sizes.items()]))


def _sums(table: pa.Table) -> dict[str, tuple[Any, ...]]:
    """Return lowest, highest, sum, squares and number of each numeric column's known values."""
    sums = {}
    for name in table.drop_columns(['source']).column_names:
        values = np.array(table[name].to_pylist(), np.float64).reshape(len(table), -1)
        values = values[np.isfinite(values).all(axis=1)]
        if len(values):
            sums[name] = (values.min(0), values.max(0), values.sum(0), (values**2).sum(0),
                          len(values))
    return sums


def _statistics(episodes: list[dict[str, tuple[Any, ...]]]) -> dict[str, Any]:
    """Return minimum, maximum, mean and deviation of each column from the sums of episodes."""
    result = {}
    for name in dict.fromkeys(itertools.chain.from_iterable(episodes)):
        low, high, total, squares, counts = zip(
            *(sums[name] for sums in episodes if name in sums), strict=True)
        count = sum(counts)
        mean = sum(total) / count
        deviation = np.sqrt(np.maximum(sum(squares) / count - mean**2, 0.0))
        result[name] = {
            'min': np.min(low, 0).tolist(), 'max': np.max(high, 0).tolist(),
            'mean': mean.tolist(), 'std': deviation.tolist(), 'count': [count]}
    return result


def _features(contract: Contract) -> dict[str, Any]:
    """Return type, shape and names of every column."""
    names = [field.name if field.size == 1 else f'{field.name}.{i}'
             for field in contract.fields for i in range(field.size)]
    vectors = {'observation.state': names, 'action': list(contract.action.names)}
    return {**{name: {'dtype': 'float32', 'shape': [len(parts)], 'names': parts}
               for name, parts in vectors.items()},
            **{name: {'dtype': kind, 'shape': [1], 'names': None}
               for name, kind in SCALARS.items()}}


def _write_meta(directory: Path, contract: Contract, rows: list[dict[str, Any]], frames: int,
                statistics: dict[str, Any], left_out: Counter[str], damage: list[str]) -> None:
    """Write the metadata files."""
    rate = 1.0 / contract.control_period
    (directory / EPISODES).parent.mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(rows), directory / EPISODES)
    parquet.write_table(_tasks(contract.task), directory / TASKS)
    texts = {
        'info.json': {
            'codebase_version': VERSION, 'robot_type': contract.robot,
            'total_episodes': len(rows), 'total_frames': frames, 'total_tasks': 1,
            'chunks_size': CHUNK, 'data_files_size_in_mb': 100, 'video_files_size_in_mb': 200,
            'fps': round(rate) if math.isclose(rate, round(rate), rel_tol=1e-6) else rate,
            'splits': {'train': f'0:{len(rows)}'}, 'data_path': DATA, 'video_path': None,
            'features': _features(contract)},
        'stats.json': statistics,
        'spowl.json': {'contract': contract.to_dict(), 'left_out': dict(left_out),
                       'damage': damage, 'bags': list(dict.fromkeys(row['bag'] for row in rows))}}
    for name, content in texts.items():
        (directory / 'meta' / name).write_text(json.dumps(content, indent=2) + '\n',
                                               encoding='utf-8')


def _tasks(task: str) -> pa.Table:
    """Return the table of tasks; pandas must read it with the task names as index."""
    index = '__index_level_0__'
    columns = [{'name': 'task_index', 'field_name': 'task_index', 'pandas_type': 'int64',
                'numpy_type': 'int64', 'metadata': None},
               {'name': None, 'field_name': index, 'pandas_type': 'unicode',
                'numpy_type': 'object', 'metadata': None}]
    described = {'index_columns': [index], 'column_indexes': [], 'columns': columns,
                 'pandas_version': '2.0.0'}
    table = pa.table({'task_index': pa.array([0], pa.int64()), index: pa.array([task])})
    return table.replace_schema_metadata({'pandas': json.dumps(described)})
