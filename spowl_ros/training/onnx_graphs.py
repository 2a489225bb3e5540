# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Shared by all writers of bundles: figures of ONNX graphs, and placing the directory."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import write_whole
from spowl_ros.control import bundle as bundles
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.contract import Contract
from spowl_ros.control.signature import SIGNATURE
from spowl_ros.training.model_card import model_card


def shapes(values: Any) -> dict[str, list[int]]:
    """Return the shapes of a graph's values by name."""
    return {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in values}


def flops(model: onnx.ModelProto) -> int:
    """Return the floating-point operations of all matrix products of a graph with known shapes."""
    graph = model.graph
    known = {**shapes([*graph.value_info, *graph.input, *graph.output]),
             **{t.name: list(t.dims) for t in graph.initializer}}
    total = 0
    for node in graph.node:
        if node.op_type in ('MatMul', 'Gemm'):
            total += 2 * int(np.prod(known[node.output[0]])) * known[node.input[0]][-1]
    return total


def plausible(contract: Contract) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends (O,), (O,) of a range of plausible observations."""
    sizes = [field.size for field in contract.fields]
    low = [max(field.low, -5.0) for field in contract.fields]
    high = [min(field.high, 5.0) for field in contract.fields]
    return np.repeat(low, sizes), np.repeat(high, sizes)


def write_bundle(directory: Path, make: Callable[[Path], Bundle]) -> Bundle:
    """
    Write a bundle with its card beside its place, verify it, and put it there.

    :param directory: replaced if it holds a bundle and nothing else; must not exist otherwise
    :param make: writes graphs, golden vectors and weights into a directory
    :raises SpowlError: the directory is no bundle, or a signed one, or the written bundle is
        incomplete
    """
    if os.path.lexists(directory):
        bundles.refuse_other_content(directory)
    if (directory / SIGNATURE).exists():
        raise SpowlError(f'{directory} is signed and would lose its signature; choose another '
                         'directory, or delete it first')
    with bundles.built_beside(directory) as building:
        building.mkdir()
        bundle = make(building)
        (building / bundles.MODEL_CARD).write_text(model_card(bundle))
        content = {name: (building / name).read_bytes()
                   for name in bundles.listed(bundle.graphs)}
        for name, data in content.items():  # what is written with the manifest is synced
            write_whole(building / name, data)
        bundles.write_manifest(building, bundle, content)
    return bundles.load(directory)
