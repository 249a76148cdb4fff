"""Key files: made once, private, complete, and never shown."""

from __future__ import annotations

import os
import secrets
import stat

import pytest

from issuer_server.key_custody.file_keys import KEY_FILES, KeyFileError, create_keys, load_keys


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "keys"
    create_keys(directory, secrets.token_bytes)
    return directory


def test_keys_are_private_and_come_back_the_same(directory):
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in directory.iterdir()) == sorted(KEY_FILES)
    contents = {path.read_bytes() for path in directory.iterdir()}
    assert len(contents) == 4
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in directory.iterdir())
    one, two = load_keys(directory), load_keys(directory)
    assert one.signing.public_key == two.signing.public_key
    assert one.cards.pan_index(b"4111") == two.cards.pan_index(b"4111")


def test_no_key_shows_in_a_repr(directory):
    shown = repr(load_keys(directory))
    for path in directory.iterdir():
        key = path.read_bytes()
        assert key.hex() not in shown
        assert repr(key)[2:-1] not in shown


def test_keys_are_never_replaced(directory):
    before = [path.read_bytes() for path in sorted(directory.iterdir())]
    with pytest.raises(KeyFileError, match="never replaced"):
        create_keys(directory, secrets.token_bytes)
    assert [path.read_bytes() for path in sorted(directory.iterdir())] == before


def test_a_crash_while_making_keys_leaves_none(tmp_path):
    calls = []

    def failing(size):
        calls.append(size)
        if len(calls) == 2:
            raise RuntimeError("power cut")
        return secrets.token_bytes(size)

    with pytest.raises(RuntimeError):
        create_keys(tmp_path / "keys", failing)
    assert not (tmp_path / "keys").exists()
    create_keys(tmp_path / "keys", secrets.token_bytes)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    load_keys(tmp_path / "keys")


@pytest.mark.parametrize("name", KEY_FILES)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_open_to_others_is_refused_with_what_to_do(directory, name, mode):
    (directory / name).chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600") as refusal:
        load_keys(directory)
    assert name in str(refusal.value)
    (directory / name).chmod(0o400)
    load_keys(directory)


@pytest.mark.parametrize("name", KEY_FILES)
@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_file_is_refused_and_not_shown(directory, name, content):
    (directory / name).write_bytes(content)
    with pytest.raises(KeyFileError, match="damaged") as refusal:
        load_keys(directory)
    assert not content or content.decode() not in str(refusal.value)


@pytest.mark.parametrize("name", KEY_FILES)
def test_a_missing_file_is_said_so(directory, name):
    (directory / name).unlink()
    with pytest.raises(KeyFileError, match="missing"):
        load_keys(directory)


def test_no_keys_at_all_points_to_init(tmp_path):
    with pytest.raises(KeyFileError, match="issuer-server init"):
        load_keys(tmp_path / "keys")


def test_a_directory_in_place_of_a_file_is_refused(directory):
    (directory / KEY_FILES[0]).unlink()
    (directory / KEY_FILES[0]).mkdir()
    with pytest.raises(KeyFileError):
        load_keys(directory)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_refused(directory):
    os.chown(directory / KEY_FILES[0], 12345, 12345)
    with pytest.raises(KeyFileError, match="another user"):
        load_keys(directory)
