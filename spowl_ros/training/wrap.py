# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Make a bundle from a policy that another library trained and exported to ONNX.

The new graph takes the contract's observation and gives an action from -1 to 1. The contract's
section `policy` describes what the policy's library did around its network (standardising
observations, scaling actions); this becomes part of the graph. PyTorch is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import (
    TensorProto,
    compose,
    defs,
    helper,
    inliner,
    numpy_helper,
    shape_inference,
    utils,
)

from spowl_ros.base import settings, yaml
from spowl_ros.base.errors import SpowlError, first_line
from spowl_ros.base.files import read_bounded
from spowl_ros.base.settings import setting
from spowl_ros.control import bundle as bundles
from spowl_ros.control import golden as golden_vectors
from spowl_ros.control import graph_check
from spowl_ros.control import graph_io as io
from spowl_ros.control.bundle import Bundle, Graph
from spowl_ros.control.contract import JOINT_SENSORS, Contract
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.robot.fields import SENSORS
from spowl_ros.training.onnx_graphs import flops, plausible, shapes, write_bundle

LEAST_OPSET = 13
CASES = 16
TOLERANCE = 1e-3
"""Tolerance of golden vectors: error of a command as a fraction of half its range."""
_INNER = 'policy/'


@dataclass(frozen=True)
class PolicyForm:
    """What the library applies around the network; one number for each value."""

    input: str = setting('', 'name of the observation in the graph; empty: its only input')
    output: str = setting('', 'name of the action in the graph; empty: its only output')
    mean: tuple[float, ...] = setting((), 'taken from the observation; empty: nothing')
    std: tuple[float, ...] = setting((), 'then it is divided by this; empty: by nothing')
    clip: float = setting(0.0, 'then it is limited to so much either way; 0: not', low=0.0)
    scale: tuple[float, ...] = setting(
        (), "the network's output times this; empty: half of each actuator's range")
    offset: tuple[float, ...] = setting(
        (), "and this added is the command in the actuators' units; empty: the middle")


def wrap(policy: Path, contract_file: Path, directory: Path, vectors: Path | None = None,
         ) -> Bundle:
    """
    Write the bundle of a policy and load it again, which verifies it.

    :param policy: ONNX file; its weights may lie in other files of its directory
    :param contract_file: YAML of a contract, with a section `policy` (`PolicyForm`)
    :param vectors: npz file of `observation` (n, O) and `command` (n, A), made by the library that
        trained it; the bundle must reproduce them
    :raises SpowlError: a misfit, which the message names
    """
    contract, form = _read_contract(contract_file)
    data = read_bounded(policy, bundles.POLICY_LIMITS[bundles.POLICY])
    try:
        model = onnx.load(policy)  # includes its weights, which may be in a file beside it
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's and onnx's exceptions have no common base
        raise SpowlError(f'{policy} is no ONNX model that can be checked: '
                         f'{first_line(error)}') from error
    _check_joints(policy, model, contract)
    graph = _complete(policy, model, contract, form)
    try:
        graph_check.check_graph(str(policy), graph.SerializeToString(), '', 0)
    except SpowlError as error:
        raise SpowlError(str(error).removesuffix('; export the checkpoint again')) from None
    given = _read_vectors(vectors, contract) if vectors is not None else None

    def make(building: Path) -> Bundle:
        (building / bundles.POLICY).write_bytes(graph.SerializeToString())
        described = Graph(bundles.POLICY, shapes(graph.graph.input), shapes(graph.graph.output),
                          flops(graph))
        provenance: dict[str, Any] = {
            'task': contract.task, 'policy': policy.name,
            'policy_sha256': hashlib.sha256(data).hexdigest(),
            'exported_by': f'{model.producer_name} {model.producer_version}'.strip(),
            'compared_with_its_library': 0 if given is None else len(given[0])}
        bundle = Bundle(building, contract, {}, PlannerSettings(kind='policy', iterations=0),
                        {io.POLICY: described}, {}, provenance,
                        content={bundles.POLICY: graph.SerializeToString()})
        _write_golden(bundle, building, given, policy)
        return bundle

    return write_bundle(directory, make)


def _read_contract(path: Path) -> tuple[Contract, PolicyForm]:
    """
    Return the contract of a YAML file and its description of the policy.

    :raises SpowlError: malformed, an unknown kind of sensor, a wrong unit for the sensor, or a
        wrong count of numbers
    """
    content = yaml.read(path, 'the contract')
    if not isinstance(content, dict):
        raise SpowlError(f'{path} is no contract; wanted the keys task, robot, fields, action, '
                         'raw_period, action_repeat and policy')
    form = settings.read(PolicyForm, content.pop('policy', None) or {}, 'policy')
    contract = Contract.from_dict(content)
    for field in contract.fields:
        if field.sensor not in SENSORS:
            raise settings.unknown(f'kind of sensor (of {field.name})', field.sensor, SENSORS)
        unit = SENSORS[field.sensor].unit
        if unit and field.unit != unit:
            raise SpowlError(f'{path}: {field.name} is in {field.unit!r}, but {field.sensor} '
                             f'comes in {unit!r}; write {unit!r}, and put what converts it into '
                             'policy.mean and policy.std')
    for name, size in (('mean', contract.size), ('std', contract.size),
                       ('scale', contract.action.size), ('offset', contract.action.size)):
        values = getattr(form, name)
        if values and len(values) != size:
            raise SpowlError(f'{path}: policy.{name} has {len(values)} numbers, wanted {size}')
        if not np.isfinite(values).all():
            raise SpowlError(f'{path}: policy.{name} has a number that is not finite')
    if any(value <= 0.0 for value in form.std):
        raise SpowlError(f'{path}: policy.std has a number that is not positive')
    return contract, form


def _check_joints(policy: Path, model: onnx.ModelProto, contract: Contract) -> None:
    """
    Compare the order of joints with the order that the exporter wrote into the model, if any.

    :raises SpowlError: another order, or other joints
    """
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if 'joint_names' not in metadata:
        return
    wanted = [name.strip(' \'"') for name in metadata['joint_names'].strip('[]').split(',')]
    if list(contract.action.names) != wanted:
        raise SpowlError(f'{policy} was exported for the joints {", ".join(wanted)}; the '
                         f"contract's actions are {', '.join(contract.action.names)}; name them "
                         "in the policy's order")
    for sensor in JOINT_SENSORS:
        joints = [field.joint for field in contract.fields
                  if field.sensor == sensor and field.joint in wanted]
        if joints != sorted(joints, key=wanted.index):
            raise SpowlError(f"the contract's {sensor} fields are of {', '.join(joints)}; "
                             f'{policy} has its joints in the order {", ".join(wanted)}')


def _complete(policy: Path, model: onnx.ModelProto, contract: Contract,
              form: PolicyForm) -> onnx.ModelProto:
    """
    Return the graph from observation (1, O) to action (1, A).

    :raises SpowlError: a wrong number of inputs, outputs or values
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in constants}
    outputs = {value.name: value for value in model.graph.output}
    taken = _chosen(policy, 'input', inputs, form.input)
    given = _chosen(policy, 'output', outputs, form.output)
    if others := sorted(inputs.keys() - {taken}):
        raise SpowlError(f'{policy} takes {", ".join(others)} beside {taken}; only a '
                         'policy whose action depends on the observation alone can be wrapped, no '
                         'recurrent one')
    for what, value, size in (('input', inputs[taken], contract.size),
                              ('output', outputs[given], contract.action.size)):
        tensor = value.type.tensor_type
        dims = [d.dim_value for d in tensor.shape.dim]
        if tensor.elem_type != TensorProto.FLOAT or len(dims) != 2 or dims[0] not in (0, 1) or (
                dims[1] not in (0, size)):
            raise SpowlError(
                f'{policy}: the {what} {value.name} has shape {dims} '
                f'({TensorProto.DataType.Name(tensor.elem_type)}), the contract of '
                f'{contract.task} wants [1, {size}] (FLOAT)')
    opset = max((entry.version for entry in model.opset_import if entry.domain in ('', 'ai.onnx')),
                default=0)
    if opset < LEAST_OPSET:
        raise SpowlError(f'{policy} is of operator set {opset}; export it with at least '
                         f'{LEAST_OPSET}')
    if opset > (newest := defs.onnx_opset_version()):
        raise SpowlError(f'{policy} is of operator set {opset}, and ONNX here knows {newest}; '
                         'export it with an older one')
    if model.functions:
        model = inliner.inline_local_functions(model)
    part = compose.add_prefix(utils.Extractor(model).extract_model([taken], [given]), _INNER)
    before, after, added = _around(contract, form, _INNER + taken, _INNER + given)
    whole = helper.make_model(helper.make_graph(
        [*before, *part.graph.node, *after], 'policy',
        [helper.make_tensor_value_info(io.OBSERVATION, TensorProto.FLOAT, [1, contract.size])],
        [helper.make_tensor_value_info(io.POLICY_ACTION, TensorProto.FLOAT,
                                       [1, contract.action.size])],
        [*part.graph.initializer, *added]), producer_name='spowl wrap',
        opset_imports=[helper.make_opsetid('', opset)], ir_version=model.ir_version)
    for entry in (*whole.graph.node, *whole.graph.initializer):
        entry.ClearField('metadata_props')
        entry.ClearField('doc_string')
    try:
        return shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise SpowlError(f'{policy} does not take an observation of {contract.size} values to '
                         f'{contract.action.size} actions: {first_line(error)}') from error


def _around(contract: Contract, form: PolicyForm, taken: str, given: str,
            ) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the nodes before and after the network, and their constants."""
    nodes: list[Any] = []
    constants: list[Any] = []

    def add(operator: str, output: str, *inputs: str, **values: Any) -> str:
        """Add a node of inputs and of constants by name; return its output."""
        constants.extend(numpy_helper.from_array(np.asarray(value, np.float32), name)
                         for name, value in values.items())
        nodes.append(helper.make_node(operator, [*inputs, *values], [output]))
        return output

    last = io.OBSERVATION
    if form.mean:
        last = add('Sub', 'taken/Sub', last, mean=[form.mean])
    if form.std:
        last = add('Div', 'taken/Div', last, std=[form.std])
    if form.clip:
        last = add('Clip', 'taken/Clip', last, low=-form.clip, high=form.clip)
        # clipping must not turn NaN into a number
        zero = add('Mul', 'zero', io.OBSERVATION, nothing=0.0)
        last = add('Add', 'taken/whole', last, zero)
    add('Identity', taken, last)
    before = len(nodes)
    low, high = np.array(contract.action.low), np.array(contract.action.high)
    half, middle = (high - low) / 2, (high + low) / 2
    scale = np.array(form.scale) if form.scale else half
    offset = np.array(form.offset) if form.offset else middle
    scaled = add('Mul', 'scaled', given, scale=[scale / half])
    add('Add', io.POLICY_ACTION, scaled, offset=[(offset - middle) / half])
    return nodes[:before], nodes[before:], constants


def _chosen(policy: Path, what: str, there: dict[str, Any], name: str) -> str:
    if name in there:
        return name
    if not name and len(there) == 1:
        return next(iter(there))
    raise SpowlError(f'{policy} has the {what}s {", ".join(there)}'
                     + (f', and no {name!r}' if name else '')
                     + f'; name one of them as policy.{what} in the contract')


def _read_vectors(path: Path, contract: Contract) -> tuple[NDArray[Any], NDArray[Any]]:
    """
    Return observations (n, O), and the actions (n, A) of the library's commands.

    :raises SpowlError: another form
    """
    arrays = golden_vectors.read(str(path), read_bounded(path, bundles.LIMITS[bundles.GOLDEN]))
    found = []
    for name, size in (('observation', contract.size), ('command', contract.action.size)):
        values = arrays.get(name)
        if values is None or values.ndim != 2 or values.shape[1] != size or not (
                1 <= len(values) <= golden_vectors.MOST_CASES and np.isfinite(values).all()):
            raise SpowlError(
                f'{path}: {name} has shape {None if values is None else list(values.shape)}, '
                f'wanted [n, {size}], n from 1 to {golden_vectors.MOST_CASES}, all finite')
        found.append(values.astype(np.float32))
    if len(found[0]) != len(found[1]):
        raise SpowlError(f'{path}: {len(found[0])} observations and {len(found[1])} commands')
    return found[0], contract.action.action(found[1])


def _write_golden(bundle: Bundle, building: Path, given: tuple[Any, Any] | None,
                  policy: Path) -> None:
    """
    Write the vectors that loading reproduces, after comparing them with the library's own.

    :raises SpowlError: a vector differs; the message names the first
    """
    if given is None:
        low, high = plausible(bundle.contract)
        observations = np.random.default_rng(0).uniform(
            low, high, (CASES, len(low))).astype(np.float32)
    else:
        observations = given[0]
    session = bundle.sessions()[io.POLICY]
    actions = np.stack([session.run([io.POLICY_ACTION], {io.OBSERVATION: row[None]})[0]
                        for row in observations])
    if not np.isfinite(actions).all():
        raise SpowlError(f'{policy} gives an action that is not finite for a plausible '
                         'observation')
    if given is not None:
        off = np.abs(np.clip(actions[:, 0], -1.0, 1.0) - given[1]).max(axis=1)
        if off.max() > TOLERANCE:
            case = int(off.argmax())
            raise SpowlError(
                f'{policy}: for golden vector {case} the command differs by {off[case] / 2:.3g} '
                f'of its range, allowed {TOLERANCE / 2:g}; do the order and units of fields and '
                'actions, and the section policy of the contract, say what its library does?')
    arrays: dict[str, Any] = {f'{io.POLICY}.{io.OBSERVATION}': observations[:, None],
                              f'{io.POLICY}.{io.POLICY_ACTION}': actions}
    np.savez_compressed(building / bundles.GOLDEN, **arrays)
