# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle is what it says or is refused, with the file and the difference named."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import json
from pathlib import Path
import shutil
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest

from spowl_ros.cli.main import main
from spowl_ros.control import bundle
from spowl_ros.control.bundle import BundleError

FILES = ('manifest.json', 'manifest.sha256', 'encode.onnx', 'propose.onnx', 'improve.onnx',
         'select.onnx', 'weights.bin', 'golden.npz', 'MODEL_CARD.md')


@pytest.fixture
def copied(untrained_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the untrained bundle that a test may damage."""
    return Path(shutil.copytree(untrained_bundle, tmp_path / 'bundle'))


def rewrite(directory: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest and make its digest, and those of the files, right again."""
    path = directory / 'manifest.json'
    manifest = json.loads(path.read_text())
    manifest['files'] = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
                         for name in manifest['files']}
    change(manifest)
    path.write_text(json.dumps(manifest))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (directory / 'manifest.sha256').write_text(f'{digest}  manifest.json\n')


def test_bundle_has_just_these_files(untrained_bundle: Path) -> None:
    """Every file of a bundle is one that loading verifies."""
    assert sorted(path.name for path in untrained_bundle.iterdir()) == sorted(FILES)


def test_loading_is_quick(untrained_bundle: Path) -> None:
    """Loading to ready takes less than the two seconds promised, even on a busy machine."""
    start = time.process_time()
    bundle.load(untrained_bundle)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('where', [0.0, 0.4, 1.0])
def test_one_flipped_bit_is_refused(copied: Path, name: str, where: float) -> None:
    """One flipped bit anywhere in any file is refused, naming the file."""
    path = copied / name
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError) as error:
        bundle.load(copied)
    assert name in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('name', FILES[1:])
def test_missing_file_is_refused(copied: Path, name: str) -> None:
    """A missing file is refused, naming it."""
    (copied / name).unlink()
    with pytest.raises(BundleError, match=f'{name}: No such file'):
        bundle.load(copied)


def test_missing_model_is_refused_with_those_that_exist(copied: Path) -> None:
    """Where no manifest is there is no model; the error lists those beside, or how to get one."""
    with pytest.raises(BundleError, match=f'no model in .*models beside it: {copied.name}$'):
        bundle.load(copied.parent / 'absent')
    (copied / 'manifest.json').unlink()
    with pytest.raises(BundleError, match=r"no model in .*'spowl export CHECKPOINT DIRECTORY'"):
        bundle.load(copied)


def test_contract_is_read_without_onnx_runtime(untrained_bundle: Path) -> None:
    """Who only reads the contract does not import ONNX Runtime, which takes a second."""
    code = ('import sys; from spowl_ros.control.bundle import read_contract; '
            'print(read_contract(sys.argv[1]).task, "onnxruntime" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', code, str(untrained_bundle)],
                          capture_output=True, text=True, check=True)
    assert done.stdout == 'SafetyPointGoal1-v0 False\n'


def test_other_schema_is_refused(copied: Path) -> None:
    """A manifest of another version is refused, saying both."""
    rewrite(copied, lambda manifest: manifest.update(schema=1))
    with pytest.raises(BundleError, match=r'manifest\.json: schema 1, this release reads 2'):
        bundle.load(copied)


@pytest.mark.parametrize('change, message', [
    (lambda m: m.pop('contract'), "section 'contract' is missing"),
    (lambda m: m['planner']['settings'].update(samples=0), "'samples' is 0"),
    (lambda m: m['planner']['settings'].update(horizont=3), r"manifest\.json: .*'horizont'"),
    (lambda m: m['graphs'].pop('select'), "wanted .*'select'"),
    (lambda m: m['files'].pop('weights.bin'), "no SHA-256 for the file 'weights.bin'"),
    (lambda m: m['graphs']['encode'].update(file='../encode.onnx'), r"'\.\./encode\.onnx'"),
    (lambda m: m['contract']['fields'].pop(), 'the contract has 44 observation values'),
    (lambda m: m['graphs']['encode']['inputs'].update(observation=[1, 61]),
     r'encode\.onnx: inputs differ .*observation \[1, 60\] \(manifest: \[1, 61\]\)'),
])
def test_inconsistent_manifest_is_refused(copied: Path, change: Callable[[dict], object],
                                          message: str) -> None:
    """A manifest whose parts do not agree is refused even where its digest is right."""
    rewrite(copied, change)
    with pytest.raises(Exception, match=message) as error:
        bundle.load(copied)
    assert error.type.__module__.startswith('spowl_ros')


def test_graph_of_another_shape_is_refused(copied: Path) -> None:
    """An ONNX graph of another shape is refused even where all digests are right."""
    path = copied / 'select.onnx'
    model = onnx.load(path, load_external_data=False)
    for value in model.graph.input:
        if value.name == 'value_low':
            value.type.tensor_type.shape.dim[0].dim_value = 7
    path.write_bytes(model.SerializeToString())
    rewrite(copied, lambda manifest: None)
    with pytest.raises(BundleError, match=r'select\.onnx: .*(value_low|cannot open)'):
        bundle.load(copied)


def test_other_weights_are_refused(copied: Path) -> None:
    """Weights that compute something else fail the golden vectors, all digests being right."""
    path = copied / 'weights.bin'
    weights = np.frombuffer(path.read_bytes(), np.float32)
    path.write_bytes((weights * np.float32(1.02)).tobytes())
    rewrite(copied, lambda manifest: None)
    with pytest.raises(BundleError, match=r'encode\.onnx: golden vector 0 .* differs by'):
        bundle.load(copied)


def test_pickled_golden_vectors_are_refused(copied: Path) -> None:
    """Nothing is unpickled, whatever the digests say."""
    np.savez(copied / 'golden.npz', allow_pickle=True,
             **{'encode.observation': np.array([{'a': 1}], dtype=object)})
    rewrite(copied, lambda manifest: None)
    with pytest.raises(BundleError, match=r'golden\.npz: cannot be read'):
        bundle.load(copied)


def test_amended_bundle_keeps_everything_else(copied: Path) -> None:
    """Measurements can be added afterwards, and stay when others are."""
    before = bundle.load(copied)
    bundle.amend(copied, measured={'return': {'mean': 12.0}})
    bundle.amend(copied, calibration={'model_error': {'0.99': 0.3}})
    after = bundle.load(copied)
    assert after.measured == {'return': {'mean': 12.0}}
    assert after.calibration == {'model_error': {'0.99': 0.3}}
    assert (after.contract, after.settings, after.provenance) == (
        before.contract, before.settings, before.provenance)


def test_command_line(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verify and inspect tell what a bundle is; a damaged one is one line and exit code 2."""
    assert main(['verify', str(copied)]) == 0
    capsys.readouterr()
    assert main(['inspect', str(copied)]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 40  # one screen, and the contract first
    assert shown.index('hazards_lidar') < shown.index('measured') < shown.index('origin')
    assert main(['inspect', '--all', str(copied)]) == 0
    shown = capsys.readouterr().out
    for text in ('SafetyPointGoal1-v0', 'hazards_lidar', 'cost_budget', 'untrained', 'latent_dim'):
        assert text in shown
    (copied / 'weights.bin').unlink()
    assert main(['verify', str(copied)]) == 2
    assert main(['verify', str(copied / 'nowhere')]) == 2
    problem = capsys.readouterr().err
    assert 'weights.bin' in problem and 'there is no model in' in problem
    assert len(problem.splitlines()) == 2
