# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Repairs the environment of a process where that is safe, and reports it in one line otherwise.

Every entry point calls `prepare` before it imports ROS 2, and `check` before it starts a node.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
import signal
import sys
import tempfile

from spowl_ros.base.errors import SpowlError, log_folders

_GUARD = '_ROS_WHEELS_BOOTSTRAP_COMPLETE'
"""The ROS 2 wheels set it once LD_LIBRARY_PATH is theirs; children of other Pythons inherit it."""
_LARGEST_DOMAIN = 232
_RANGES = ('LOCALHOST', 'SUBNET', 'OFF', 'SYSTEM_DEFAULT')
_STRATEGIES = ('Enforce', 'Permissive')


def prepare() -> None:
    """
    Change the environment of this process and its children so that ROS 2 starts in it.

    It keeps the user's settings, with one exception: ROS 2 from wheels cannot start with the
    libraries and Python packages of another ROS 2, so it drops those. It then restarts Python,
    because the loader reads the library path only at the start of a process. Nodes talk over UDP
    by default: Fast DDS's shared memory leaves files behind when a process is killed.
    """
    _open_missing_streams()
    if sys.getfilesystemencoding() == 'ascii':  # LANG=C: paths are bytes that no file can hold
        os.environ['PYTHONUTF8'] = '1'
        _restart()
    for stream in (sys.stdout, sys.stderr):  # paths may hold what the locale cannot write
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    prefix = Path(sys.prefix)
    if (prefix / 'share' / 'ament_index').is_dir():
        _leave_other_ros(prefix)
        prefixes = [sys.prefix, *os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)]
        os.environ['AMENT_PREFIX_PATH'] = os.pathsep.join(dict.fromkeys(filter(None, prefixes)))
    os.environ.setdefault('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
    os.environ.setdefault('PYTHONUNBUFFERED', '1')
    os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')  # it also warns where HOME is read-only
    if not os.environ.get('ROS_LOG_DIR') and not any(map(_takes_files, log_folders()[:1])):
        os.environ['ROS_LOG_DIR'] = os.path.join(tempfile.gettempdir(), f'ros_log_{os.getuid()}')


def _open_missing_streams() -> None:
    """Lead the standard streams that the parent closed to nowhere, also for children."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest that is free
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, 'w' if number else 'r', encoding='utf-8',
                                         closefd=False))


def signals_to_end() -> list[signal.Signals]:
    """
    Return the signals on which a process stops the robot and ends.

    Ctrl-C, the end of the parent process, of the terminal or a connection, and Ctrl-backslash. One
    that `nohup` ignores stays ignored.
    """
    return [signal.SIGINT, signal.SIGTERM,
            *(number for number in (signal.SIGHUP, signal.SIGQUIT)
              if signal.getsignal(number) is not signal.SIG_IGN)]


def check() -> None:
    """
    Check the user's environment variables, so that a node can start with them.

    :raises SpowlError: ROS_DOMAIN_ID is no domain, nothing can be written to ROS_LOG_DIR, ROS 2
        does not know the range of discovery or the middleware, or it would drop the security that
        is asked for
    """
    domain = os.environ.get('ROS_DOMAIN_ID', '')
    if domain and not (domain.isascii() and domain.isdigit() and len(domain) <= 3
                       and int(domain) <= _LARGEST_DOMAIN):
        raise SpowlError(f'ROS_DOMAIN_ID is {domain!r}; wanted an integer from 0 to '
                         f'{_LARGEST_DOMAIN}')
    scope = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    if scope and scope not in _RANGES:
        raise SpowlError(f'ROS_AUTOMATIC_DISCOVERY_RANGE is {scope!r}; wanted one of '
                         f'{", ".join(_RANGES)}')
    middleware, installed = os.environ.get('RMW_IMPLEMENTATION', ''), _middlewares()
    if middleware and installed and middleware not in installed:
        raise SpowlError(f'RMW_IMPLEMENTATION is {middleware!r}, which is not installed; there is '
                         f'{", ".join(installed)}')
    named = os.environ.get('ROS_LOG_DIR')
    if named and not _takes_files(Path(named)):
        raise SpowlError(f'ROS_LOG_DIR is {named!r}, and no log can be written there; name a '
                         'directory that you may write to, or unset it')
    _check_security()


def _check_security() -> None:
    """
    Check that ROS 2 can secure a node where ROS_SECURITY_ENABLE asks for it.

    It takes any word but true for false, and with any strategy but Enforce it goes on unsecured
    where it finds no keystore.

    :raises SpowlError: a word is not known, or there is no keystore
    """
    enable = os.environ.get('ROS_SECURITY_ENABLE', '')
    if enable in ('', 'false'):
        return
    if enable != 'true':
        raise SpowlError(f'ROS_SECURITY_ENABLE is {enable!r}; wanted true or false: ROS 2 takes '
                         'any other word for false')
    strategy = os.environ.get('ROS_SECURITY_STRATEGY', '')
    if strategy not in _STRATEGIES:
        raise SpowlError('ROS_SECURITY_ENABLE is true, and ROS_SECURITY_STRATEGY is '
                         f'{strategy!r}; wanted {" or ".join(_STRATEGIES)}')
    keystore = os.environ.get('ROS_SECURITY_KEYSTORE', '')
    if not (keystore and os.path.isdir(os.path.join(keystore, 'enclaves'))):
        raise SpowlError('ROS_SECURITY_ENABLE is true, and ROS_SECURITY_KEYSTORE is '
                         f"{keystore!r}; wanted a keystore, a directory with 'enclaves' in it: "
                         'make one as docs/security.md says, or unset ROS_SECURITY_ENABLE')


def _middlewares() -> list[str]:
    """Return the names of the installed middlewares, as ROS 2's index has them."""
    found = {path.name for prefix in _paths('AMENT_PREFIX_PATH') for path in
             Path(prefix, 'share', 'ament_index', 'resource_index', 'rmw_typesupport').glob('*')}
    return sorted(found - {'rmw_implementation'})


def _leave_other_ros(prefix: Path) -> None:
    """Restart Python without another ROS 2's libraries and packages, if there are any."""
    own = {variable: [path for path in _paths(variable)
                      if prefix in Path(path).parents or not any(Path(path).glob(mark))]
           for variable, mark in (('LD_LIBRARY_PATH', 'librcl.so*'), ('PYTHONPATH', 'rclpy/'))}
    complete = not os.environ.get(_GUARD) or str(prefix / 'lib') in _paths('LD_LIBRARY_PATH')
    if complete and all(paths == _paths(variable) for variable, paths in own.items()):
        return
    os.environ |= {variable: os.pathsep.join(paths) for variable, paths in own.items()}
    os.environ.pop(_GUARD, None)
    _restart()


def _restart() -> None:
    """Begin this process again with the environment as it is now."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _paths(variable: str) -> list[str]:
    return [path for path in os.environ.get(variable, '').split(os.pathsep) if path]


def _takes_files(folder: Path) -> bool:
    """Whether files can be written to a folder; makes the folder if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError):
        return False
    return os.access(folder, os.W_OK | os.X_OK)
