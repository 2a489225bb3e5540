# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files are read within bounds and written whole, and nothing but files is replaced."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
import stat
import subprocess
import sys
import threading

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import (
    check_writable,
    read_bounded,
    whole,
    write_csv,
    write_json,
    write_whole,
)


def test_an_old_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    """Who holds the old file open still sees it; the new one has the same permissions."""
    path = tmp_path / 'figures.json'
    path.write_bytes(b'old')
    path.chmod(0o640)
    with path.open('rb') as held:
        write_whole(path, b'new')
        assert held.read() == b'old'
    assert path.read_bytes() == b'new' and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ['figures.json']


def test_of_a_link_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    """A link stays a link."""
    (tmp_path / 'there').mkdir()
    link = tmp_path / 'link'
    link.symlink_to(tmp_path / 'there' / 'file')
    for text in (b'first', b'second'):
        write_whole(link, text)
        assert link.is_symlink() and (tmp_path / 'there' / 'file').read_bytes() == text


def test_a_table_and_what_a_library_writes_are_whole_too(tmp_path: Path) -> None:
    """An error in the middle leaves the old file; nothing else lies beside it."""
    table, picture = tmp_path / 'table.csv', tmp_path / 'picture.png'
    write_csv(table, [{'a': 1, 'b': 'x, y'}, {'a': 2, 'b': ''}])
    assert table.read_bytes() == b'a,b\r\n1,"x, y"\r\n2,\r\n'
    picture.write_bytes(b'old')
    with pytest.raises(RuntimeError), whole(picture) as part:
        part.write_bytes(b'half')
        raise RuntimeError('the library fails')
    assert picture.read_bytes() == b'old'
    with whole(picture) as part:
        assert part.suffix == '.png'
        part.write_bytes(b'new')
    assert picture.read_bytes() == b'new'
    assert sorted(os.listdir(tmp_path)) == ['picture.png', 'table.csv']
    with pytest.raises(SpowlError, match='cannot write /dev/full'):
        write_csv('/dev/full', [{'a': 1}])


@pytest.mark.parametrize('number', [math.nan, math.inf])
def test_json_holds_no_number_that_is_not_finite(tmp_path: Path, number: float) -> None:
    """JSON has no word for it; one line says so, and the file is as it was."""
    path = tmp_path / 'figures.json'
    write_json(path, {'costs': [1.0, None]})
    with pytest.raises(SpowlError, match='not finite'):
        write_json(path, {'costs': [1.0, number]})
    assert json.loads(path.read_text()) == {'costs': [1.0, None]}


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """A named pipe takes the bytes and stays a pipe."""
    path = tmp_path / 'pipe'
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    write_whole(path, b'x' * 200_000)
    reader.join(20)
    assert got == [b'x' * 200_000] and stat.S_ISFIFO(path.stat().st_mode)


def test_a_device_is_written_to() -> None:
    """A device stays what it is; a full one says so in one line."""
    before = os.stat('/dev/full')
    with pytest.raises(SpowlError, match='cannot write /dev/full: No space left'):
        write_whole('/dev/full', b'figures')
    after = os.stat('/dev/full')
    assert stat.S_ISCHR(after.st_mode) and (after.st_rdev, after.st_ino) == (
        before.st_rdev, before.st_ino)
    write_whole('/dev/null', b'figures')
    check_writable('/dev/null')


@pytest.mark.parametrize('into', ['file', 'pipe'])
def test_standard_output_takes_what_is_written_to_it(tmp_path: Path, into: str) -> None:
    """Figures that go to /dev/stdout stand there in order with what is printed."""
    code = ("from spowl_ros.base.files import write_whole; print('before'); "
            "write_whole('/dev/stdout', b'figures\\n'); print('after')")
    output = tmp_path / 'output'
    with output.open('wb') as stream:
        done = subprocess.run([sys.executable, '-c', code], check=True,
                              stdout=subprocess.PIPE if into == 'pipe' else stream)
    text = done.stdout if into == 'pipe' else output.read_bytes()
    assert sorted(text.splitlines()) == [b'after', b'before', b'figures']


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """Neither a directory nor a file in none can be written."""
    for path in (tmp_path, tmp_path / 'nowhere' / 'file'):
        with pytest.raises(SpowlError, match='cannot write'):
            write_whole(path, b'')
        with pytest.raises(SpowlError, match='cannot be written'):
            check_writable(path)


def test_only_regular_files_within_the_limit_are_read(tmp_path: Path) -> None:
    """A pipe, a device, an endless or a large file is refused at once."""
    pipe, large = tmp_path / 'pipe', tmp_path / 'large'
    os.mkfifo(pipe)
    large.write_bytes(b'12345')
    assert read_bounded(large, 5) == b'12345'
    for path, message in ((pipe, 'not a regular file'), (Path('/dev/zero'), 'not a regular file'),
                          (tmp_path, 'not a regular file|directory'), (large, 'more than the 4'),
                          (Path('/proc/self/maps'), 'more than the 4'),
                          (tmp_path / 'absent', 'No such file')):
        with pytest.raises(SpowlError, match=message):
            read_bounded(path, 4)
