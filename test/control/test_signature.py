# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A robot that demands a signature takes no other bundle, and parses nothing of one."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess
import sys

import pytest

from benchmarks.robot_stand import program
from spowl_ros.cli.main import main
from spowl_ros.control import bundle
from spowl_ros.control.bundle import BundleError
from spowl_ros.control.signature import Signer

pytest.importorskip('model_signing', reason='the extra [sign] is not installed')


@pytest.fixture(scope='module')
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return two pairs of keys."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp('keys')
    found = {}
    for name in ('ours', 'theirs'):
        key = ec.generate_private_key(ec.SECP256R1())
        found[name], public = folder / name, folder / f'{name}.pub'
        found[name].write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        found[f'{name}.pub'] = public
    return found


@pytest.fixture
def signed(untrained_bundle: Path, tmp_path: Path, keys: dict[str, Path]) -> Path:
    """Return a copy of the untrained bundle, signed with our key."""
    copy = Path(shutil.copytree(untrained_bundle, tmp_path / 'bundle'))
    assert main(['sign', str(copy), '--key', str(keys['ours'])]) == 0
    return copy


def test_our_signature_is_known(signed: Path, keys: dict[str, Path]) -> None:
    """A signed bundle loads for everybody, and for who demands the signature."""
    bundle.load(signed)
    bundle.load(signed, signer=Signer(keys['ours.pub']))
    assert bundle.read_contract(signed, Signer(keys['ours.pub'])).task == 'SafetyPointGoal1-v0'
    assert main(['verify', str(signed), '--key', str(keys['ours.pub'])]) == 0


def test_a_bundle_of_links_is_not_signed(untrained_bundle: Path, tmp_path: Path,
                                         keys: dict[str, Path]) -> None:
    """A signature beside links would lie elsewhere than the files, and nothing would load."""
    links = tmp_path / 'links'
    links.mkdir()
    for file in untrained_bundle.iterdir():
        (links / file.name).symlink_to(file)
    assert main(['sign', str(links), '--key', str(keys['ours'])]) == 2
    assert main(['verify', str(links)]) == 0


def test_keys_of_other_kinds_and_no_password_are_told(
        untrained_bundle: Path, tmp_path: Path, keys: dict[str, Path],
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An RSA key is none that signs; a password that nobody types ends the command."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / 'rsa').write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    (tmp_path / 'rsa.pub').write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    copy = str(shutil.copytree(untrained_bundle, tmp_path / 'bundle'))
    assert main(['sign', copy, '--key', str(tmp_path / 'rsa')]) == 2
    assert 'not a key of an elliptic curve' in capsys.readouterr().err
    monkeypatch.setattr('getpass.getpass', lambda _: (_ for _ in ()).throw(EOFError()))
    assert main(['sign', copy, '--key', str(keys['ours']), '--ask-password']) == 2
    assert 'no password of' in capsys.readouterr().err
    assert main(['sign', copy, '--key', str(keys['ours'])]) == 0
    capsys.readouterr()
    assert main(['verify', copy, '--key', str(tmp_path / 'rsa.pub')]) == 2
    assert 'not a key of an elliptic curve' in capsys.readouterr().err


@pytest.mark.parametrize('harm', ['other key', 'unsigned', 'changed', 'broken signature'])
def test_others_are_refused_before_anything_is_parsed(
        signed: Path, keys: dict[str, Path], harm: str, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    """No signature, another one, or one of other files: one line, and nothing is parsed."""
    key = keys['theirs.pub' if harm == 'other key' else 'ours.pub']
    if harm == 'unsigned':
        (signed / 'model.sig').unlink()
    elif harm == 'changed':
        with (signed / 'MODEL_CARD.md').open('a') as stream:
            stream.write('More.\n')
    elif harm == 'broken signature':
        (signed / 'model.sig').write_text('{}')
    assert main(['verify', str(signed), '--key', str(key)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1

    def parse(*_: object) -> None:
        raise AssertionError('it was parsed')

    monkeypatch.setattr(bundle, '_parse', parse)
    for read in (bundle.load, bundle.read_contract):
        with pytest.raises(Exception, match='signature') as error:
            read(signed, signer=Signer(key))
        assert error.type.__module__.startswith('spowl_ros')


def test_what_is_signed_is_not_amended(signed: Path) -> None:
    """A signature would no longer fit; the bundle stays as it is."""
    with pytest.raises(BundleError, match='it is signed'):
        bundle.amend(signed, measured={'return': 1.0})
    bundle.load(signed)


@pytest.mark.slow
@pytest.mark.parametrize('node', ['controller', 'supervisor', 'adapter'])
def test_nodes_demand_it(signed: Path, keys: dict[str, Path], node: str, ros_domain: int) -> None:
    """A node that must have the other key's signature ends with one line."""
    done = subprocess.run(
        [sys.executable, '-c', program(node), '--ros-args', '-p', f'model:={signed}',
         *(() if node == 'adapter' else ('-p', 'autostart:=true')),
         '-p', f'require_signature:={keys["theirs.pub"]}'],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert 'the signature was not found to be one by the key' in done.stderr + done.stdout
