# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Export: the planner of trained networks as a bundle of ONNX graphs, one per stage.

The export traces the methods of `training.planner.PlannerModule`; it does not repeat their
mathematics. Tensors have names: a stage takes outputs of earlier stages by name. An output for the
next improvement is called `next_...`.
"""

from __future__ import annotations

from collections.abc import Callable
import copy
from dataclasses import asdict, replace
import importlib.metadata
from pathlib import Path
from typing import Any, TypeVar
import warnings

import numpy as np
import onnx
from onnx import external_data_helper, numpy_helper
import onnxruntime
import torch
from torch import Tensor, nn

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import changed, declared
from spowl_ros.control import bundle as bundles
from spowl_ros.control import golden as golden_vectors
from spowl_ros.control import graph_io as io
from spowl_ros.control.bundle import Bundle, Graph, Weight
from spowl_ros.control.contract import Contract
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.control.window import Wide
from spowl_ros.sim import environment
from spowl_ros.training import checkpoint
from spowl_ros.training.inference import exportable as faster
from spowl_ros.training.networks import ENSEMBLES, NetworkConfig, Networks
from spowl_ros.training.onnx_graphs import flops, plausible, shapes, write_bundle
from spowl_ros.training.planner import (
    Encoding,
    Memory,
    Noise,
    PlannerModule,
    Pool,
    Proposal,
    Search,
)

OPSET = 20
GOLDEN_CASES = 4
GOLDEN_MARGIN = 1e-5
HAIR = 1e-6
_EXTERNAL_BYTES = 1024
_ALIGNMENT = 4096  # memory mapping needs it

Named = dict[str, Tensor]
Part = TypeVar('Part')


class StageGraph(nn.Module):
    """One stage with named tensors in and out."""

    def __init__(self, planner: PlannerModule, name: str) -> None:
        super().__init__()
        self.planner = planner
        self.run = {io.ENCODE: self._encode, io.PROPOSE: self._propose,
                    io.IMPROVE: self._improve, io.SELECT: self._select}[name]
        self.inputs: list[str] = []

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the stage on tensors in the order of `inputs`."""
        return tuple(self.run(dict(zip(self.inputs, tensors))).values())

    def _encode(self, x: Named) -> Named:
        seen = x[io.OBSERVATION]
        if io.WINDOW in x:
            seen = torch.cat([seen, x[io.WINDOW].flatten(1)], dim=1)
        return self.planner.encode(seen, _knobs(x))._asdict()

    def _propose(self, x: Named) -> Named:
        memory = Memory(x[io.MEMORY_MEAN], x[io.MEMORY_ELITES], x[io.WARM])
        return _flat(self.planner.propose(
            _part(Encoding, x), x[io.POLICY_NOISE], memory, _knobs(x), x[io.PROPOSAL_TERMINAL],
            x.get(io.PROPOSAL_HEADS)))

    def _improve(self, x: Named) -> Named:
        start = _part(Proposal, x)
        named = _flat(self.planner.improve(
            x[io.LATENT], start, start.mean, start.std, start.pool, x[io.SAMPLE_NOISE], _knobs(x),
            x[io.SAMPLE_TERMINAL], x.get(io.SAMPLE_HEADS)))
        return {name if name in (io.ELITES, io.WEIGHTS, io.COUNTED) else io.NEXT + name: value
                for name, value in named.items()}

    def _select(self, x: Named) -> Named:
        return self.planner.select(_part(Encoding, x), x['fill'], _part(Search, x), x[io.UNIFORM],
                                   _knobs(x))._asdict()


def _flat(values: Proposal | Search) -> Named:
    named = values._asdict()
    pool = named.pop('pool')
    return {**named, **{io.POOL + name: value for name, value in pool._asdict().items()}}


def _part(kind: Callable[..., Part], x: Named) -> Part:
    """Return one of the planner's tuples; its fields have the names of the tensors."""
    return kind(*(Pool(*(x[io.POOL + inner] for inner in Pool._fields)) if name == 'pool'
                  else x[name] for name in kind._fields))  # type: ignore[attr-defined]


def _knobs(x: Named) -> Named:
    return {name.removeprefix(io.KNOB): value for name, value in x.items()
            if name.startswith(io.KNOB)}


@torch.no_grad()
def trace(planner: PlannerModule, observation: Tensor, noise: Noise,
          memory: Memory) -> dict[str, list[tuple[Named, Named]]]:
    """
    Return inputs and outputs of every call of every stage in one decision.

    This is `PlannerModule.plan`, stage by stage, as it runs on a robot.

    :param observation: (1, O + K (O + A)), with its window
    """
    config = planner.networks.config
    size = config.obs_dim
    calls: dict[str, list[tuple[Named, Named]]] = {name: [] for name in io.STAGES}
    known: Named = {io.OBSERVATION: observation[:, :size], io.POLICY_NOISE: noise.policy,
                    io.MEMORY_MEAN: memory.mean, io.MEMORY_ELITES: memory.elites,
                    io.WARM: memory.warm, io.UNIFORM: noise.choice,
                    **{io.KNOB + name: value for name, value in planner.knobs().items()}}

    if config.window:
        known[io.WINDOW] = observation[:, size:].view(1, config.window, -1)

    def call(stage: str, more: Named) -> None:
        given = {**known, **more}
        out = StageGraph(planner, stage).run(given)
        calls[stage].append((given, out))
        known.update({name.removeprefix(io.NEXT): value for name, value in out.items()})

    def rows(terminal: str, drawn: str, i: int, count: int) -> Named:
        named = {terminal: noise.terminal[i][:, :count]}
        return {**named, drawn: noise.heads[i][:, :count]} if planner.draws_heads else named

    s = planner.settings
    call(io.ENCODE, {})
    call(io.PROPOSE, rows(io.PROPOSAL_TERMINAL, io.PROPOSAL_HEADS, 0, s.proposals))
    for i in range(s.iterations):
        call(io.IMPROVE, {io.SAMPLE_NOISE: noise.samples[i],
                          **rows(io.SAMPLE_TERMINAL, io.SAMPLE_HEADS, 1 + i, s.samples)})
    call(io.SELECT, {})
    return calls


def export(networks: Networks, contract: Contract, settings: PlannerSettings,
           directory: str | Path, *, provenance: dict[str, Any] | None = None,
           cases: int = GOLDEN_CASES, exportable: bool = True) -> Bundle:
    """
    Write a bundle and load it again, which verifies it.

    :param directory: replaced if it is already a bundle; must not exist otherwise
    :param cases: number of golden vectors
    :param exportable: use `inference.exportable`; False measures what it gains
    :raises SpowlError: networks that do not fit the contract, or a directory that is no bundle
    """
    directory = Path(directory)
    config = networks.config
    for what, ours, theirs in (('observation values', config.obs_dim, contract.size),
                               ('actions', config.action_dim, contract.action.size)):
        if ours != theirs:
            raise SpowlError(f'the networks have {ours} {what}, the contract of {contract.task} '
                             f'has {theirs}')
    if not settings.iterations:
        raise SpowlError("planner setting 'iterations' is 0, a bundle needs at least 1; with kind "
                         'policy the robot does not plan until a parameter says otherwise')
    # the graphs can plan even where the bundle's own setting is not to
    search = replace(settings, kind='adaptive') if settings.kind == 'policy' else settings

    def make(building: Path) -> Bundle:
        planner = PlannerModule(faster(networks) if exportable else networks,
                                search).cpu().eval()
        observations = _observations(config, contract, 8 * cases)
        graphs, weights = _write_graphs(planner, observations[0], building)
        _write_golden(networks, search, observations, cases, graphs, building)
        versions = {'spowl_ros': importlib.metadata.version('spowl_ros'),
                    'torch': torch.__version__, 'onnx': onnx.__version__,
                    'onnxruntime': onnxruntime.__version__}
        origin = {'task': contract.task, 'versions': versions, **(provenance or {})}
        return Bundle(building, contract, asdict(config), settings, graphs, weights, origin)

    return write_bundle(directory, make)


def export_checkpoint(path: Path, directory: str | Path, changes: dict[str, Any]) -> Bundle:
    """
    Write the bundle of a training checkpoint.

    :param changes: planner settings that differ from the configuration's
    :raises SpowlError: as `export`, or the file is no checkpoint
    """
    content = checkpoint.load(path)
    networks, config = checkpoint.load_networks(path)
    settings = changed(config.planner, changes)
    provenance = {'checkpoint': path.name, 'seed': config.seed, **content['counters'],
                  **content.get('origin', {}), 'configuration': config.to_dict()}
    return export(networks, environment.contract(config.task, config.collect.action_repeat),
                  settings, directory, provenance=provenance)


def export_bundle(source: Path, directory: str | Path, changes: dict[str, Any]) -> Bundle:
    """
    Write a bundle with the networks of another one.

    Settings that may change at run time need no new graphs: all files but manifest and card stay
    as they are. A change of the search's sizes needs them, and leaves figures and calibration
    out, because they belong to the former search. A signature is never taken over.

    :param changes: planner settings that differ from the other bundle's
    :raises SpowlError: as `export`, or there is no bundle, or it holds no planner
    """
    bundle = bundles.load(source)
    settings = changed(bundle.settings, changes)
    differing = {name for name, value in asdict(settings).items()
                 if value != getattr(bundle.settings, name)}
    if differing & {entry.name for entry in declared(settings) if entry.read_only}:
        provenance = {name: value for name, value in bundle.provenance.items()
                      if name != 'versions'}
        return export(checkpoint.bundle_networks(bundle), bundle.contract, settings, directory,
                      provenance={**provenance, 'networks_of': bundle.digest})

    def make(building: Path) -> Bundle:
        for name in bundles.listed(bundle.graphs) - {bundles.MODEL_CARD}:
            (building / name).write_bytes(bundle.content[name])
        # the figures name their planner, but not its iterations and thresholds
        measured = bundle.measured if differing <= {'kind'} else None
        return replace(bundle, directory=building, settings=bundle.accept(settings),
                       measured=measured)

    return write_bundle(Path(directory), make)


def _observations(config: NetworkConfig, contract: Contract, count: int) -> list[Tensor]:
    """Return random plausible observations (1, O) with their windows, after random actions."""
    drawn, chosen = torch.Generator().manual_seed(0), np.random.default_rng(0)
    low, high = (torch.from_numpy(end).float() for end in plausible(contract))
    wide = Wide(config.window, contract.size, contract.action.rest.astype(np.float32))
    seen = []
    for i in range(count):
        values = (low + (high - low) * torch.rand(contract.size, generator=drawn)).numpy()
        action = chosen.uniform(-1, 1, contract.action.size).astype(np.float32)
        widened = wide.after(action, values) if i else wide.begin(values)
        seen.append(torch.from_numpy(widened).view(1, -1))
    return seen


def _write_graphs(planner: PlannerModule, observation: Tensor, directory: Path
                  ) -> tuple[dict[str, Graph], dict[str, Weight]]:
    """Write the graphs of all stages and their common weights."""
    noise = planner.draw(1, torch.Generator().manual_seed(0))
    calls = trace(planner, observation, noise, planner.memory(1))
    models, graphs = {}, {}
    for name in io.STAGES:
        given, out = calls[name][-1]
        stage = StageGraph(planner, name)
        stage.inputs = list(given)
        path = directory / bundles.GRAPHS[name]
        with warnings.catch_warnings():  # the tracer warns about constants, which are intended
            warnings.simplefilter('ignore')
            torch.onnx.export(stage, tuple(given.values()), str(path), dynamo=False,
                              opset_version=OPSET, input_names=list(given),
                              output_names=list(out))
        model = onnx.load(path)
        _remove_unused_inputs(model)
        models[path] = onnx.shape_inference.infer_shapes(model, data_prop=True)
        graphs[name] = Graph(path.name, shapes(model.graph.input), shapes(model.graph.output),
                             flops(models[path]))
    return graphs, _share_weights(models, planner.networks.networks, directory / bundles.WEIGHTS)


def _remove_unused_inputs(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    for value in [value for value in model.graph.input if value.name not in used]:
        model.graph.input.remove(value)


def _share_weights(models: dict[Path, onnx.ModelProto], networks: Networks,
                   path: Path) -> dict[str, Weight]:
    """
    Write all parameters, then other large constants, into one file; store equal values once.

    :return: the place of each parameter
    """
    offsets: dict[bytes, int] = {}
    weights: dict[str, Weight] = {}
    with path.open('wb') as stream:
        def place(data: bytes) -> int:
            if data not in offsets:
                stream.write(b'\0' * (-stream.tell() % _ALIGNMENT))
                offsets[data] = stream.tell()
                stream.write(data)
            return offsets[data]

        for name, value in networks.state_dict().items():
            if not name.startswith('target_'):
                members = value if name.startswith(ENSEMBLES) else value.unsqueeze(0)
                weights[name] = Weight(list(value.shape),
                                       [place(m.numpy().tobytes()) for m in members])
        for file, model in models.items():
            for tensor in model.graph.initializer:
                data = numpy_helper.to_array(tensor).tobytes()
                if len(data) >= _EXTERNAL_BYTES:
                    external_data_helper.set_external_data(tensor, path.name, place(data),
                                                           len(data))
                    tensor.ClearField('raw_data')
            model.doc_string = ''
            file.write_bytes(model.SerializeToString())
    return weights


def _write_golden(networks: Networks, settings: PlannerSettings, observations: list[Tensor],
                  cases: int, graphs: dict[str, Graph], directory: Path) -> None:
    """
    Write inputs and outputs of every stage for a few consecutive decisions.

    Decisions at a threshold, or with candidates so similar that a rounding error swaps their
    ranks, do not test a graph. So the vectors use only decisions on which single and double
    precision agree, and which a tiny change of the observation does not change.
    """
    planner = PlannerModule(faster(networks), settings).eval()
    exact = PlannerModule(faster(copy.deepcopy(networks)), settings).double().eval()
    generator = torch.Generator().manual_seed(1)
    memory = planner.memory(1)
    golden: dict[str, list[np.ndarray]] = {}
    taken = 0
    for observation in observations:
        noise = planner.draw(1, generator)
        calls = trace(planner, observation, noise, memory)
        check = trace(exact, observation.double(), Noise(*(t.double() for t in noise)),
                      Memory(*(t.double() for t in memory)))
        out = calls[io.SELECT][0][1]
        carried = calls[io.IMPROVE][-1][1][io.ELITES][:, :, :settings.carried]
        before, memory = memory, Memory(out[io.CARRIED_MEAN], carried, torch.ones(1))
        hair = (trace(planner, observation + shift, noise, before)
                for shift in (HAIR, -HAIR, 3 * HAIR, -3 * HAIR))
        if not (_agree(calls, check, GOLDEN_MARGIN)
                and all(_agree(calls, other, 0.5 * golden_vectors.TOLERANCE) for other in hair)):
            continue
        for stage, graph in graphs.items():
            given, result = calls[stage][-1]
            for name in (*graph.inputs, *graph.outputs):
                value = (given if name in graph.inputs else result)[name]
                golden.setdefault(f'{stage}.{name}', []).append(value.numpy())
        taken += 1
        if taken == cases:
            break
    if not taken:
        raise SpowlError('no decision is the same in single and double precision; the networks '
                         'are degenerate (untrained output layers of zeros?)')
    np.savez_compressed(directory / bundles.GOLDEN,
                        **{name: np.stack(values)  # type: ignore[arg-type]
                           for name, values in golden.items()})


def _agree(ours: dict[str, list[tuple[Named, Named]]],
           others: dict[str, list[tuple[Named, Named]]], margin: float) -> bool:
    return all(torch.allclose(value.double(), other[1][name].double(), rtol=margin, atol=margin)
               for stage in ours for one, other in zip(ours[stage], others[stage])
               for name, value in one[1].items())
