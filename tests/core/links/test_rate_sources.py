"""A real server that plays each source, well and badly: what it can do to whoever asks has a bound."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, final

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from core.account import Secret
from core.errors import RateSourceError
from core.links.rate_sources import GuardedResolver, RateSourceClient
from core.rates.feeder import RateFeeder
from core.rates.records import RateSource, Sample, SourceKind
from core.stores.memory import open_memory
from core.testing.clock import START_MS, FakeClock
from tests.core.links.certificates import certificate

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@final
class Names(AbstractResolver):
    """Names that lead where a test says; what it says nothing of leads to this machine."""

    def __init__(self, **leads: str) -> None:
        self.leads = leads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.leads.get(host.partition(".")[0], "127.0.0.1")
        return [
            ResolveResult(
                hostname=host, host=found, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""


@final
class Server:
    """Answers as a test told it, and notes what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.requests: list[web.Request] = []
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self.server = TestServer(app, host="127.0.0.1")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        assert self.answer is not None
        return await self.answer(request)

    def says(
        self, body: str | bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            octets = body.encode() if isinstance(body, str) else body
            return web.Response(body=octets, status=status, headers=headers)

        self.answer = answer

    def redirects(self, place: str) -> None:
        self.says("", 302, {"Location": place})

    def source(self, **changes: Any) -> RateSource:
        plain = RateSource(
            name="bank", kind=SourceKind.JSON, url=f"http://127.0.0.1:{self.server.port}/rates"
        )
        return replace(plain, **changes)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with made.server:
        yield made


async def problem(client: RateSourceClient, source: RateSource) -> str:
    with pytest.raises(RateSourceError) as refused:
        await client.fetch(source)
    return str(refused.value)


def client(**options: Any) -> RateSourceClient:
    return RateSourceClient(names=Names, **options)


async def test_what_is_answered_comes_back_and_nothing_is_packed_or_kept(
    server: Server,
) -> None:
    server.says('{"EUR": 1.07}')

    assert await client().fetch(server.source()) == b'{"EUR": 1.07}'
    (request,) = server.requests
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in request.headers
    assert "Cookie" not in request.headers


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        (SourceKind.JSON, "Authorization", "Bearer sesame"),
        (SourceKind.COINCAP, "Authorization", "Bearer sesame"),
        (SourceKind.CRYPTOCOMPARE, "Authorization", "Apikey sesame"),
        (SourceKind.COINGECKO, "x-cg-demo-api-key", "sesame"),
    ],
)
async def test_a_key_is_sent_as_its_kind_wants_it(
    server: Server, kind: SourceKind, header: str, value: str
) -> None:
    server.says("{}")

    await client().fetch(server.source(kind=kind, api_key=Secret("sesame")))

    assert server.requests[0].headers[header] == value


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "the status 500"),
        (404, "there is nothing at this URL"),
        (401, "it wants another API key"),
        (429, "it was asked too often"),
        (204, "the status 204"),
    ],
)
async def test_a_status_that_is_no_answer_is_a_sentence(
    server: Server, status: int, words: str
) -> None:
    server.says("" if status == 204 else "x", status)

    assert words in await problem(client(), server.source())


async def test_one_that_is_slow_is_not_waited_for(server: Server) -> None:
    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    server.answer = slowly

    assert "within 0.2 seconds" in await problem(client(seconds=0.2), server.source())


@pytest.mark.parametrize("says_so", [True, False])
async def test_one_that_is_too_long_is_cut_off_whether_it_says_so_or_not(
    server: Server, says_so: bool
) -> None:
    sent = 0

    async def endlessly(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        if says_so:
            response.content_length = 1 << 40
        await response.prepare(request)
        while sent < 100_000_000:
            await response.write(bytes(65_536))
            sent += 65_536
        return response

    server.answer = endlessly

    assert "more than 100000 octets" in await problem(
        client(octets_max=100_000), server.source()
    )
    assert sent < 20_000_000


async def test_a_packed_answer_is_not_unpacked(server: Server) -> None:
    server.says(b"x", headers={"Content-Encoding": "br"})

    assert "it packs its answer (br)" in await problem(client(), server.source())


YESTERDAY: Final = datetime.fromtimestamp(START_MS / 1000 - 86_400, UTC)
ANSWERS: Final[Mapping[SourceKind, bytes]] = {
    SourceKind.ECB: (
        "<e xmlns:g='x'><Cube><Cube time='" + f"{YESTERDAY:%Y-%m-%d}" + "'>"
        "<Cube currency='USD' rate='1.25'/></Cube></Cube></e>"
    ).encode(),
    SourceKind.COINGECKO: (
        b'[{"id":"bitcoin","symbol":"btc","current_price":91234.567890123456789,"last_updated":null}]'
    ),
    SourceKind.COINCAP: b'{"data":[{"symbol":"BTC","priceUsd":"91234.567890123456789"}]}',
    SourceKind.CRYPTOCOMPARE: (
        b'{"Data":[{"CoinInfo":{"Name":"BTC"},"RAW":{"USD":{"PRICE":91234.567890123456789}}}]}'
    ),
    SourceKind.JSON: b'{"base":"USD","rates":{"BTC":91234.567890123456789}}',
}


async def asked(source: RateSource) -> Sample:
    """Ask a source as the node does: over HTTP, and read in its own format."""
    clock = FakeClock()
    feeder = RateFeeder(
        open_memory(clock).rate_feed, client(), clock, served=lambda: (), is_ours=lambda: True
    )
    return await feeder.ask(source)


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.value)
async def test_a_server_of_each_kind_is_asked_and_its_prices_are_exact(
    server: Server, kind: SourceKind
) -> None:
    server.says(ANSWERS[kind])
    path = "rates" if kind is SourceKind.JSON else ""
    base = "EUR" if kind is SourceKind.ECB else "USD"

    sample = await asked(server.source(kind=kind, base=base, path=path, max_age_seconds=10**6))

    expected = (
        {"EUR": Fraction(1), "USD": Fraction(4, 5)}
        if kind is SourceKind.ECB
        else {"USD": Fraction(1), "BTC": Fraction("91234.567890123456789")}
    )
    assert sample.prices == expected


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.value)
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>We are sorry</html>",
        b"[[[[[[[[[[[[[[[[[[",
        b'{"data":[{"symbol":"BTC","priceUsd":"NaN"}]}',
        b'{"Data":[{"CoinInfo":{"Name":"BTC"},"RAW":{"USD":{"PRICE":-1}}}]}',
        b'[{"symbol":"btc","current_price":"a lot"}]',
        b'{"base":"USD","rates":{"BTC":[1]}}',
        b"<e><Cube time='2027-01-15'><Cube currency='USD' rate='0'/></Cube></e>",
        b"\x00" * 100_000,
        b"[" + b"1," * 500_000 + b"1]",
    ],
    ids=["nothing", "a page", "depth", "NaN", "negative", "words", "a list", "zero", "zeros", "huge"],
)  # fmt: skip
async def test_garbage_from_a_server_of_any_kind_is_a_sentence(
    server: Server, kind: SourceKind, answer: bytes
) -> None:
    server.says(answer)
    path = "rates" if kind is SourceKind.JSON else ""
    base = "EUR" if kind is SourceKind.ECB else "USD"

    with pytest.raises(RateSourceError) as refused:
        await asked(server.source(kind=kind, base=base, path=path))

    assert 0 < len(str(refused.value)) < 500


async def test_three_redirects_are_followed_and_not_a_fourth(server: Server) -> None:
    async def onwards(request: web.Request) -> web.StreamResponse:
        left = int(request.query["left"])
        if left == 0:
            return web.Response(text="{}")
        raise web.HTTPFound(f"/rates?left={left - 1}")

    server.answer = onwards
    url = server.source().url

    assert await client().fetch(server.source(url=f"{url}?left=3")) == b"{}"
    assert "more than 3 times" in await problem(client(), server.source(url=f"{url}?left=4"))


async def test_a_key_does_not_go_to_another_host(server: Server) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        if request.path == "/rates":
            raise web.HTTPFound(f"http://other.example:{server.server.port}/there")
        return web.Response(text="{}")

    server.answer = elsewhere

    assert await client().fetch(server.source(api_key=Secret("sesame"))) == b"{}"
    first, second = server.requests
    assert first.headers["Authorization"] == "Bearer sesame"
    assert "Authorization" not in second.headers


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "224.0.0.1", "metadata.example"],
)  # fmt: skip
async def test_nobody_is_asked_where_a_cloud_keeps_its_secrets(
    server: Server, host: str
) -> None:
    asking = RateSourceClient(names=lambda: Names(metadata="169.254.169.254"))

    direct = await problem(asking, server.source(url=f"http://{host}/latest"))
    server.redirects(f"http://{host}/latest")
    redirected = await problem(asking, server.source())

    assert "where no source of rates can be" in direct
    assert "where no source of rates can be" in redirected


async def test_a_public_host_does_not_lead_into_this_network() -> None:
    guarded = GuardedResolver(Names(public="93.184.215.14", inner="10.0.0.7", site="fec0::1"))
    await guarded.resolve("public.example")
    guarded.is_redirected = True

    await guarded.resolve("public.example")
    with pytest.raises(RateSourceError, match="redirects from a public host to inner"):
        await guarded.resolve("inner.example")
    with pytest.raises(RateSourceError, match="redirects from a public host to site"):
        await guarded.resolve("site.example")
    with pytest.raises(RateSourceError, match="which is no public one"):
        guarded.check_literal("127.0.0.1")


@pytest.mark.parametrize(
    "place", ["", "http://", "ftp://x.example/", "http://me:pw@x.example/"]
)
async def test_a_redirect_that_leads_nowhere_is_told(server: Server, place: str) -> None:
    server.redirects(place)

    assert "redirect" in await problem(client(), server.source())


async def test_nobody_there_is_a_sentence(unused_tcp_port: int, server: Server) -> None:
    gone = server.source(url=f"http://127.0.0.1:{unused_tcp_port}/")

    assert "127.0.0.1 cannot be reached: nobody listens there" in await problem(client(), gone)


async def test_one_that_speaks_no_http_or_hangs_up_is_a_sentence(server: Server) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    other = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with other:
        port = other.sockets[0].getsockname()[1]
        words = await problem(client(), server.source(url=f"http://127.0.0.1:{port}/"))

    assert "cannot be reached" in words


async def test_one_whose_certificate_nobody_vouches_for_is_not_believed(
    tmp_path: Path, server: Server
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "localhost"))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    other = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with other:
        port = other.sockets[0].getsockname()[1]
        words = await problem(client(), server.source(url=f"https://127.0.0.1:{port}/"))

    assert "cannot be reached" in words
    assert "its certificate is not valid: self-signed certificate" in words


async def test_a_file_is_read_within_the_same_bound(tmp_path: Path, server: Server) -> None:
    file = tmp_path / "rates of today.json"
    file.write_text(json.dumps({"EUR": 1}))
    asking, of = client(octets_max=20), server.source(url=f"file://{file}".replace(" ", "%20"))

    assert await asking.fetch(of) == b'{"EUR": 1}'
    file.write_bytes(bytes(21))
    assert "more than 20 octets" in await problem(asking, of)
    file.unlink()
    assert "cannot be read: No such file" in await problem(asking, of)
    os.mkfifo(file)
    assert "is no file" in await problem(asking, of)
    assert "is no file" in await problem(asking, server.source(url=f"file://{tmp_path}"))
