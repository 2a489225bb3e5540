# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What somebody who can write a bundle may try: what runs stays what was verified."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import io
import json
import os
from pathlib import Path
import shutil
import threading
import time
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper
import pytest

from spowl_ros.control import bundle, golden, providers
from spowl_ros.control.bundle import BundleError
from spowl_ros.control.planner import Planner


@pytest.fixture
def copied(untrained_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the untrained bundle that a test may damage."""
    return Path(shutil.copytree(untrained_bundle, tmp_path / 'bundle'))


def seal(directory: Path, change: Callable[[dict], object] = lambda manifest: None) -> None:
    """Make all hashes right again, as whoever replaced a file would."""
    path = directory / 'manifest.json'
    manifest = json.loads(path.read_text())
    manifest['files'] = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
                         for name in manifest['files']}
    change(manifest)
    path.write_text(json.dumps(manifest))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (directory / 'manifest.sha256').write_text(f'{digest}  manifest.json\n')


def refused(directory: Path, message: str, within: float = 20.0) -> None:
    """Make sure that loading ends soon, with one line."""
    start = time.process_time()
    with pytest.raises(BundleError, match=message) as error:
        bundle.load(directory)
    assert '\n' not in str(error.value) and len(str(error.value)) < 1500
    assert time.process_time() - start < within


@pytest.mark.parametrize('harm', ['zeros', 'cut', 'gone'])
def test_weights_changed_on_the_disk_change_nothing_that_runs(copied: Path, harm: str) -> None:
    """A loaded bundle plans the same, whatever happens to its files, also in new sessions."""
    loaded = bundle.load(copied)
    observation = np.full(loaded.contract.size, 0.3, np.float32)
    planner = Planner(loaded)
    before = planner.plan(observation, 0)
    weights = copied / 'weights.bin'
    if harm == 'zeros':
        with weights.open('r+b') as stream:
            stream.write(bytes(weights.stat().st_size))
    elif harm == 'cut':
        os.truncate(weights, 10)
    else:
        shutil.rmtree(copied)
    planner.reset()
    again = planner.plan(observation, 0)
    assert repr(again) == repr(before)  # NaN is no NaN's equal from Python 3.13 on
    assert Planner(loaded, threads=2).plan(observation, 0).policy_action == pytest.approx(
        before.policy_action, abs=1e-5)


@pytest.mark.slow
def test_a_swap_during_loading_never_mixes(copied: Path, tmp_path: Path) -> None:
    """While two bundles change places all the time, what loads is the one or the other."""
    from spowl_ros.control.planner_settings import PlannerSettings
    from spowl_ros.training.networks import NetworkConfig
    from spowl_ros.training.untrained import export_untrained

    first = bundle.load(copied)
    config = NetworkConfig(**{**first.networks, **{
        name: bundle_bins(first.networks[name]) for name in first.networks
        if name.endswith('_bins')}})
    second = export_untrained(tmp_path / 'other', first.contract, config,
                              PlannerSettings(**first.settings.to_dict()), seed=1)
    known = {b.digest: policy(b) for b in (first, second)}
    names = sorted(bundle.LIMITS.keys() - {'model.sig'})
    sources = [{name: (path / name).read_bytes() for name in names}
               for path in (copied, tmp_path / 'other')]
    place, stop = Path(shutil.copytree(copied, tmp_path / 'place')), threading.Event()

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            for name, data in sources[turn % 2].items():
                (place / f'.{name}.part').write_bytes(data)
                os.replace(place / f'.{name}.part', place / name)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        outcomes = {'loaded': 0, 'refused': 0}
        for _ in range(12):
            try:
                loaded = bundle.load(place)
            except BundleError:
                outcomes['refused'] += 1
                continue
            outcomes['loaded'] += 1
            assert policy(loaded) == known[loaded.digest]
    finally:
        stop.set()
        swapper.join()
    assert sum(outcomes.values()) == 12


def bundle_bins(values: dict) -> object:
    """Return bins from a manifest."""
    from spowl_ros.training.networks import BinConfig

    return BinConfig(**values)


def policy(loaded: bundle.Bundle) -> tuple[float, ...]:
    """Return what a bundle's policy does in one place."""
    observation = np.full(loaded.contract.size, 0.3, np.float32)
    return Planner(loaded).plan(observation, 0, iterations=0).policy_action


@pytest.mark.parametrize('name', ['manifest.json', 'weights.bin', 'golden.npz', 'encode.onnx'])
def test_what_is_no_file_is_refused_at_once(copied: Path, name: str) -> None:
    """A pipe, a directory, a device and an endless file in a file's place hang nothing."""
    path = copied / name
    path.unlink()
    os.mkfifo(path)
    refused(copied, f'{name}: not a regular file')
    path.unlink()
    path.mkdir()
    refused(copied, f'{name}: ')
    path.rmdir()
    path.symlink_to('/dev/zero')
    refused(copied, 'it lies in|not a regular file')


def test_a_link_out_is_refused(copied: Path, tmp_path: Path) -> None:
    """A file that lies elsewhere is refused, even where it is the right one."""
    (copied / 'weights.bin').rename(tmp_path / 'weights.bin')
    (copied / 'weights.bin').symlink_to(tmp_path / 'weights.bin')
    refused(copied, 'weights.bin: it lies in')


@pytest.mark.parametrize('linked', [False, True])
def test_a_cache_of_links_loads(copied: Path, tmp_path: Path, linked: bool) -> None:
    """All files may be links into one place, as caches of models and installations make them."""
    blobs, snapshot = tmp_path / 'cache' / 'blobs', tmp_path / 'cache' / 'snapshots' / 'abc'
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in copied.iterdir():
        blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        (snapshot / path.name).symlink_to(f'../../blobs/{blob.name}')
    if linked:
        (tmp_path / 'link').symlink_to(snapshot)
        snapshot = tmp_path / 'link'
    assert bundle.load(snapshot).contract == bundle.read_contract(snapshot)
    with pytest.raises(BundleError, match='a link; change the bundle that it leads to'):
        bundle.amend(snapshot, measured={'return': 1.0})


def test_a_file_too_many_is_refused(copied: Path) -> None:
    """What the manifest does not list has no place in a bundle; what git leaves is not read."""
    (copied / '.gitattributes').write_text('*.bin filter=lfs\n')
    bundle.load(copied)
    (copied / 'extra.py').write_text('print()')
    refused(copied, "'extra.py' is no file of a bundle")


@pytest.mark.parametrize('name', sorted(bundle.LIMITS.keys() - {'model.sig'}))
def test_sizes_are_bounded_before_reading(copied: Path, name: str) -> None:
    """A file of far too many bytes is refused without being read."""
    os.truncate(copied / name, bundle.LIMITS[name] + 1)
    refused(copied, f'{name}: more than the', within=2.0)


def npz(arrays: dict[str, bytes]) -> bytes:
    """Return an archive of arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in arrays.items():
            archive.writestr(f'{name}.npy', data)
    return stream.getvalue()


def npy(shape: str, dtype: str = '<f4', data: bytes = b'') -> bytes:
    """Return an array whose header says what it likes."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b' ' * (63 - (10 + len(header)) % 64) + b'\n'
    return b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + data


@pytest.mark.parametrize('content, message', [
    (npz({'encode.observation': bytes(1 << 21)}), 'it holds 1 arrays of'),
    (npz({f'a{i}': npy('()', data=bytes(4)) for i in range(golden.MOST_ARRAYS + 1)}),
     '257 arrays'),
    (npz({'encode.observation': npy('(1000000000000, 60)')}), 'in 0 bytes'),
    (npz({'encode.observation': npy('(-4, -15)', data=bytes(240))}), 'shape'),
    (npz({'encode.observation': npy('(1,)', '|O', bytes(8))}), 'plain numbers'),
    (npz({'encode.observation': b'\x93NUMPY'}), 'cannot be read'),
    (b'PK\x03\x04 nonsense', 'cannot be read'),
])
def test_golden_vectors_cannot_expand(copied: Path, content: bytes, message: str,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs, nonsense shapes and objects are refused before they take any memory."""
    monkeypatch.setattr(golden, 'LARGEST', 1 << 20)
    (copied / 'golden.npz').write_bytes(content)
    seal(copied)
    refused(copied, message)


def looped(model: onnx.ModelProto) -> None:
    """Let a graph run for ever."""
    body = helper.make_graph(
        [helper.make_node('Identity', ['go'], ['still'])], 'body',
        [helper.make_tensor_value_info('i', TensorProto.INT64, []),
         helper.make_tensor_value_info('go', TensorProto.BOOL, [])],
        [helper.make_tensor_value_info('still', TensorProto.BOOL, [])])
    model.graph.node.append(helper.make_node('Loop', ['', 'yes'], [], body=body))


def operator(name: str, domain: str = '') -> Callable[[onnx.ModelProto], None]:
    """Return what adds an operator to a graph."""
    return lambda model: model.graph.node.append(
        helper.make_node(name, ['latent'], ['more'], domain=domain))


def elsewhere(location: str, length: int = 4096) -> Callable[[onnx.ModelProto], None]:
    """Return what takes a graph's weights from somewhere else."""
    def change(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.external_data)
        for entry in tensor.external_data:
            if entry.key in ('location', 'length'):
                entry.value = location if entry.key == 'location' else str(length)
    return change


def function(model: onnx.ModelProto) -> None:
    """Give a graph a function of its own."""
    model.functions.append(helper.make_function('own', 'f', [], [], [], []))


@pytest.mark.parametrize('change, message', [
    (looped, "the operator 'Loop'|field 6"), (operator('Scan'), "the operator 'Scan'"),
    (operator('RandomNormal'), "the operator 'RandomNormal'"),
    (operator('Add', 'com.example'), "operators of b'com.example'"),
    (elsewhere('/etc/passwd'), "weights in b'/etc/passwd'"),
    (elsewhere('weights.bin', 1 << 40), 'weights that end at byte'),
    (function, 'field 25'),
])
def test_graphs_may_only_compute(copied: Path, change: Callable[[onnx.ModelProto], None],
                                 message: str) -> None:
    """Loops, randomness, other domains, functions and foreign weights are refused unopened."""
    path = copied / 'encode.onnx'
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    seal(copied)
    refused(copied, message)


@pytest.mark.parametrize('cut', [1, 100, 5000])
def test_a_graph_cut_short_is_refused(copied: Path, cut: int) -> None:
    """Damage that the hashes do not show is one line."""
    path = copied / 'encode.onnx'
    path.write_bytes(path.read_bytes()[:-cut])
    seal(copied)
    refused(copied, r'encode\.onnx')


@pytest.mark.parametrize('change, message', [
    (lambda m: m['graphs']['encode']['inputs'].update(observation=[1, 10**15]), 'of shape'),
    (lambda m: m['graphs']['encode']['inputs'].update(observation=[1, -60]), 'of shape'),
    (lambda m: m['graphs']['encode']['inputs'].update(observation='[1, 60]'), 'of shape'),
    (lambda m: m['weights']['encoder.layers.0.weight'].update(offsets=[10**12]),
     'does not lie in'),
    (lambda m: m['weights']['encoder.layers.0.weight'].update(shape=[10**9, 10**9]),
     'does not lie in'),
    (lambda m: m['files'].update({'../../etc/passwd': '00'}), 'which is no file of a bundle'),
    (lambda m: m.update(schema=[3]), r'schema \[3\]'),
    (lambda m: m.update(schema=True), 'schema True'),
])
def test_nonsense_in_the_manifest_is_refused(copied: Path, change: Callable[[dict], object],
                                             message: str) -> None:
    """Sizes, places and names are judged by value, though every hash is right."""
    seal(copied, change)
    refused(copied, message)


@pytest.mark.parametrize('text', [
    '[' * 200_000, '{"schema": 3, "contract": NaN}', '{"schema": ' + '9' * 5000 + '}', '\x00', ''])
def test_a_manifest_that_is_none_is_one_line(copied: Path, text: str) -> None:
    """Depth, numbers without end and text that is no JSON are refused."""
    (copied / 'manifest.json').write_text(text)
    refused(copied, r'manifest\.json: not the manifest of a bundle')


def test_golden_vectors_have_a_time_limit(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs that take too long are ended, with one line."""
    monkeypatch.setattr(golden, 'TIME_LIMIT_S', 0.0)
    monkeypatch.setattr(golden, 'MOST_CASES', 10**6)
    arrays = dict(np.load(copied / 'golden.npz'))
    np.savez_compressed(copied / 'golden.npz',
                        **{name: np.concatenate([a] * 300) for name, a in arrays.items()})
    seal(copied)
    refused(copied, 'did not end within')


def test_opening_has_a_time_limit(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that ONNX Runtime does not finish to open is refused, with one line."""
    import onnxruntime

    monkeypatch.setattr(providers, 'OPENING_LIMIT_S', 0.1)
    monkeypatch.setattr(onnxruntime, 'InferenceSession', lambda *_, **__: time.sleep(2.0))
    refused(copied, 'encode.onnx: ONNX Runtime did not open it within 0.1 s')


@pytest.mark.parametrize('step', range(3))
def test_amending_is_whole_or_not_at_all(copied: Path, monkeypatch: pytest.MonkeyPatch, step: int
                                         ) -> None:
    """A write that fails leaves the bundle as it was, and nothing beside it."""
    from spowl_ros.base.errors import SpowlError

    written, before = [], bundle.load(copied).digest
    inner = bundle.write_whole

    def failing(path: Path, data: bytes) -> None:
        if len(written) == step:
            raise SpowlError('disk full')
        written.append(path)
        inner(path, data)

    monkeypatch.setattr(bundle, 'write_whole', failing)
    with pytest.raises(SpowlError, match='disk full'):
        bundle.amend(copied, measured={'return': 2.0}, card=lambda b: 'card')
    assert bundle.load(copied).digest == before
    assert list(copied.parent.iterdir()) == [copied]


def test_another_bundle_than_was_measured_is_not_amended(copied: Path) -> None:
    """It may have been exported anew while the old one was measured."""
    before = bundle.load(copied)
    bundle.amend(copied, measured={'return': 2.0}, digest=before.digest)
    after = bundle.load(copied)
    assert after.networks_digest == before.networks_digest
    with pytest.raises(BundleError, match='exchanged meanwhile'):
        bundle.amend(copied, measured={'return': 3.0}, digest=before.digest)
    assert bundle.load(copied).digest == after.digest
