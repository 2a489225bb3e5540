# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs a node in a process that only observes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import threading
from typing import ParamSpec, TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from spowl_ros.ros.process import begin, input_errors, make_executor

ENCLAVE = '/spowl/listener'
"""The enclave of DDS security, as config/security/policies.xml names it."""

N = TypeVar('N', bound=Node)
P = ParamSpec('P')


@contextlib.contextmanager
def spinning(make_node: Callable[P, N], *args: P.args, **kwargs: P.kwargs) -> Iterator[N]:
    """
    Yield a node whose callbacks run in their own thread; leave the network afterwards.

    What a callback raised is raised at the end: the node has heard nothing since.

    :param make_node: a class of nodes, or a function that makes one, with its arguments
    :raises SpowlError: ROS 2 refuses the node, as without a certificate for its enclave
    """
    crashes: list[Exception] = []
    begin(['--ros-args', '--enclave', ENCLAVE])
    try:
        with input_errors():
            node = make_node(*args, **kwargs)
        executor = make_executor()
        executor.add_node(node)

        def spin() -> None:
            try:
                executor.spin()
            except ExternalShutdownException:
                pass
            except Exception as error:
                if rclpy.ok():  # a callback may outlive what it uses
                    crashes.append(error)

        thread = threading.Thread(target=spin, name=node.get_name(), daemon=True)
        thread.start()
        try:
            yield node
        finally:
            rclpy.try_shutdown()  # ends the thread, which must end before the executor goes
            thread.join(1.0)
            executor.shutdown()
            node.destroy_node()  # else DDS's files in shared memory stay
        if crashes:
            raise crashes[0]
    finally:
        rclpy.try_shutdown()
