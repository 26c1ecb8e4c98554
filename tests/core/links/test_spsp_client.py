"""Asking a receiver's server: what it answers, and what it can do to whoever asks, which is nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from core.config import Reach
from core.errors import SpspError
from core.links.public_hosts import is_loopback, refuse_address
from core.links.spsp_client import BODY_OCTETS_MAX, REDIRECTS_MAX, SpspClient
from core.stream.spsp import SpspDetails
from tests.core.links.certificates import certificate

SECRET: Final = bytes(range(32))
ANSWER: Final = json.dumps(
    {
        "destination_account": "test.wallet.alice.token",
        "shared_secret": base64.b64encode(SECRET).decode(),
    }
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve this on a port of this machine, and yield its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class FakeNames(AbstractResolver):
    """Knows these hosts, and where they lead; to another port where one is given."""

    def __init__(self, hosts: dict[str, list[str]], port: int | None = None) -> None:
        self.hosts = hosts
        self.port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=self.port or port,
                family=socket.AF_INET,
                proto=0,
                flags=0,
            )
            for one in self.hosts[host]
        ]

    async def close(self) -> None: ...


def client(
    reach: Reach = Reach.LOOPBACK, *, seconds: float = 5.0, **hosts: list[str]
) -> SpspClient:
    names = {name.replace("_", "."): found for name, found in hosts.items()}
    return SpspClient(lambda: reach, names=lambda: FakeNames(names), seconds=seconds)


async def test_a_receiver_is_asked_for_spsp_and_answers() -> None:
    asked: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(text=ANSWER, content_type="application/spsp4+json")

    async with served(handler) as url:
        found = await client().resolve(f"{url}/accounts/alice/spsp")

    assert found == SpspDetails("test.wallet.alice.token", SECRET)  # type: ignore[arg-type]
    assert asked[0].path == "/accounts/alice/spsp"
    assert asked[0].headers["Accept"].startswith("application/spsp4+json")


async def test_a_url_without_a_path_is_asked_for_the_hosts_own_receiver() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.path == "/.well-known/pay"
        return web.Response(text=ANSWER)

    async with served(handler) as url:
        assert (await client().resolve(url)).shared_secret == SECRET


async def test_redirects_are_followed_and_bounded() -> None:
    async def handler(request: web.Request) -> web.Response:
        left = int(request.path.rpartition("/")[2])
        if left == 0:
            return web.Response(text=ANSWER)
        return web.Response(status=302, headers={"Location": f"/{left - 1}"})

    async with served(handler) as url:
        assert (await client().resolve(f"{url}/{REDIRECTS_MAX}")).shared_secret == SECRET
        with pytest.raises(SpspError, match="redirected more than 5 times"):
            await client().resolve(f"{url}/{REDIRECTS_MAX + 1}")


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("http://10.0.0.1/", "use https"),
        ("https://10.0.0.1/", "no public address"),
        ("https://[fd00::1]/", "no public address"),
        ("https://metadata.example/", "metadata.example leads to 169.254.169.254"),
        ("https://user:pass@127.0.0.1/", "does not say where to"),
        ("file:///etc/passwd", "does not say where to"),
        ("gopher://127.0.0.1/x", "use https"),
        ("http://[::1", "does not say where to"),
        ("", "does not say where to"),
    ],
)
async def test_a_redirect_leads_nowhere_that_may_not_be_reached(
    place: str, sentence: str
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": place})

    asking = client(metadata_example=["169.254.169.254"])
    async with served(handler) as url:
        with pytest.raises(SpspError, match=sentence):
            await asking.resolve(url)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "status 404: there is no such receiver"),
        (406, "status 406: it does not speak SPSP"),
        (429, "status 429: it was asked too often"),
        (500, "status 500"),
        (304, "status 304"),
    ],
)
async def test_a_status_is_told(status: int, sentence: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with served(handler) as url:
        with pytest.raises(SpspError, match=sentence):
            await client().resolve(url)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            b'{"id": "InvoicePaidError", "message": "It was paid."}',
            ": there is no such receiver; it says: It was paid",
        ),
        (
            json.dumps({"message": "\x1b[31mgo\nto \u202efdp.exe"}).encode(),
            ": there is no such receiver; it says: [31mgo to  fdp.exe",
        ),
        (
            json.dumps({"message": "long " * 99}).encode(),
            f": there is no such receiver; it says: {'long ' * 40}".rstrip(),
        ),
        (b'{"message": " \\n "}', ": there is no such receiver"),
        (b'{"message": ["no", "text"]}', ": there is no such receiver"),
        (b'["no object"]', ": there is no such receiver"),
        (b"[" * 9_000, ": there is no such receiver"),
        (b"\xff", ": there is no such receiver"),
        (b"", ": there is no such receiver"),
    ],
)
async def test_what_a_server_says_of_its_error_is_told_as_plain_text_and_cut(
    body: bytes, sentence: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=404, body=body)

    async with served(handler) as url:
        with pytest.raises(SpspError) as refused:
            await client().resolve(f"{url}/bob")
    assert str(refused.value) == f"{url}/bob answers with the status 404{sentence}"


async def test_a_body_without_an_end_is_cut_off() -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 200 * BODY_OCTETS_MAX:
                await response.write(b" " * 8192)
                sent += 8192
        return response

    async with served(handler) as url:
        with pytest.raises(SpspError, match="more than 65536 octets"):
            await client().resolve(url)
    assert sent < 200 * BODY_OCTETS_MAX


async def test_a_packed_body_is_not_unpacked() -> None:
    bomb = zlib.compress(b" " * 50_000_000)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "deflate"})

    async with served(handler) as url:
        with pytest.raises(SpspError, match=r"no JSON|more than 65536"):
            await client().resolve(url)


async def test_who_answers_slowly_is_left_alone_after_a_while() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await response.write(b" ")
                await asyncio.sleep(0.05)
        return response

    async with served(handler) as url:
        with pytest.raises(SpspError, match=r"did not answer within 0.3 seconds"):
            await client(seconds=0.3).resolve(url)


async def test_who_hangs_up_is_told_of() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with served(handler) as url:
        with pytest.raises(SpspError, match="cannot be reached"):
            await client().resolve(url)


async def test_where_nobody_listens_is_told_of() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with pytest.raises(
        SpspError, match=f"http://127.0.0.1:{port}/bob cannot be reached: nobody listens there"
    ):
        await client().resolve(f"http://127.0.0.1:{port}/bob")


async def test_an_answer_that_is_none_names_who_gave_it() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>")

    async with served(handler) as url:
        with pytest.raises(SpspError, match=f"{url}/bob does not answer as a receiver"):
            await client().resolve(f"{url}/bob")


async def test_no_cookie_is_kept() -> None:
    cookies: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie", ""))
        if len(cookies) == 1:
            return web.Response(status=302, headers={"Location": "/again", "Set-Cookie": "a=b"})
        return web.Response(text=ANSWER)

    async with served(handler) as url:
        await client().resolve(url)
    assert cookies == ["", ""]


# --- Over HTTPS


def wallet(url: str, trusted: Path) -> SpspClient:
    """Return a client that finds the server at `url` as wallet.example, and trusts one certificate."""
    names = FakeNames({"wallet.example": ["127.0.0.1"]}, port=URL(url).port)
    tls = ssl.create_default_context(cafile=trusted)
    return SpspClient(lambda: Reach.LOOPBACK, names=lambda: names, tls=tls)


def server_tls(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert_file, key_file)
    return tls


async def test_a_payment_pointer_is_asked_over_https(tmp_path: Path) -> None:
    asked: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(text=ANSWER)

    cert_file, key_file = certificate(tmp_path, "wallet.example")
    async with served(handler, server_tls(cert_file, key_file)) as url:
        asking = wallet(url, cert_file)
        for pointer in ("$wallet.example/bob", "$wallet.example"):
            assert (await asking.resolve(pointer)).shared_secret == SECRET

    assert [(request.secure, request.host, request.path) for request in asked] == [
        (True, "wallet.example", "/bob"),
        (True, "wallet.example", "/.well-known/pay"),
    ]


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "why"),
    [
        ("wallet.example", 1, False, "self-signed certificate"),
        ("other.example", 1, True, "certificate is not valid for 'wallet.example'"),
        ("wallet.example", -1, True, "certificate has expired"),
    ],
)
async def test_who_shows_a_certificate_that_does_not_hold_is_not_asked(
    tmp_path: Path, name: str, days: int, is_trusted: bool, why: str
) -> None:
    asked: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(text=ANSWER)

    cert_file, key_file = certificate(tmp_path, name, days=days)
    trusted = cert_file if is_trusted else certificate(tmp_path, "nobody.example")[0]
    async with served(handler, server_tls(cert_file, key_file)) as url:
        with pytest.raises(SpspError) as refused:
            await wallet(url, trusted).resolve("$wallet.example/bob")

    words = str(refused.value)
    assert words.startswith(
        "https://wallet.example/bob is not asked: its certificate does not hold: "
    )
    assert why in words
    assert asked == []


async def test_who_speaks_no_tls_is_not_asked(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=ANSWER)

    async with served(handler) as url:
        with pytest.raises(SpspError, match="does not speak TLS as it should"):
            await wallet(url, certificate(tmp_path, "wallet.example")[0]).resolve(
                "$wallet.example/bob"
            )


# --- Where it may lead

PRIVATE: Final = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fc00::1",
    "fe80::1%eth0",
    "ff02::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:0a00:0001::",
    "2001:0:5ef5:79fd:0:59d:f5ff:fffe",
    "fec0::1",
    "::10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "not-an-address",
]
LOOPBACK: Final = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"]
PUBLIC: Final = ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::1.1.1.1"]


@pytest.mark.parametrize("found", PRIVATE)
def test_a_private_address_is_reached_only_where_any_is(found: str) -> None:
    for reach in (Reach.PUBLIC, Reach.LOOPBACK):
        with pytest.raises(SpspError):
            refuse_address("wallet.example", found, reach)
    refuse_address("wallet.example", found, Reach.ANY)


@pytest.mark.parametrize("found", LOOPBACK)
def test_this_machine_is_reached_where_that_is_allowed(found: str) -> None:
    with pytest.raises(SpspError, match="no public address"):
        refuse_address("wallet.example", found, Reach.PUBLIC)
    refuse_address("wallet.example", found, Reach.LOOPBACK)
    assert is_loopback(found)


@pytest.mark.parametrize("found", PUBLIC)
def test_a_public_address_is_always_reached(found: str) -> None:
    for reach in (Reach.PUBLIC, Reach.LOOPBACK, Reach.ANY):
        refuse_address("wallet.example", found, reach)
    assert not is_loopback(found)


@pytest.mark.parametrize(
    ("receiver", "sentence"),
    [
        ("$inside.example/bob", "inside.example leads to 10.0.0.7, which is no public address"),
        ("$both.example/bob", "both.example leads to 127.0.0.1"),
        ("https://192.168.0.1/admin", "192.168.0.1 is no public address"),
        ("https://127.1/bob", "127.1"),
        ("https://2130706433/bob", "2130706433"),
        ("https://[::ffff:10.0.0.1]/bob", "no public address"),
        ("http://wallet.example/bob", "use https"),
        ("http://127.0.0.1:9/bob", "use https"),
        ("not a pointer", "is no payment pointer"),
    ],
)
async def test_names_that_lead_inside_are_refused_before_anybody_is_connected_to(
    receiver: str, sentence: str
) -> None:
    asking = client(
        Reach.PUBLIC, inside_example=["10.0.0.7"], both_example=["1.1.1.1", "127.0.0.1"]
    )

    with pytest.raises(SpspError, match=sentence):
        await asking.resolve(receiver)
