"""Our programs as processes of their own, and what a stranger on their port may send: for tests without a loop."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from core.packet import Fulfill, Prepare, Reject, parse_reply
from core.services.echo import PING_CONDITION

ROOT: Final = Path(__file__).parents[2]
ADMIN_TOKEN: Final = "the-operators-own-token-0001"
PATIENCE_SECONDS: Final = 30.0

Json = Any


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without settings of ours but those in `more`."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith("SIGNALBOX_")
    }
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on stderr that is neither a log line nor the usage; fails where there are more."""
        assert "Traceback" not in self.err, self.err
        said = [
            line
            for line in self.err.splitlines()
            if line.startswith(("signalbox-", "usage: ")) and not line.startswith("usage: ")
        ]
        assert len(said) == 1, self.err
        return said[0]


@dataclass(slots=True)
class Programs:
    """Runs our programs to their end; they are forked from one process that has imported them."""

    nursery: subprocess.Popen[str]
    folder: Path

    def run(self, program: str, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run a program in a folder of its own, with an environment without settings but `env`."""
        out, err = self.folder / "out", self.folder / "err"
        asked = {
            "program": program,
            "arguments": arguments,
            "environment": environment({"HOME": str(self.folder), **(env or {})}),
            "folder": str(self.folder),
            "out": str(out),
            "err": str(err),
        }
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(json.dumps(asked) + "\n")
        self.nursery.stdin.flush()
        code = self.nursery.stdout.readline()
        assert code, "the nursery has ended"
        return Ended(int(code), out.read_text(), err.read_text())


@contextlib.contextmanager
def programs(folder: Path) -> Iterator[Programs]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.end_to_end.program_nursery"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as nursery:
        yield Programs(nursery, folder)
        assert nursery.stdin is not None
        nursery.stdin.close()
        assert nursery.wait(PATIENCE_SECONDS) == 0


def execute(module: str, *arguments: str, before: Callable[[], None] | None = None) -> Ended:
    """Run a program to its end as a shell would, `before` in the child and before the program."""
    done = subprocess.run(
        command(module, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        cwd=ROOT,
        preexec_fn=before,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        """The sentence of an error: there is one, and nothing of the program's inside with it."""
        assert self.headers["content-type"].startswith("application/problem+json"), self
        found = self.json
        assert found["status"] == self.status
        sentence: str = found["detail"]
        assert sentence, self
        assert "Traceback" not in sentence, self
        assert "\n" not in sentence, self
        return sentence

    @property
    def reply(self) -> Fulfill | Reject:
        assert self.status == 200, self
        return parse_reply(bytearray(self.body))


@dataclass(slots=True)
class Node:
    """`signalbox-node run` as a process."""

    process: subprocess.Popen[str]
    errors: Path
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.ready["url"].rpartition(":")[2])

    @property
    def err(self) -> str:
        return self.errors.read_text()

    def api(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = ADMIN_TOKEN,
        octets: bytes | None = None,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call the API: with an object as JSON, or with octets as they are."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if octets is None and body is not None:
            octets = json.dumps(body).encode()
        if octets is not None and content_type is not None:
            sent["Content-Type"] = content_type
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, octets, sent)
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    def packet(self, username: str, token: str | None, octets: bytes, **more: Any) -> Answer:
        """Post octets to an account's ILP endpoint."""
        more.setdefault("content_type", "application/octet-stream")
        return self.api("POST", f"/accounts/{username}/ilp", octets=octets, token=token, **more)

    def raw(self, *parts: bytes, until: bytes | None = None) -> bytes:
        """Send octets as they are and return all that comes back until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            for part in parts:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(part)
            received = b""
            with contextlib.suppress(ConnectionError):
                while octets := connection.recv(65536):
                    received += octets
                    if until is not None and until in received:
                        break
            return received

    def audit(self) -> Json:
        return self.api("GET", "/audit").json

    def books(self) -> Json:
        """Return what must be the same after a refusal: accounts, routes, rates, balances and holds."""
        moving = {
            "state",
            "state_reason",
            "packets_per_second",
            "recent_net",
            "last_packet_at_ms",
        }
        counted = {"prepares", "fulfills", "rejects", "last_reject"}
        return {
            "accounts": self.api("GET", "/accounts").json,
            "routes": self.api("GET", "/routes/table").json,
            "rates": self.api("GET", "/rates/exact").json,
            "engines": self.api("GET", "/settlement/engines").json,
            "overview": [
                {key: value for key, value in row.items() if key not in moving | counted}
                for row in self.api("GET", "/overview").json
            ],
        }

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def node(
    store: str,
    folder: Path,
    *arguments: str,
    name: str = "node",
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Iterator[Node]:
    """Run a node until the block ends, or until it has ended; `before` runs in its process first."""
    errors = folder / f"{name}.err"
    with errors.open("w") as opened:
        process = subprocess.Popen(
            command(
                "core", "run", "--store", store, "--http-bind", "127.0.0.1:0", "--name", name,
                *arguments,
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=opened,
            text=True,
            env=environment({"SIGNALBOX_ADMIN_TOKEN": ADMIN_TOKEN, **(env or {})}),
            cwd=folder,
            preexec_fn=before,  # noqa: PLW1509 - no thread of a test runs here
        )  # fmt: skip
    found = Node(process, errors)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("READY "), found.err
        found.ready = json.loads(line.removeprefix("READY "))
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def ping(amount: int, *, destination: str = "test.here", expires_in_ms: int = 20_000) -> bytes:
    """Return a packet that the node itself fulfills, so that what it carries is booked."""
    return prepare(
        amount,
        destination=destination,
        condition=PING_CONDITION,
        expires_in_ms=expires_in_ms,
    )


def prepare(
    amount: int,
    *,
    destination: str,
    fulfillment: bytes = b"",
    condition: bytes = b"",
    expires_in_ms: int = 20_000,
) -> bytes:
    return bytes(
        Prepare.build(
            amount=amount,
            expires_at_ms=time.time_ns() // 1_000_000 + expires_in_ms,
            condition=condition or sha256(fulfillment).digest(),
            destination=destination,
            data=fulfillment,
        ).octets
    )


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Tell whether a program takes connections yet; fails where it has ended."""
    assert process.poll() is None, f"{process.args!r} has ended"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def wait_until(
    what: Callable[[], bool], *, seconds: float = 10.0, every: float = 0.02
) -> float:
    """Wait until something is so, and return how long that took; fails where it never is."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds, "it did not come about in time"
        time.sleep(every)
    return time.monotonic() - started
