"""Strangers who open all connections that they can: others, the store and the operator go on."""

from __future__ import annotations

import contextlib
import resource
import socket
from pathlib import Path
from typing import Final

import pytest

from core.links.btp import websocket as ws
from tests.end_to_end.programs import node

FILES: Final = 300
STRANGERS: Final = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, FILES))


@pytest.mark.parametrize(
    "says",
    [b"", ws.upgrade_request(host="node", target="/btp", key=ws.new_key())],
    ids=["nothing", "half-open handshakes"],
)
def test_connections_of_strangers_leave_files_for_all_else(tmp_path: Path, says: bytes) -> None:
    with node(f"sqlite:///{tmp_path}/node.db", tmp_path, before=few_files) as running:
        assert resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE) == (FILES, FILES)
        with contextlib.ExitStack() as held:
            for number in range(2 * FILES):
                connection = socket.socket()
                held.callback(connection.close)
                connection.settimeout(5)
                connection.bind((STRANGERS[number % len(STRANGERS)], 0))
                with contextlib.suppress(OSError):
                    connection.connect(("127.0.0.1", running.port))
                    connection.sendall(says)
                    if says:
                        connection.recv(1)  # It was let in.

            fields = {"username": "alice", "asset_code": "USD", "asset_scale": 2}
            assert running.api("POST", "/accounts", fields).status == 200
            assert running.audit()["passed"]
        assert "Too many open files" not in running.err
