# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The bundle: a directory that holds everything a robot needs of a trained planner.

`manifest.json` says what it is and the SHA-256 of every other file; `manifest.sha256` is its own.
The graphs are ONNX files that share one file of weights; `golden.npz` holds inputs and outputs of
every graph that loading must reproduce. Nothing in it is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract
from spowl_ros.control.planner_settings import PlannerSettings

if TYPE_CHECKING:
    import onnxruntime

SCHEMA = 2
MANIFEST = 'manifest.json'
MANIFEST_DIGEST = 'manifest.sha256'
GOLDEN = 'golden.npz'
MODEL_CARD = 'MODEL_CARD.md'
WEIGHTS = 'weights.bin'
STAGES = ('encode', 'propose', 'improve', 'select')
GOLDEN_TOLERANCE = 1e-4
_SECTIONS = ('contract', 'networks', 'planner', 'provenance', 'measured', 'calibration', 'graphs',
             'weights', 'files')

Shapes = dict[str, list[int]]


class BundleError(SpowlError):
    """A bundle that is damaged, of another version, or not what it says."""


@dataclass(frozen=True)
class Graph:
    """One stage of the planner."""

    file: str
    inputs: Shapes
    outputs: Shapes
    flops: int
    """Floating-point operations of its matrix products."""


@dataclass(frozen=True)
class Weight:
    """One parameter of the networks in the file of weights, from which a training may start."""

    shape: list[int]
    offsets: list[int]
    """Bytes before it (float32); for an ensemble's, before each member's."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    directory: Path
    contract: Contract
    networks: dict[str, Any]
    """Sizes and forms of the networks."""
    settings: PlannerSettings
    graphs: dict[str, Graph]
    weights: dict[str, Weight]
    provenance: dict[str, Any]
    """Where it comes from: task, steps, seed, versions, commit, configuration."""
    measured: dict[str, Any] | None = None
    """Return and cost with intervals, once they have been measured."""
    calibration: dict[str, Any] | None = None
    """Tables of the run-time monitors, once they have been calibrated."""
    digest: str = ''
    """SHA-256 of the manifest it was read from, which holds those of all other files."""
    _sessions: dict[int, dict[str, onnxruntime.InferenceSession]] = field(
        default_factory=dict, repr=False, compare=False)

    def sessions(self, threads: int = 1) -> dict[str, onnxruntime.InferenceSession]:
        """Return an inference session of every stage, opened once for a number of threads."""
        if threads not in self._sessions:
            self._sessions[threads] = {
                name: _open(self.directory / graph.file, threads)
                for name, graph in self.graphs.items()}
        return self._sessions[threads]


def load(directory: str | Path, *, threads: int = 1) -> Bundle:
    """
    Read a bundle and verify hashes, schema, shapes and golden vectors.

    :param threads: threads of the sessions that are opened for it
    :raises BundleError: names the file and what differs
    """
    directory = Path(directory)
    bundle, files = _read(directory)
    for name, digest in files.items():
        actual = _digest(_bytes(directory / name))
        if actual != digest:
            raise BundleError(f'{directory / name}: SHA-256 is {actual[:12]}…, the manifest says '
                              f'{str(digest)[:12]}…; the file is damaged or was replaced')
    for name, graph in bundle.graphs.items():
        session = bundle.sessions(threads)[name]
        _check_shapes(directory / graph.file, 'inputs', session.get_inputs(), graph.inputs)
        _check_shapes(directory / graph.file, 'outputs', session.get_outputs(), graph.outputs)
    observation = bundle.graphs['encode'].inputs['observation'][-1]
    if observation != bundle.contract.size:
        raise BundleError(f'{directory / MANIFEST}: the contract has {bundle.contract.size} '
                          f'observation values, the encoder takes {observation}')
    actions = bundle.graphs['encode'].outputs['policy_action'][-1]
    if actions != bundle.contract.action.size:
        raise BundleError(f'{directory / MANIFEST}: the contract has '
                          f'{bundle.contract.action.size} actions, the policy gives {actions}')
    _check_golden(directory, bundle, threads)
    return bundle


def read_contract(directory: str | Path) -> Contract:
    """
    Read what a bundle promises, without opening its graphs, and so without ONNX Runtime.

    :raises BundleError: the manifest is damaged or missing
    """
    return _read(Path(directory))[0].contract


def write_manifest(directory: Path, bundle: Bundle) -> None:
    """Write the manifest of a bundle whose other files are in place, and its digest."""
    files = sorted(path.name for path in directory.iterdir()
                   if path.is_file() and path.name not in (MANIFEST, MANIFEST_DIGEST))
    manifest = {
        'schema': SCHEMA,
        'contract': bundle.contract.to_dict(),
        'networks': bundle.networks,
        'planner': {'settings': bundle.settings.to_dict(), 'ranges': bundle.settings.ranges()},
        'provenance': bundle.provenance,
        'measured': bundle.measured,
        'calibration': bundle.calibration,
        'graphs': {name: {'file': graph.file, 'inputs': graph.inputs, 'outputs': graph.outputs,
                          'flops': graph.flops} for name, graph in bundle.graphs.items()},
        'weights': {name: asdict(weight) for name, weight in bundle.weights.items()},
        'files': {name: _digest((directory / name).read_bytes()) for name in files},
    }
    text = json.dumps(manifest, indent=2, allow_nan=False) + '\n'
    (directory / MANIFEST).write_text(text)
    (directory / MANIFEST_DIGEST).write_text(f'{_digest(text.encode())}  {MANIFEST}\n')


def amend(directory: str | Path, *, measured: dict[str, Any] | None = None,
          calibration: dict[str, Any] | None = None,
          card: Callable[[Bundle], str] | None = None) -> None:
    """
    Put measurements into a verified bundle; what is not given stays.

    :param card: writes the model card anew
    :raises BundleError: the bundle is damaged
    """
    bundle = load(directory)
    bundle = replace(bundle, measured=measured or bundle.measured,
                     calibration=calibration or bundle.calibration)
    if card is not None:
        (bundle.directory / MODEL_CARD).write_text(card(bundle))
    write_manifest(bundle.directory, bundle)


def _read(directory: Path) -> tuple[Bundle, dict[str, str]]:
    """Return what the manifest says, and the digests of the files, not yet compared."""
    path = directory / MANIFEST
    if not path.is_file():
        beside = sorted(other.parent.name for other in directory.parent.glob(f'*/{MANIFEST}'))
        raise BundleError(f'there is no model in {directory} (no {MANIFEST}); '
                          + (f'models beside it: {", ".join(beside)}' if beside else
                             "'spowl export CHECKPOINT DIRECTORY' makes one"))
    text = _bytes(path)
    try:
        manifest = json.loads(text)
        schema = manifest['schema']
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f'{path}: not the manifest of a bundle ({error!r})') from error
    if schema != SCHEMA:
        raise BundleError(f'{path}: schema {schema!r}, this release reads {SCHEMA}; export the '
                          'checkpoint again, or install the release that wrote it')
    digest = f'{_digest(text)}  {MANIFEST}\n'
    if _bytes(directory / MANIFEST_DIGEST) != digest.encode():
        raise BundleError(f'{path}: SHA-256 is {digest[:12]}…, {MANIFEST_DIGEST} says otherwise; '
                          'one of the two is damaged or was edited')
    missing = [key for key in _SECTIONS if key not in manifest]
    if missing:
        raise BundleError(f"{path}: section '{missing[0]}' is missing")
    try:
        graphs = {name: Graph(**graph) for name, graph in manifest['graphs'].items()}
        weights = {name: Weight(**weight) for name, weight in manifest['weights'].items()}
        settings = PlannerSettings.from_dict(manifest['planner']['settings'])
        contract = Contract.from_dict(manifest['contract'])
        files = dict(manifest['files'])
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise BundleError(f'{path}: malformed ({error!r})') from error
    if tuple(graphs) != STAGES:
        raise BundleError(f'{path}: graphs are {list(graphs)}, wanted {list(STAGES)}')
    for name in (*(graph.file for graph in graphs.values()), WEIGHTS, GOLDEN, MODEL_CARD):
        if name not in files or Path(name).name != name:
            raise BundleError(f"{path}: no SHA-256 for the file '{name}'")
    return Bundle(directory, contract, manifest['networks'], settings, graphs, weights,
                  manifest['provenance'], manifest['measured'], manifest['calibration'],
                  _digest(text)), files


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f'{path}: {error.strerror or error}; the bundle is incomplete, export '
                          'or copy it again') from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    import onnxruntime  # here, because whoever only reads a manifest does without its second

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # waiting threads sleep: a spinning one would take its core from the rest of the robot
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime raises many kinds, none of them public
        reason = str(error).splitlines()[0]
        raise BundleError(f'{path}: ONNX Runtime cannot open it: {reason}') from error


def _check_shapes(path: Path, what: str, actual: Any, declared: Shapes) -> None:
    shapes = {value.name: list(value.shape) for value in actual}
    differing = [f'{name} {shapes.get(name)} (manifest: {declared.get(name)})'
                 for name in sorted(shapes.keys() | declared.keys())
                 if shapes.get(name) != declared.get(name)]
    if differing:
        raise BundleError(f'{path}: {what} differ from the manifest: ' + ', '.join(differing))


def _check_golden(directory: Path, bundle: Bundle, threads: int) -> None:
    path = directory / GOLDEN
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise BundleError(f'{path}: cannot be read: {error}') from error
    for stage, graph in bundle.graphs.items():
        get = functools.partial(_golden_value, path, golden, stage)
        inputs = {name: get(name, shape) for name, shape in graph.inputs.items()}
        outputs = {name: get(name, shape) for name, shape in graph.outputs.items()}
        cases = {len(values) for values in (*inputs.values(), *outputs.values())}
        if len(cases) != 1 or cases == {0}:
            raise BundleError(f'{path}: {stage} has {sorted(cases)} cases, wanted the same '
                              'number of each input and output, at least one')
        session = bundle.sessions(threads)[stage]
        for case in range(cases.pop()):
            actual = session.run(list(outputs), {n: v[case] for n, v in inputs.items()})
            for (name, expected), value in zip(outputs.items(), actual):
                if value.dtype != expected.dtype:
                    raise BundleError(f'{directory / graph.file}: {name} is {value.dtype}, '
                                      f'{path} has {expected.dtype}')
                if not np.allclose(value, expected[case], rtol=GOLDEN_TOLERANCE,
                                   atol=GOLDEN_TOLERANCE):
                    off = np.abs(np.asarray(value, float) - expected[case]).max()
                    raise BundleError(f'{directory / graph.file}: golden vector {case} of {path}: '
                                      f'{name} differs by {off:.3g}, allowed '
                                      f'{GOLDEN_TOLERANCE:g}')


def _golden_value(path: Path, golden: dict[str, np.ndarray], stage: str, name: str,
                  shape: list[int]) -> np.ndarray:
    values = golden.get(f'{stage}.{name}')
    if values is None or list(values.shape[1:]) != shape:
        had = None if values is None else list(values.shape[1:])
        raise BundleError(f'{path}: {stage}.{name} has shape {had}, wanted {shape} for each case')
    return values
