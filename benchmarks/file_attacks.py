# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Attacks by files: bundles and bags that somebody made to do harm.

A process of its own opens each file, as a user would. It survives if it ends in time, within its
memory, in one line that says what is wrong; a damaged bag may also be read up to the damage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from typing import Any
import zipfile

from backports import zstd

from spowl_ros.bags.mcap_file import MAGIC
from spowl_ros.bags.types import installed_types
from spowl_ros.bags.writer import BagWriter, Settings

SECONDS = 60.0
GIGABYTES = 6
"""Of addresses, most of which are never used; a bomb would use them."""
MESSAGES = 100
VERIFY = 'import sys; from spowl_ros.cli.main import main; sys.exit(main(sys.argv[1:]))'
READ = """
import sys
from spowl_ros.base.errors import SpowlError
from spowl_ros.bags.reader import Bag
try:
    with Bag(sys.argv[1]) as bag:
        count = sum(1 for _ in bag.messages())
        print(f'{count} messages read; {"; ".join(bag.damage) or "no damage"}')
except SpowlError as error:
    sys.exit(f'error: {error}')
"""


@dataclass(frozen=True)
class FileAttack:
    """One file that does harm."""

    name: str
    harm: Callable[[Path], object]
    """Changes a good bundle, or a good bag, in place."""
    words: str
    """Part of what the user reads."""
    bag: str = ''
    """Storage of the bag; empty: a bundle is attacked."""

    def attempt(self, model: Path) -> tuple[str, str]:
        """Try it once; return what was lost, and what the user reads."""
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / 'attacked'
            if self.bag:
                _write_bag(path, self.bag)
            else:
                shutil.copytree(model, path)
            self.harm(path)
            code = (READ, str(path)) if self.bag else (VERIFY, 'verify', str(path))
            try:
                ended = subprocess.run([sys.executable, '-c', *code], capture_output=True,
                                       text=True, timeout=SECONDS, preexec_fn=_bound)
            except subprocess.TimeoutExpired:
                return f'it hangs for {SECONDS:g} s', ''
        said = (ended.stdout + ended.stderr).strip().replace(name, '')
        if ended.returncode < 0 or ended.returncode not in ((0, 1) if self.bag else (2,)):
            return f'exit code {ended.returncode}', said[-300:]
        if len(said.splitlines()) != 1 or self.words not in said:
            return 'one line that names the harm', said[-300:]
        return '', said


def file_attacks() -> list[FileAttack]:
    """Return every attack on a bundle, then every attack on a bag."""
    bundle = 'bundle: '
    return [
        FileAttack(bundle + 'other weights, with right hashes', _weights, 'differs by'),
        FileAttack(bundle + 'one bit of the weights', _bit, 'SHA-256'),
        FileAttack(bundle + 'a pipe in place of a graph', _pipe, 'not a regular file'),
        FileAttack(bundle + 'weights are a link to /dev/zero', _link('/dev/zero'), 'it lies in'),
        FileAttack(bundle + 'weights are a link to themselves', _link('weights.bin'),
                   'weights.bin'),
        FileAttack(bundle + 'a file more', lambda path: (path / 'extra.py').write_text('1'),
                   'is no file of a bundle'),
        FileAttack(bundle + 'a graph of 1 TB', lambda path: os.truncate(
            path / 'encode.onnx', 2**40), 'more than the'),
        FileAttack(bundle + 'golden vectors that unpack to 4 GB', _golden, 'arrays of'),
        FileAttack(bundle + 'a graph with a loop', _graph(_looped), 'not a graph'),
        FileAttack(bundle + 'a graph with a foreign operator', _graph(_foreign), 'operators of'),
        FileAttack(bundle + 'a graph with the weights of /etc/passwd',
                   _graph(_elsewhere('location', '/etc/passwd')), 'weights in'),
        FileAttack(bundle + 'a graph with weights behind the end of the file',
                   _graph(_elsewhere('offset', str(2**62))), 'weights that end at'),
        FileAttack(bundle + 'the manifest lists ../../etc/passwd', lambda path: _seal(
            path, lambda m: m['files'].update({'../../etc/passwd': '00'})), 'no file of a bundle'),
        FileAttack(bundle + 'a manifest 200,000 levels deep', lambda path: (
            path / 'manifest.json').write_text('[' * 200_000), 'not the manifest'),
        FileAttack(bundle + 'a stop command that moves', lambda path: _seal(
            path, lambda m: m['contract']['action'].update(stop=[9.0, 9.0])), 'stop'),
        FileAttack('bag: one bit of a chunk', _flip, 'damage', 'mcap'),
        FileAttack('bag: a chunk of 32 MB that says 1 TB', _bomb(2**40), 'grow to', 'mcap'),
        FileAttack('bag: a thousand chunks that grow', _many_bombs, 'grow to', 'mcap'),
        FileAttack('bag: metadata that double 40 times', _doubling, f'{MESSAGES} messages',
                   'mcap'),
        FileAttack('bag: metadata name /dev/zero', _absolute, 'lacks', 'mcap'),
        FileAttack('bag: a link to itself', _loop, '', 'mcap'),
        FileAttack('bag: a pipe in place of the file', _pipe_bag, '', 'mcap'),
        FileAttack('bag: cut in the middle', _cut, 'damage', 'mcap'),
        FileAttack('bag: messages are a view without end', _view, 'plain table', 'sqlite3'),
        FileAttack('bag: text where times belong', _text, 'messages', 'sqlite3'),
    ]


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, GIGABYTES << 30))


# Bundles

def _seal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and make all hashes right again, as whoever replaced a file would."""
    manifest = json.loads((path / 'manifest.json').read_text())
    manifest['files'] = {name: hashlib.sha256((path / name).read_bytes()).hexdigest()
                         for name in manifest['files']}
    change(manifest)
    text = json.dumps(manifest).encode()
    (path / 'manifest.json').write_bytes(text)
    (path / 'manifest.sha256').write_text(
        f'{hashlib.sha256(text).hexdigest()}  manifest.json\n')


def _same(manifest: object) -> None:
    pass


def _weights(path: Path) -> None:
    (path / 'weights.bin').write_bytes(bytes((path / 'weights.bin').stat().st_size))
    _seal(path, _same)


def _bit(path: Path) -> None:
    data = bytearray((path / 'weights.bin').read_bytes())
    data[len(data) // 2] ^= 1
    (path / 'weights.bin').write_bytes(data)


def _pipe(path: Path) -> None:
    (path / 'encode.onnx').unlink()
    os.mkfifo(path / 'encode.onnx')


def _link(target: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        (path / 'weights.bin').unlink()
        (path / 'weights.bin').symlink_to(target)
    return harm


def _golden(path: Path) -> None:
    with zipfile.ZipFile(path / 'golden.npz', 'w', zipfile.ZIP_DEFLATED) as archive, \
            archive.open('encode.observation.npy', 'w', force_zip64=True) as stream:
        for _ in range(4096):
            stream.write(bytes(2**20))
    _seal(path, _same)


def _graph(change: Callable[..., object]) -> Callable[[Path], None]:
    """Return a harm to the first graph, with right hashes."""
    def harm(path: Path) -> None:
        import onnx

        model = onnx.load(path / 'encode.onnx', load_external_data=False)
        change(model)
        (path / 'encode.onnx').write_bytes(model.SerializeToString())
        _seal(path, _same)
    return harm


def _looped(model: object) -> None:
    from onnx import TensorProto, helper

    body = helper.make_graph([helper.make_node('Identity', ['go'], ['still'])], 'body', [
        helper.make_tensor_value_info('i', TensorProto.INT64, []),
        helper.make_tensor_value_info('go', TensorProto.BOOL, [])],
        [helper.make_tensor_value_info('still', TensorProto.BOOL, [])])
    model.graph.node.append(  # type: ignore[attr-defined]
        helper.make_node('Loop', ['', 'yes'], [], body=body))


def _foreign(model: object) -> None:
    from onnx import helper

    model.graph.node.append(  # type: ignore[attr-defined]
        helper.make_node('Add', ['latent'], ['more'], domain='com.example'))


def _elsewhere(key: str, value: str) -> Callable[..., None]:
    def change(model: object) -> None:
        tensor = next(t for t in model.graph.initializer  # type: ignore[attr-defined]
                      if t.external_data)
        for entry in [entry for entry in tensor.external_data if entry.key == key]:
            tensor.external_data.remove(entry)
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return change


# Bags

def _write_bag(path: Path, storage: str) -> None:
    store, kind = installed_types(), 'std_msgs/msg/String'
    writer = BagWriter(path, Settings(storage=storage))
    topic = writer.add_topic('/a', kind)
    for number in range(MESSAGES):
        writer.write(topic, 1_700_000_000_000_000_000 + number * 10**7, bytes(
            store.serialize_cdr(store.types[kind](f'message {number} ' + 'x' * 100), kind)))
    writer.close()


def _file(path: Path) -> Path:
    return next(file for file in path.iterdir() if file.suffix in ('.mcap', '.db3'))


def _flip(path: Path) -> None:
    data = bytearray(_file(path).read_bytes())
    data[data.index(b'message 5') + 20] ^= 1  # chunks of so few messages are not compressed
    _file(path).write_bytes(data)


def _chunk(size: int, data: bytes) -> bytes:
    content = (struct.pack('<QQQII', 0, 0, size, 0, 4) + b'zstd'
               + struct.pack('<Q', len(data)) + data)
    return b'\x06' + struct.pack('<Q', len(content)) + content


def _bomb(said: int) -> Callable[[Path], object]:
    return lambda path: _file(path).write_bytes(
        MAGIC + _chunk(said, zstd.compress(bytes(2**25))))


def _many_bombs(path: Path) -> None:
    records = b'\x80' + struct.pack('<Q', 2**24 - 9) + bytes(2**24 - 9)
    _file(path).write_bytes(MAGIC + 1000 * _chunk(2**24, zstd.compress(records)))


def _doubling(path: Path) -> None:
    (path / 'metadata.yaml').write_text('a: &1 [x, x]\n' + ''.join(
        f'{i}: &{i} {{<<: [*{i - 1}, *{i - 1}], k{i}: 1}}\n' for i in range(2, 40)))


def _absolute(path: Path) -> None:
    (path / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information: {relative_file_paths: [/dev/zero, ../../etc/passwd]}\n')


def _loop(path: Path) -> None:
    file = _file(path)
    file.unlink()
    file.symlink_to(file.name)


def _pipe_bag(path: Path) -> None:
    file = _file(path)
    file.unlink()
    os.mkfifo(file)


def _cut(path: Path) -> None:
    os.truncate(_file(path), _file(path).stat().st_size // 2)


def _database(path: Path, *statements: str) -> None:
    with sqlite3.connect(_file(path)) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def _view(path: Path) -> None:
    _database(path, 'DROP TABLE messages', (
        'CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
        "SELECT i AS id, 1 AS topic_id, i AS timestamp, x'00' AS data FROM n"))


def _text(path: Path) -> None:
    _database(path, 'ALTER TABLE messages RENAME TO plain',
              'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data)',
              'INSERT INTO messages SELECT * FROM plain',
              "UPDATE messages SET timestamp = 'noon' WHERE id = 41")

