# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay of many bags: a row for each, in order, computed once, wherever the bags are."""

from __future__ import annotations

from collections.abc import Iterator
import csv
from pathlib import Path
import shutil
import socket
import subprocess
import time

import pytest

pytest.importorskip('fsspec')  # comes with PyTorch; only the slow tests need Ray
pytest.importorskip('pyarrow')

from pyarrow import parquet  # noqa: E402
from pyarrow.fs import S3FileSystem, copy_files  # noqa: E402

from spowl_ros.bags.writer import BagWriter, Settings  # noqa: E402
from spowl_ros.base.errors import SpowlError  # noqa: E402
from spowl_ros.cli.main import main  # noqa: E402
from spowl_ros.control import bundle as bundles  # noqa: E402
from spowl_ros.replay.replay import Changes  # noqa: E402
from spowl_ros.scale import bags, store  # noqa: E402
from spowl_ros.scale.store import Place  # noqa: E402
from spowl_ros.scale.table import writing  # noqa: E402
from spowl_ros.scale.work import Judging, Replaying, Work  # noqa: E402

START_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three things that look like bags: two without decisions, one damaged."""
    for name in ('a', 'b'):
        bag = BagWriter(tmp_path / 'bags' / name, Settings())
        bag.add_topic('/odom', 'nav_msgs/msg/Odometry')
        bag.close()
    (tmp_path / 'bags' / 'c').mkdir()
    (tmp_path / 'bags' / 'c' / 'c.mcap').write_bytes(b'junk')
    (tmp_path / 'bags' / 'no_bag').mkdir()
    return tmp_path / 'bags'


class Here:
    """Does what a cluster does, in this process and in reverse order of every three jobs."""

    def run(self, work, pull) -> Iterator[object]:
        """Yield outcomes."""
        from spowl_ros.scale.cluster import JobOutcome, _guarded

        while True:
            jobs = [job for job in (pull(), pull(), pull()) if job is not None]
            if not jobs:
                return
            for job in reversed(jobs):
                value, failed = _guarded(work, job)
                yield JobOutcome(job, value, failed)


def test_bags_are_found_by_name_and_change_with_their_files(folder: Path) -> None:
    """Folders without storage files are no bags; a file written again is another bag."""
    before = list(store.find(str(folder)))
    assert [Path(place.url).name for place in before] == ['a', 'b', 'c']
    assert [place.url for place in store.find(str(folder / 'a'))] == [str(folder / 'a')]
    (folder / 'c' / 'c.mcap').write_bytes(b'other junk')
    after = list(store.find(str(folder)))
    assert [one.fingerprint == other.fingerprint
            for one, other in zip(before, after, strict=True)] == [True, True, False]
    with pytest.raises(SpowlError, match='no such bag'):
        next(store.find(str(folder / 'absent')))
    with pytest.raises(SpowlError, match='is not a bag'):
        next(store.find(str(folder / 'no_bag')))
    with pytest.raises(SpowlError, match='cannot be read'):
        next(store.find('nonsense://bucket/bag'))


def test_the_digest_is_of_names_and_bytes(folder: Path, tmp_path: Path) -> None:
    """A copy has the same digest, and any other byte another one."""
    copy = tmp_path / 'copy'
    shutil.copytree(folder / 'c', copy)
    assert store.digest(copy) == store.digest(folder / 'c')
    (copy / 'c.mcap').write_bytes(b'junl')
    assert store.digest(copy) != store.digest(folder / 'c')


def test_rows_come_in_order_and_only_new_ones_are_computed(
    untrained_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of bags, more than may wait; cached rows do not stop the others."""
    monkeypatch.setattr(bags, 'OUT_OF_ORDER', 4)
    computed: list[str] = []

    def one(work: Work, cache: Path, job: tuple[int, Place]) -> tuple[dict[str, object], bool]:
        number, place = job
        computed.append(place.url)
        return {'bag_sha256': place.url * 3, 'decisions': number}, True

    monkeypatch.setattr(bags, '_compute', one)
    cache = tmp_path / 'cache'
    bundle = bundles.load(untrained_bundle)
    work = Replaying.of([bundle], Changes())
    places = [Place(f'bag{number}', f'{number:064d}') for number in range(23)]
    rows = list(bags.rows(Here(), iter(places[::2]), work, cache))
    assert [row['bag'] for row in rows] == [place.url for place in places[::2]]
    again = list(bags.rows(Here(), iter(places), work, cache))
    assert [row['bag'] for row in again] == [place.url for place in places]
    assert sorted(computed) == sorted(place.url for place in places)
    for number, other in enumerate((Replaying.of([bundle], Changes({'planner.kind': 'policy'})),
                                    Judging.of([bundle, bundle], Changes())), start=2):
        list(bags.rows(Here(), iter(places), other, cache))
        assert len(computed) == number * len(places)


@pytest.mark.parametrize('name', ['t.csv', 't.parquet'])
def test_a_table_takes_its_place_when_it_is_whole(name: str, tmp_path: Path) -> None:
    """Rows of two thousand and one come back; after an error the old file stands."""
    file = tmp_path / name
    columns = {'bag': str, 'decisions': int, 'cost': float, 'identical': bool}
    with writing(file, columns) as add:
        for number in range(2001):
            add({'bag': f'b{number}', 'decisions': number, 'more': 1})
    if name.endswith('parquet'):
        found = [row['decisions'] for row in parquet.read_table(file).to_pylist()]
    else:
        with file.open() as stream:
            found = [int(row['decisions']) for row in csv.DictReader(stream)]
    assert found == list(range(2001))
    before = file.read_bytes()
    with pytest.raises(KeyError), writing(file, columns) as add:
        add({'bag': 'other'})
        raise KeyError
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    """A URL without a cluster, and a report with one, are one line each."""
    pytest.importorskip('ray')
    for options, said in (
            (['s3://bucket/bag', 'absent'], '--address local'),
            (['absent', 'absent', '--table', 'x.csv'], '--address local'),
            (['absent', 'absent', '--address', 'local', '--json', 'x.json'], '--table')):
        assert main(['replay', *options]) == 2
        assert said in capsys.readouterr().err


@pytest.fixture
def object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3FileSystem]:
    """Start an S3 server on loopback; skip where none is installed (pip install moto[server])."""
    server = shutil.which('moto_server')
    if server is None:
        pytest.skip('moto_server is not on the path')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    for name, value in (('AWS_ENDPOINT_URL', f'http://127.0.0.1:{port}'),
                        ('AWS_ACCESS_KEY_ID', 'test'), ('AWS_SECRET_ACCESS_KEY', 'test'),
                        ('AWS_REGION', 'us-east-1'), ('AWS_DEFAULT_REGION', 'us-east-1')):
        monkeypatch.setenv(name, value)
    process = subprocess.Popen([server, '-H', '127.0.0.1', '-p', str(port)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    break
            assert time.monotonic() < end, 'the server did not start'
            time.sleep(0.2)
        yield S3FileSystem(endpoint_override=f'http://127.0.0.1:{port}',
                           allow_bucket_creation=True, allow_delayed_open=True)
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_bags_of_an_object_store(
    object_store: S3FileSystem, folder: Path, untrained_bundle: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are found, fetched and judged as those of a folder; each row names its URL."""
    pytest.importorskip('ray')
    object_store.create_dir('robots')
    copy_files(str(folder), 'robots/day', destination_filesystem=object_store)
    places = list(store.find('s3://robots/day'))
    assert [place.url for place in places] == [f's3://robots/day/{name}' for name in 'abc']
    with store.at_hand(places[0]) as path:
        assert store.digest(path) == store.digest(folder / 'a')
    assert not path.exists()
    assert main(['replay', 's3://robots/day', str(untrained_bundle), '--address', 'local',
                 '--table', str(tmp_path / 't.csv'), '--cache', str(tmp_path / 'c')]) == 2
    assert '3 bags' in capsys.readouterr().out
    with (tmp_path / 't.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row['bag'] for row in rows] == [place.url for place in places]
    assert 'neither MCAP nor sqlite3' in rows[2]['error']
    with pytest.raises(SpowlError, match='no such bag'):
        next(store.find('s3://robots/night'))
