# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The bundle: a directory that holds everything a robot needs of a trained planner.

`manifest.json` describes the bundle and holds the SHA-256 of every other file; `manifest.sha256`
holds its own; the optional `model.sig` says who made the bundle. The graphs are ONNX files that
share one file of weights. `golden.npz` holds inputs and outputs of every graph; loading must
reproduce them. A bundle of `spowl wrap` holds one graph instead: a policy trained by another
library.

Every file is read once, up to a size limit, and the same bytes are hashed, checked and used: a
later change on the disk does not change a loaded bundle. Nothing in it is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
from dataclasses import asdict, dataclass, field, replace
import hashlib
import json
import math
import os
from pathlib import Path
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import read_bounded, sync_directory, write_whole
from spowl_ros.control import golden, graph_check, graph_io, signature
from spowl_ros.control.contract import Contract
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.control.providers import CPU, open_session
from spowl_ros.control.signature import SIGNATURE, Signer

if TYPE_CHECKING:
    import onnxruntime

SCHEMA = 3
WINDOW_SCHEMA = 4
"""
Schema of a bundle whose encoder reads a window.

A release that does not know windows must refuse it, for it would leave the window empty.
"""
READABLE = (2, SCHEMA, WINDOW_SCHEMA)
"""Schemas that this release reads; schema 2 packs all knobs into one tensor, with other names."""
MANIFEST = 'manifest.json'
MANIFEST_DIGEST = 'manifest.sha256'
GOLDEN = 'golden.npz'
MODEL_CARD = 'MODEL_CARD.md'
WEIGHTS = 'weights.bin'
GRAPHS = {stage: f'{stage}.onnx' for stage in graph_io.STAGES}
LIMITS = {MANIFEST: 8 << 20, MANIFEST_DIGEST: 1 << 10, SIGNATURE: 1 << 20, MODEL_CARD: 1 << 20,
          GOLDEN: 64 << 20, WEIGHTS: 512 << 20, **dict.fromkeys(GRAPHS.values(), 16 << 20)}
"""The files of a bundle, each with its largest size in bytes."""
LISTED = frozenset(LIMITS) - {MANIFEST, MANIFEST_DIGEST, SIGNATURE}
"""The files whose hashes the manifest holds."""
POLICY = f'{graph_io.POLICY}.onnx'
POLICY_LIMITS = {name: LIMITS[name] for name in LIMITS
                 if name != WEIGHTS and name not in GRAPHS.values()} | {POLICY: 64 << 20}
"""The files of a bundle of `spowl wrap`, whose one graph includes its weights."""
LARGEST_TENSOR = 1 << 24
"""Most elements of an input or output of a graph."""
_NEVER_READ = frozenset(('.git', '.gitattributes', '.gitignore', '.cache'))
"""Files that git and model download tools leave in a directory."""
_UNFINISHED = re.compile(r'\..+\.part')
"""Files that an interrupted write leaves there."""

Shapes = dict[str, list[int]]


class BundleError(SpowlError):
    """The bundle is damaged, has another version, or does not match its manifest."""


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
    """One network parameter in the file of weights; a training may start from it."""

    shape: list[int]
    offsets: list[int]
    """Its offset in bytes (float32); for an ensemble, each member's offset."""


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
    """Its origin: task, steps, seed, versions, commit, configuration."""
    measured: dict[str, Any] | None = None
    """Return and cost with intervals, once measured."""
    calibration: dict[str, Any] | None = None
    """Tables of the runtime monitors, once calibrated."""
    digest: str = ''
    """SHA-256 of its manifest, which in turn holds those of all other files."""
    schema: int = SCHEMA
    content: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    """The bytes of its files, as hashed."""
    provider: str = CPU
    """Where its graphs run, a key of `providers.PROVIDERS`."""
    fallback: str = ''
    """Why they run on the CPU although another provider was wanted."""
    _sessions: dict[int, dict[str, onnxruntime.InferenceSession]] = field(
        default_factory=dict, repr=False, compare=False)

    @property
    def networks_digest(self) -> str:
        """SHA-256 of graphs and weights, which a calibration or a card does not change."""
        return _digest(b''.join(self.content[name] for name in sorted(self.content)
                                if name == WEIGHTS or name.endswith('.onnx')))

    @property
    def names(self) -> dict[str, str]:
        """Return tensor names in the graphs to the present names, where they differ."""
        return graph_io.SCHEMA_2_NAMES if self.schema == 2 else {}

    @property
    def plans(self) -> bool:
        """Whether it holds a planner rather than a policy trained by another library."""
        return graph_io.POLICY not in self.graphs

    @property
    def window(self) -> int:
        """Return the rows of the window that its encoder reads; see `control.window`."""
        shape = next(iter(self.graphs.values())).inputs.get(graph_io.WINDOW)
        return shape[1] if shape else 0

    @property
    def knobs(self) -> frozenset[str]:
        """Return the names of the knobs that its graphs accept."""
        inputs = {name for graph in self.graphs.values() for name in graph.inputs}
        if graph_io.PACKED_KNOBS in inputs:
            return frozenset(graph_io.PACKED_ORDER)
        return frozenset(name.removeprefix(graph_io.KNOB) for name in inputs
                         if name.startswith(graph_io.KNOB))

    def accept(self, settings: PlannerSettings) -> PlannerSettings:
        """
        Return planner settings that this bundle can plan with.

        :raises SpowlError: a setting fixed in the bundle differs, or the graphs do not accept a
            setting because they were exported before it existed
        """
        settings = self.settings.at_run_time(settings.to_dict())
        if not self.plans and settings.kind != 'policy':
            raise SpowlError(f"planner setting 'kind' is {settings.kind!r}, but {self.directory} "
                             "holds a policy and no planner; leave it at 'policy'")
        for name in settings.knobs().keys() - self.knobs:
            value, own = (getattr(s, name, None) for s in (settings, self.settings))
            if value != own:
                raise SpowlError(f"planner setting '{name}' is {value!r}, but the graphs of "
                                 f'{self.directory} do not take it; leave it at {own!r}, or '
                                 'export the checkpoint again')
        return settings

    def check_observation(self, observation: np.ndarray) -> None:
        """
        Check that an array is an observation (O,) of the contract's size.

        :raises SpowlError: it has another shape
        """
        if np.shape(observation) != (self.contract.size,):
            raise SpowlError(f'the observation has shape {np.shape(observation)}, the bundle of '
                             f'{self.contract.task} wants ({self.contract.size},)')

    def sessions(self, threads: int = 1) -> dict[str, onnxruntime.InferenceSession]:
        """Return an inference session of every stage; opens it once for each thread count."""
        if threads not in self._sessions:
            weights = (WEIGHTS, self.content[WEIGHTS]) if WEIGHTS in self.content else None
            self._sessions[threads] = {
                name: open_session(str(self.directory / graph.file), self.content[graph.file],
                                   weights, threads, self.provider)
                for name, graph in self.graphs.items()}
        return self._sessions[threads]


def load(directory: str | Path, *, threads: int = 1, signer: Signer | None = None,
         provider: str = CPU) -> Bundle:
    """
    Read a bundle and verify hashes, schema, operators, shapes and golden vectors.

    :param threads: threads of its inference sessions
    :param signer: required signer; checked before anything is parsed
    :param provider: where its graphs run; where it is not to be had, or does not reproduce the
        golden vectors, they run on the CPU and `Bundle.fallback` says why
    :raises BundleError: names the file and what differs
    """
    directory = Path(directory)
    content = read_files(directory, signer)
    bundle, files = _parse(directory, content)
    for name, digest in files.items():
        actual = _digest(content[name])
        if actual != digest:
            raise BundleError(f'{directory / name}: SHA-256 is {actual[:12]}…, the manifest says '
                              f'{str(digest)[:12]}…; the file is damaged or was replaced')
    _check_weights(bundle)
    try:
        for graph in bundle.graphs.values():
            graph_check.check_graph(str(directory / graph.file), content[graph.file], WEIGHTS,
                                    len(content.get(WEIGHTS, b'')))
        if provider != CPU:
            try:
                return _check_running(replace(bundle, provider=provider), threads)
            except SpowlError as error:
                bundle = replace(bundle, fallback=f'the graphs run on the CPU: {error}',
                                 _sessions={})
        return _check_running(bundle, threads)
    except BundleError:
        raise
    except SpowlError as error:
        raise BundleError(str(error)) from error


def read_contract(directory: str | Path, signer: Signer | None = None) -> Contract:
    """
    Read a bundle's contract without opening its graphs, and so without ONNX Runtime.

    :param signer: required signer; checked before anything is parsed
    :raises BundleError: the manifest is damaged or missing
    """
    directory = Path(directory)
    content = (read_files(directory, signer) if signer else
               _read(directory, (MANIFEST, MANIFEST_DIGEST)))
    return _parse(directory, content)[0].contract


def read_files(directory: Path, signer: Signer | None = None) -> dict[str, bytes]:
    """
    Return the bytes of every file of a bundle; read each once, up to its size limit.

    :param signer: required signer
    :raises SpowlError: an extra or missing file, one that is not a regular file or too large, a
        signature that is missing or by somebody else
    """
    _refuse_absent(directory)
    try:
        names = {name for name in os.listdir(directory)
                 if name not in _NEVER_READ and not _UNFINISHED.fullmatch(name)}
    except OSError as error:
        raise BundleError(f'{directory}: {error.strerror or error}') from error
    limits = POLICY_LIMITS if POLICY in names else LIMITS
    for name in sorted(names - set(limits)):
        raise BundleError(f'{directory}: {name!r} is no file of a bundle; take it out')
    content = _read(directory, [name for name in limits if name in names or name != SIGNATURE])
    if signer is not None:
        signature.verify(directory, content, signer)
    return content


def write_manifest(directory: Path, bundle: Bundle, content: Mapping[str, bytes]) -> None:
    """Write the manifest and its digest; the bundle's other files must be in place."""
    manifest = {
        'schema': WINDOW_SCHEMA if bundle.window else bundle.schema,
        'contract': bundle.contract.to_dict(),
        'networks': bundle.networks,
        'planner': {'settings': bundle.settings.to_dict(), 'ranges': bundle.settings.ranges(),
                    'knobs': bundle.settings.knobs()},
        'provenance': bundle.provenance,
        'measured': bundle.measured,
        'calibration': bundle.calibration,
        'graphs': {name: asdict(graph) for name, graph in bundle.graphs.items()},
        'weights': {name: asdict(weight) for name, weight in bundle.weights.items()},
        'files': {name: _digest(content[name]) for name in sorted(listed(bundle.graphs))},
    }
    text = (json.dumps(manifest, indent=2, allow_nan=False) + '\n').encode()
    write_whole(directory / MANIFEST, text)
    write_whole(directory / MANIFEST_DIGEST, f'{_digest(text)}  {MANIFEST}\n'.encode())


def listed(graphs: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the files whose hashes a bundle's manifest holds."""
    if graph_io.POLICY not in graphs:
        return LISTED
    return frozenset(POLICY_LIMITS) - {MANIFEST, MANIFEST_DIGEST, SIGNATURE}


def amend(directory: str | Path, *, measured: dict[str, Any] | None = None,
          calibration: dict[str, Any] | None = None,
          card: Callable[[Bundle], str] | None = None, digest: str | None = None) -> None:
    """
    Write measurements into a verified bundle; arguments left out change nothing.

    The bundle is exchanged whole, by one that was written beside it and verified.

    :param card: returns the text of the new model card
    :param digest: of the bundle that was measured; None: whichever is there
    :raises BundleError: the bundle is damaged, signed, another one than was measured, or made of
        links to files elsewhere
    """
    bundle = load(directory)
    directory = Path(directory).resolve()
    if digest is not None and bundle.digest != digest:
        raise BundleError(f'{directory}: it was exchanged meanwhile; measure again')
    refuse_links(directory, bundle.content)
    if SIGNATURE in bundle.content:
        raise BundleError(f'{directory}: it is signed, and a change would break the signature; '
                          f'take {SIGNATURE} out, and sign it again afterwards')
    bundle = replace(bundle, measured=measured or bundle.measured,
                     calibration=calibration or bundle.calibration)
    content = dict(bundle.content)
    if card is not None:
        content[MODEL_CARD] = card(bundle).encode()
    with built_beside(directory) as building:
        shutil.copytree(directory, building, symlinks=True)
        write_whole(building / MODEL_CARD, content[MODEL_CARD])
        write_manifest(building, bundle, content)


def refuse_links(directory: Path, names: Iterable[str]) -> None:
    """
    Check that a bundle's files are its own, so that it can be changed.

    :raises BundleError: one is a link
    """
    for name in sorted(names):
        if (directory / name).is_symlink():
            raise BundleError(f'{directory / name}: a link; change the bundle that it leads to')


def refuse_other_content(directory: Path) -> None:
    """
    Check that a directory holds nothing but a bundle, whole or damaged, so that it may go.

    :raises BundleError: there is something else
    """
    own = directory.is_dir() and not directory.is_symlink()
    foreign = [name for name in (os.listdir(directory) if own else ()) if not (
        name in LIMITS or name in POLICY_LIMITS or name in _NEVER_READ
        or _UNFINISHED.fullmatch(name))]
    if foreign or not own or not (directory / MANIFEST_DIGEST).is_file():
        raise BundleError(f'{directory} exists and is no bundle'
                          + (f' (it holds {min(foreign)!r})' if foreign else '')
                          + '; choose another directory')


@contextlib.contextmanager
def built_beside(directory: Path) -> Iterator[Path]:
    """
    Give the path at which to build a bundle; afterwards verify it and put it into its place.

    :param directory: its place; what is there now stays until the new one is verified, and what
        git and download tools left there stays for good
    :raises BundleError: the new bundle is incomplete
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix='.bundle-') as folder:
        building = Path(folder) / 'new'
        yield building
        load(building)
        old = Path(folder) / 'old'
        if directory.exists():
            directory.rename(old)
        try:
            building.rename(directory)
        except OSError:
            if old.exists():
                old.rename(directory)
            raise
        for name in _NEVER_READ:
            if (old / name).exists() and not (directory / name).exists():
                (old / name).rename(directory / name)
        sync_directory(directory.parent)


def _refuse_absent(directory: Path) -> None:
    """
    Refuse a directory without a bundle.

    :raises BundleError: no manifest; names the bundles beside the directory
    """
    if not os.path.lexists(directory / MANIFEST):
        beside = sorted(other.parent.name for other in directory.parent.glob(f'*/{MANIFEST}'))
        raise BundleError(f'there is no model in {directory} (no {MANIFEST}); '
                          + (f'models beside it: {", ".join(beside)}' if beside else
                             "'spowl export CHECKPOINT DIRECTORY' makes one"))


def _read(directory: Path, names: Any) -> dict[str, bytes]:
    """
    Return the bytes of files that all lie in one directory, or all link into one other.

    Model caches and installations by symbolic links have all their links lead to one directory.
    """
    _refuse_absent(directory)
    content: dict[str, bytes] = {}
    homes: dict[Path, str] = {}
    for name in names:
        real = Path(os.path.realpath(directory / name))
        homes.setdefault(real.parent, name)
        if len(homes) > 1:
            one, other = homes.values()
            raise BundleError(f'{directory / other}: it lies in {real.parent}, {one} lies '
                              'elsewhere; put the file itself there')
        try:
            content[name] = read_bounded(real, {**LIMITS, **POLICY_LIMITS}[name])
        except SpowlError as error:
            message = str(error).replace(str(real), str(directory / name))
            raise BundleError(f'{message}; the bundle is damaged or incomplete, export or copy it '
                              'again') from error
    return content


def _parse(directory: Path, content: Mapping[str, bytes]) -> tuple[Bundle, dict[str, str]]:
    """Return the bundle of the manifest, and the files' digests, which are not yet compared."""
    path, text = directory / MANIFEST, content[MANIFEST]
    try:
        manifest = json.loads(text, parse_constant=_refuse_constant)
        schema = manifest['schema']
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f'{path}: not the manifest of a bundle ({error!r:.300})') from error
    if type(schema) is not int or schema not in READABLE:
        raise BundleError(f'{path}: schema {str(schema)[:40]}, this release reads '
                          f'{" and ".join(map(str, READABLE))}; export the checkpoint again, or '
                          'install the release that wrote it')
    digest = f'{_digest(text)}  {MANIFEST}\n'
    if content[MANIFEST_DIGEST] != digest.encode():
        raise BundleError(f'{path}: SHA-256 is {digest[:12]}…, {MANIFEST_DIGEST} says otherwise; '
                          'one of the two is damaged or was edited')
    try:
        graphs = {name: Graph(**graph) for name, graph in manifest['graphs'].items()}
        weights = {name: Weight(**weight) for name, weight in manifest['weights'].items()}
        settings = PlannerSettings.from_dict(manifest['planner']['settings'])
        contract = Contract.from_dict(manifest['contract'])
        files = dict(manifest['files'])
        bundle = Bundle(directory, contract, manifest['networks'], settings, graphs, weights,
                        manifest['provenance'], manifest['measured'], manifest['calibration'],
                        _digest(text), schema, content)
        if tuple(graphs) not in graph_io.KINDS:
            raise BundleError(f'{path}: graphs are {list(graphs)}, wanted {list(GRAPHS)} or '
                              f'{[graph_io.POLICY]}')
        for name, graph in graphs.items():
            if graph.file != f'{name}.onnx':
                raise BundleError(f'{path}: the file of {name} is {str(graph.file)[:80]!r}, '
                                  f"wanted '{name}.onnx'")
            for shape in (*graph.inputs.values(), *graph.outputs.values()):
                if not _plausible(shape):
                    raise BundleError(f'{path}: {name} has a tensor of shape {str(shape)[:80]}')
    except BundleError:
        raise
    except SpowlError as error:  # of the settings or of the contract
        raise BundleError(f'{path}: {error}') from error
    except KeyError as error:
        raise BundleError(f'{path}: section {error} is missing') from error
    except (TypeError, AttributeError, ValueError, RecursionError) as error:
        raise BundleError(f'{path}: malformed ({error!r:.300})') from error
    wanted = listed(graphs)
    for name in sorted(files.keys() ^ wanted):
        raise BundleError(f"{path}: no SHA-256 for the file '{name}'" if name in wanted else
                          f'{path}: it lists {str(name)[:80]!r}, which is no file of a bundle')
    return bundle, files


def _plausible(shape: Any) -> bool:
    """Whether a tensor of ours can have this shape."""
    return (isinstance(shape, list) and len(shape) <= 8
            and all(type(n) is int and 0 <= n <= LARGEST_TENSOR for n in shape)
            and math.prod(shape) <= LARGEST_TENSOR)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f'{text} is no number')


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check_running(bundle: Bundle, threads: int) -> Bundle:
    """Check the graphs as the bundle's provider runs them; return the bundle."""
    sessions = bundle.sessions(threads)
    stages = {name: (str(bundle.directory / graph.file), graph.inputs, graph.outputs)
              for name, graph in bundle.graphs.items()}
    for name, (path, inputs, outputs) in stages.items():
        _check_shapes(f'{path}: inputs', sessions[name].get_inputs(), inputs)
        _check_shapes(f'{path}: outputs', sessions[name].get_outputs(), outputs)
    _check_contract(bundle)
    where = str(bundle.directory / GOLDEN)
    golden.check(where, golden.read(where, bundle.content[GOLDEN]), stages, sessions)
    return bundle


def _check_shapes(what: str, actual: Any, declared: Shapes) -> None:
    shapes = {value.name: list(value.shape) for value in actual}
    differing = [f'{name} {shapes.get(name)} (manifest: {declared.get(name)})'
                 for name in sorted(shapes.keys() | declared.keys())
                 if shapes.get(name) != declared.get(name)]
    if differing:
        raise BundleError(f'{what} differ from the manifest: {", ".join(differing)}')


def _check_contract(bundle: Bundle) -> None:
    contract, first = bundle.contract, next(iter(bundle.graphs.values()))
    path = bundle.directory / MANIFEST
    for what, ours, shape in (
            ('observation values', contract.size, first.inputs.get(graph_io.OBSERVATION)),
            ('actions', contract.action.size, first.outputs.get(graph_io.POLICY_ACTION))):
        if shape != [1, ours]:
            raise BundleError(f'{path}: the contract has {ours} {what}, the '
                              f'{"encoder" if bundle.plans else "policy"} '
                              f'{shape[-1] if shape else None}')
    row = contract.size + contract.action.size
    if (window := first.inputs.get(graph_io.WINDOW)) is not None and (
            not bundle.plans or bundle.schema != WINDOW_SCHEMA or len(window) != 3
            or window[0] != 1 or not window[1] or window[2] != row):
        raise BundleError(f'{path}: its window is {window}, and its schema {bundle.schema}; a '
                          f'planner of schema {WINDOW_SCHEMA} with rows of {row} is wanted')
    if not bundle.plans and len({**first.inputs, **first.outputs}) != 2:
        raise BundleError(f'{path}: the policy has more than an observation and an action')


def _check_weights(bundle: Bundle) -> None:
    size = len(bundle.content.get(WEIGHTS, b''))
    for name, weight in bundle.weights.items():
        if not _plausible(weight.shape) or not isinstance(weight.offsets, list) or not (
                weight.offsets) or not all(
                type(at) is int and at >= 0
                and at + 4 * math.prod(weight.shape) // len(weight.offsets) <= size
                for at in weight.offsets):
            raise BundleError(f'{bundle.directory / MANIFEST}: the weight {name[:80]!r} does not '
                              f'lie in {WEIGHTS}')
