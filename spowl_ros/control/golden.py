# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: inputs and outputs of every graph; loading a bundle must reproduce them."""

from __future__ import annotations

import io
import math
import threading
from typing import TYPE_CHECKING, Any
import zipfile
import zlib

import numpy as np

from spowl_ros.base.errors import SpowlError, first_line

if TYPE_CHECKING:
    import onnxruntime

TOLERANCE = 1e-4
LARGEST = 256 << 20
"""Most bytes of all arrays together."""
MOST_ARRAYS = 256
MOST_CASES = 64
TIME_LIMIT_S = 20.0
"""Seconds in which all graphs must run."""

Arrays = dict[str, np.ndarray]
Shapes = dict[str, list[int]]


def read(where: str, data: bytes) -> Arrays:
    """
    Return the arrays of a file that `numpy.savez_compressed` wrote.

    The sizes that the file declares are checked first, and unpacking never exceeds them.

    :param where: its path, for the message
    :raises SpowlError: damaged, too large, or not plain numbers
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if len(entries) > MOST_ARRAYS or size > LARGEST:
                raise ValueError(f'it holds {len(entries)} arrays of {size} bytes, allowed are '
                                 f'{MOST_ARRAYS} of {LARGEST}')
            return {entry.filename.removesuffix('.npy'): _array(archive.read(entry))
                    for entry in entries}
    except (ValueError, OSError, EOFError, NotImplementedError, RuntimeError, MemoryError,
            zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        raise SpowlError(f'{where}: cannot be read: {first_line(error)}') from error


def check(where: str, golden: Arrays, stages: dict[str, tuple[str, Shapes, Shapes]],
          sessions: dict[str, onnxruntime.InferenceSession]) -> None:
    """
    Run every stage on the golden inputs and compare its outputs.

    :param where: path of the golden vectors, for messages
    :param stages: path, inputs and outputs of each stage
    :raises SpowlError: a shape, type or value differs, or the run exceeds the time limit
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    timer = threading.Timer(TIME_LIMIT_S, setattr, (options, 'terminate', True))
    timer.daemon = True
    timer.start()
    try:
        for stage, (path, inputs, outputs) in stages.items():
            arrays = {name: _values(where, golden, stage, name, shape)
                      for name, shape in (*inputs.items(), *outputs.items())}
            counts = {len(values) for values in arrays.values()}
            if len(counts) != 1 or not 1 <= max(counts) <= MOST_CASES:
                raise SpowlError(f'{where}: {stage} has {sorted(counts)} cases, wanted the same '
                                 f'number of each input and output, 1 to {MOST_CASES}')
            for case in range(counts.pop()):
                actual = sessions[stage].run(
                    list(outputs), {name: arrays[name][case] for name in inputs}, options)
                for name, value in zip(outputs, actual):
                    _compare(where, path, name, case, value, arrays[name][case])
    except SpowlError:
        raise
    except Exception as error:  # onnxruntime raises many kinds, none of them public
        if options.terminate:
            raise SpowlError(f'{where}: the graphs did not end within {TIME_LIMIT_S:g} s; this '
                             'machine is far too slow, or the bundle is not what it says'
                             ) from error
        raise SpowlError(f'{where}: {path} does not run on it: {first_line(error)}') from error
    finally:
        timer.cancel()


def _array(data: bytes) -> np.ndarray:
    """Return the array in the bytes of an npy file."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError('an array of another version than 1.0')
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)  # within 10,000 bytes
    if dtype.kind not in 'fib' or fortran:
        raise ValueError(f'an array of {dtype}, wanted plain numbers in C order')
    left = data[stream.tell():]
    if min(shape, default=1) < 0 or len(left) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f'an array of shape {shape} in {len(left)} bytes')
    return np.frombuffer(left, dtype).reshape(shape)


def _values(where: str, golden: Arrays, stage: str, name: str, shape: list[int]) -> np.ndarray:
    values = golden.get(f'{stage}.{name}')
    if values is None or values.ndim == 0 or list(values.shape[1:]) != shape:
        had = None if values is None else list(values.shape[1:])
        raise SpowlError(f'{where}: {stage}.{name} has shape {had}, wanted {shape} for each case')
    return values


def _compare(where: str, path: str, name: str, case: int, value: Any,
             expected: np.ndarray) -> None:
    if value.dtype != expected.dtype:
        raise SpowlError(f'{path}: {name} is {value.dtype}, {where} has {expected.dtype}')
    if not np.allclose(value, expected, rtol=TOLERANCE, atol=TOLERANCE):
        off = np.abs(np.asarray(value, float) - expected).max()
        raise SpowlError(f'{path}: golden vector {case} of {where}: {name} differs by {off:.3g}, '
                         f'allowed {TOLERANCE:g}')
