"""A peer that is dialled over TLS is the one that its certificate names, or it is told nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from core.links.btp import packet as btp
from core.links.btp.packet import BtpPacket
from tests.core.links.btp.conftest import Listener, Setting, Socket, bob_at, until
from tests.core.links.certificates import certificate


@pytest.mark.parametrize(
    ("name", "is_trusted", "words"),
    [
        ("localhost", True, None),
        pytest.param(
            "localhost", False, "certificate is not valid", marks=pytest.mark.logs_warning
        ),
        pytest.param(
            "elsewhere.example",
            True,
            "certificate is not valid",
            marks=pytest.mark.logs_warning,
        ),
    ],
)
async def test_our_token_goes_only_to_whom_the_certificate_names(
    setting: Setting, tmp_path: Path, name: str, is_trusted: bool, words: str | None
) -> None:
    cert_file, key_file = certificate(tmp_path, name)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(cert_file, key_file)

    async def script(socket: Socket) -> None:
        await socket.say(BtpPacket(btp.MESSAGE, 1))
        await socket.hear()
        await socket.ends()

    listener = await Listener(tls=served).start(script)
    scene = await setting()
    if is_trusted:
        scene.link.tls = lambda: ssl.create_default_context(cafile=str(cert_file))
    bob = bob_at(scene, f"btp+wss://localhost:{listener.port}/btp")

    if words is None:
        await until(lambda: scene.link.is_connected(bob.id))
        assert len(listener.logins) == 1
    else:
        await until(lambda: bool(scene.states.btp(bob.id).problem))
        assert words in scene.states.btp(bob.id).problem
        assert listener.logins == []
    await scene.link.close(0)
    await listener.stop()
