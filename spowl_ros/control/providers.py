# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Opens graphs on the CPU or on another of ONNX Runtime's execution providers.

The CPU is always there, and a bundle's decisions on it can be replayed bit for bit. Another
provider rounds differently; the golden vectors say whether it still computes the same.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import threading
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError, first_line

if TYPE_CHECKING:
    import onnxruntime

CPU = 'cpu'
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    CPU: ('CPUExecutionProvider', {}),
    'cuda': ('CUDAExecutionProvider', {'use_tf32': '0'}),
    'tensorrt': ('TensorrtExecutionProvider', {}),
    'openvino': ('OpenVINOExecutionProvider', {'device_type': 'CPU', 'precision': 'ACCURACY'})}
"""ONNX Runtime's name of each provider, and its options: products in full float32."""
OPENING_LIMIT_S = 60.0
"""Seconds in which the CPU's provider must open a graph,"""
COMPILERS = 20.0
"""and how many times longer others may take, which compile it for their device."""


def open_session(where: str, graph: bytes, weights: tuple[str, bytes] | None, threads: int,
                 provider: str) -> onnxruntime.InferenceSession:
    """
    Return an inference session of a graph.

    :param where: path of the graph, for the message
    :param weights: name and bytes of the file that the graph's large constants lie in
    :param provider: a key of `PROVIDERS`
    :raises SpowlError: ONNX Runtime has no such provider here, or cannot open the graph with it
    """
    import onnxruntime  # here, because it takes a second, which reading a manifest does not need

    name, chosen = PROVIDERS[provider]
    if name not in (there := onnxruntime.get_available_providers()):
        ours = [key for key, (theirs, _) in PROVIDERS.items() if theirs in there]
        raise SpowlError(f"ONNX Runtime has no provider '{provider}' here, only "
                         f'{", ".join(ours)}; install the build of onnxruntime that has it')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # waiting threads sleep: a spinning thread would take a core from other programs on the robot
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    if weights is not None:
        file, data = weights
        options.add_external_initializers_from_files_in_memory([file], [data], [len(data)])
    try:
        limit = OPENING_LIMIT_S * (1.0 if provider == CPU else COMPILERS)
        # it holds the weights: ONNX Runtime reads them on when nobody waits any more
        session, _ = _in_time(where, limit, lambda: (onnxruntime.InferenceSession(
            graph, options, providers=[(name, chosen)]), weights))
    except SpowlError:
        raise
    except Exception as error:  # onnxruntime raises many kinds, none of them public
        raise SpowlError(f'{where}: ONNX Runtime cannot open it: {first_line(error)}') from error
    if session.get_providers()[0] != name:  # it only logs that a library was missing
        raise SpowlError(f"{where}: ONNX Runtime could not start its provider '{provider}'; a "
                         'driver or a library that it needs is missing')
    return session


def _in_time(where: str, limit: float, work: Callable[[], Any]) -> Any:
    """
    Return what a function returns; ONNX Runtime has no time limit of its own here.

    :raises SpowlError: it does not return in time; its thread ends with the process
    """
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # for whoever waits
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return done.result(limit)
    except TimeoutError:
        raise SpowlError(f'{where}: ONNX Runtime did not open it within {limit:g} s; this machine '
                         'is far too slow, or the bundle is not what it says') from None
