# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Checks the bytes of a graph before ONNX Runtime sees them.

An ONNX file is a Protocol Buffers message. This module reads its wire format and knows the few
messages and fields that our graphs use (onnx.proto of ONNX 1.23). It refuses any other field,
operator, domain or location of weights, and all loops, branches and functions. A graph that
passes can only compute, in a time that its shapes determine.
"""

from __future__ import annotations

from collections.abc import Iterator

from spowl_ros.base.errors import SpowlError

OPERATORS = frozenset((
    'Abs', 'Add', 'And', 'Cast', 'Celu', 'Clip', 'Concat', 'Constant', 'ConstantOfShape', 'Cos',
    'CumSum', 'Div', 'Elu', 'Equal', 'Erf', 'Exp', 'Expand', 'Flatten', 'Gather', 'GatherElements',
    'Gelu', 'Gemm', 'Greater', 'GreaterOrEqual', 'HardSigmoid', 'HardSwish', 'Identity',
    'LayerNormalization', 'LeakyRelu', 'Less', 'LessOrEqual', 'Log', 'MatMul', 'Max', 'Min',
    'Mish', 'Mul', 'Neg', 'Not', 'Or', 'Pow', 'Range', 'Reciprocal', 'ReduceMax', 'ReduceMean',
    'ReduceMin', 'ReduceSum', 'Relu', 'Reshape', 'Selu', 'Shape', 'Sigmoid', 'Sign', 'Sin',
    'Slice', 'Softmax', 'Softplus', 'Softsign', 'Split', 'Sqrt', 'Squeeze', 'Sub', 'Tanh',
    'ThresholdedRelu', 'TopK', 'Transpose', 'Unsqueeze', 'Where'))
"""Operators of ONNX's own domain that have neither randomness nor control flow."""
DOMAINS = (b'', b'ai.onnx')
LARGEST = 1 << 24
"""Most elements of a constant or an input."""

_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}
"""Wire type of a number to its bytes."""
_MESSAGES = {
    'model': ('the model', {1: 'ir version', 2: 'producer', 3: 'producer version', 4: 'owner',
                            5: 'model version', 6: 'doc', 7: 'graph', 8: 'opset'}),
    'opset': ('an operator set', {1: 'domain', 2: 'version'}),
    'graph': ('the graph', {1: 'node', 2: 'name', 5: 'tensor', 10: 'doc', 11: 'value',
                            12: 'value', 13: 'value'}),
    'node': ('a node', {1: 'input', 2: 'output', 3: 'name', 4: 'operator', 5: 'attribute',
                        6: 'doc', 7: 'domain'}),
    'attribute': ('an attribute', {1: 'name', 2: 'f', 3: 'i', 4: 's', 5: 'tensor', 7: 'floats',
                                   8: 'ints', 9: 'strings', 13: 'doc', 20: 'type'})}
"""Messages of a graph: what an error calls them, and the names of their fields by number."""
_TENSOR = {1: 'dims', 2: 'type', 4: 'data', 5: 'data', 6: 'data', 7: 'data', 8: 'name', 9: 'raw',
           10: 'data', 11: 'data', 12: 'doc', 13: 'external', 14: 'location'}
_ENTRY = {1: 'key', 2: 'value'}
_PLACES = (b'location', b'offset', b'length')

Value = int | bytes


def check_graph(where: str, data: bytes, weights: str, size: int) -> None:
    """
    Refuse a graph that holds anything but plain computation.

    :param where: its path, for the message
    :param weights: the only file that may hold its large constants
    :param size: bytes of that file
    :raises SpowlError: names what is not allowed, or the bytes are no graph
    """
    try:
        for name, value in _leaves(data, 'model'):
            if name == 'domain':
                _require(value in DOMAINS, f'operators of {value!r}')
            elif name == 'operator':
                operator = _bytes(value).decode(errors='replace')
                _require(operator in OPERATORS, f'the operator {operator!r}')
            elif name == 'tensor':
                _check_tensor(_bytes(value), weights, size)
    except (ValueError, IndexError) as error:
        raise SpowlError(f'{where}: not a graph that a bundle may hold: {error or "cut short"}; '
                         'export the checkpoint again') from error


def _leaves(data: bytes, message: str) -> Iterator[tuple[str, Value]]:
    """Yield the fields of a message, and those of the messages in it in their place."""
    for name, value in _fields(data, *_MESSAGES[message]):
        if name in _MESSAGES:
            yield from _leaves(_bytes(value), name)
        else:
            yield name, value


def _check_tensor(tensor: bytes, weights: str, size: int) -> None:
    elements, place = 1, {}
    for name, value in _fields(tensor, 'a tensor', _TENSOR):
        if name == 'dims':
            # packed or one by one
            for length in [value] if isinstance(value, int) else _varints(value):
                elements *= length
                _require(elements <= LARGEST, f'a constant of {elements} elements')
        elif name == 'external':
            entry = dict(_fields(_bytes(value), 'a place', _ENTRY))
            key = _bytes(entry.get('key', b''))
            _require(key in _PLACES and key not in place, f'weights with a {key!r}')
            place[key] = _bytes(entry.get('value', b''))
    if place:
        _require(place.get(b'location') == weights.encode(),
                 f'weights in {place.get(b"location")!r}')
        start, extent = place.get(b'offset', b'0'), place.get(b'length', b'0')
        end = int(start) + int(extent)
        _require(start.isdigit() and extent.isdigit() and end <= size,
                 f'weights that end at byte {end} of {size}')


def _require(good: bool, what: str) -> None:
    if not good:
        raise ValueError(f'it has {what[:200]}')


def _bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError('a number where a message belongs')
    return value


def _fields(data: bytes, what: str, known: dict[int, str]) -> Iterator[tuple[str, Value]]:
    """Yield the fields of a message, by name and in order."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, number = key & 7, key >> 3
        if number not in known:
            raise ValueError(f'{what} has a field {number}, which no graph of ours needs')
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield known[number], value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f'{what} has a field of the wire type {kind}')
        if at + length > len(data):
            raise ValueError(f'{what} is cut short')
        yield known[number], data[at:at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, at
    raise ValueError('a number of more than ten bytes')


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value
