"""Every example of docs/api.md, run as written against a real node process.

Only the node's port is another one, so that the test can run beside a node. What the page shows behind
an example is what must come back, but for ids, times and sizes.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import pytest

PAGE: Final = Path(__file__).parents[2] / "docs" / "api.md"
WRITTEN_URL: Final = "http://127.0.0.1:7770"
START_SECONDS: Final = 30
VARIES: Final = re.compile(
    r"id|version|.*_ms|latency_us|store_url|store_octets|http_bind|node_number|last_change"
    r"|destination_account|shared_secret|destination|connection|receiver|url|change|closed"
)
_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@final
@dataclass(frozen=True, slots=True)
class Example:
    """A command of the page, and what the page shows behind it; None where it shows nothing."""

    command: str
    kind: str | None
    shown: str


def examples() -> Iterator[Example]:
    """Yield the page's commands in order."""
    command: str | None = None
    for kind, text in _FENCE.findall(PAGE.read_text()):
        if kind == "sh":
            if command is not None:
                yield Example(command, None, "")
            command = text
        else:
            assert command is not None, f"no command stands before {text!r}"
            yield Example(command, kind, text)
            command = None
    if command is not None:
        yield Example(command, None, "")


@pytest.fixture
def node_url(tmp_path: Path) -> Iterator[str]:
    """Run a node as a new user would: with no setting but a free port."""
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "core",
            "run",
            "--http-bind",
            "127.0.0.1:0",
            "--stop-with-stdin",
        ],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=PAGE.parents[1],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
            line = process.stdout.readline() if ready else ""
            assert line.startswith("READY "), f"the node did not start: {line!r}"
            yield json.loads(line.removeprefix("READY "))["url"]
            process.stdin.close()
            assert process.wait(timeout=35) == 0
        finally:
            process.kill()


def environment(home: Path) -> dict[str, str]:
    """Return what a fresh user's shell has."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": programs, "LC_ALL": "C.UTF-8"}


def test_every_example_of_the_page_does_what_the_page_says(
    node_url: str, tmp_path: Path
) -> None:
    said = 0
    sofar = ""
    for example in examples():
        command = example.command.replace(WRITTEN_URL, node_url)
        if "export " in command:
            exports = "\n".join(
                line for line in command.splitlines() if line.startswith("export ")
            )
            sofar += exports + "\n"

        ran = subprocess.run(
            ["bash", "-eu", "-c", sofar + command],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert (ran.returncode, ran.stderr) == (0, ""), f"{command}\n{ran}"
        compare(example, ran.stdout)
        said += 1
    assert said > 40


def compare(example: Example, came: str) -> None:
    """Hold what came back against what the page shows."""
    if example.kind is None:
        assert came == "", f"{example.command}\nthe page shows nothing, and there came {came}"
    elif example.kind == "json":
        shown, found = varying_out(json.loads(example.shown)), varying_out(json.loads(came))
        assert found == shown, f"{example.command}\ncame {json.dumps(found, indent=2)}"
        assert list_of_keys(json.loads(came)) == list_of_keys(json.loads(example.shown))
    else:
        assert came.rstrip("\n") == example.shown.rstrip("\n"), example.command


def varying_out(value: Any) -> Any:
    """Return a value with what differs from run to run replaced by its type."""
    if isinstance(value, dict):
        return {
            key: type(inner).__name__
            if VARIES.fullmatch(key) and not isinstance(inner, (dict, list))
            else varying_out(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [varying_out(inner) for inner in value]
    return value


def list_of_keys(value: Any) -> Any:
    """Return the names in a value, in their order."""
    if isinstance(value, dict):
        return [(key, list_of_keys(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [list_of_keys(inner) for inner in value]
    return None


# --- Interledger.rs's own documentation

INTERLEDGER_RS: Final = """\
curl -s -X POST -H "Content-Type: application/json" -H "Authorization: Bearer $TOKEN" -d '{
  "username": "node_b",
  "ilp_address": "test.node-b",
  "asset_code": "ABC",
  "asset_scale": 9,
  "max_packet_amount": 100,
  "min_balance": -1000,
  "settle_threshold": "70",
  "settle_to": "10",
  "ilp_over_http_url": "http://localhost:8770/accounts/node_a/ilp",
  "ilp_over_http_incoming_token": "node_b_password",
  "ilp_over_http_outgoing_token": "node_a_password",
  "ilp_over_btp_url": "btp+ws://localhost:8770/accounts/node_a/ilp/btp",
  "routing_relation": "Peer",
  "round_trip_time": 1000,
  "amount_per_minute_limit": "1000000",
  "packets_per_minute_limit": "600"
}' http://localhost:7770/accounts
curl -s -H "Authorization: Bearer $TOKEN" http://localhost:7770/accounts
curl -s -H "Authorization: Bearer node_b_password" http://localhost:7770/accounts/node_b
curl -s -H "Authorization: Bearer $TOKEN" http://localhost:7770/accounts/node_b/balance
curl -s -X PUT -H "Content-Type: application/json" -H "Authorization: Bearer $TOKEN" \
  -d '{"username": "node_b", "asset_code": "ABC", "asset_scale": 9, "settle_to": "5"}' \
  http://localhost:7770/accounts/node_b
curl -s -X PUT -H "Content-Type: application/json" -H "Authorization: Bearer node_b_password" \
  -d '{"settle_threshold": "100"}' http://localhost:7770/accounts/node_b/settings
curl -s http://localhost:7770/
curl -s -X PUT -H "Content-Type: application/json" -H "Authorization: Bearer $TOKEN" \
  -d '{"ABC": 1.0, "XYZ": "2"}' http://localhost:7770/rates
curl -s http://localhost:7770/rates
curl -s http://localhost:7770/routes
curl -s -X PUT -H "Content-Type: application/json" -H "Authorization: Bearer $TOKEN" \
  -d '{"test.b": "node_b"}' http://localhost:7770/routes/static
curl -s -X PUT -H "Authorization: Bearer $TOKEN" -d 'node_b' http://localhost:7770/routes/static/test.c
curl -s -X PUT -H "Content-Type: application/json" -H "Authorization: Bearer $TOKEN" \
  -d '{"ABC": "http://localhost:3000", "XYZ": "http://localhost:3001"}' \
  http://localhost:7770/settlement/engines
curl -s -X PUT -H "Authorization: Bearer $TOKEN" -d 'debug,interledger_ccp=trace' \
  http://localhost:7770/tracing-level
curl -s -X DELETE -H "Authorization: Bearer $TOKEN" http://localhost:7770/accounts/node_b
"""


def test_every_documented_call_of_interledger_rs_succeeds(
    node_url: str, tmp_path: Path
) -> None:
    token = f"export TOKEN=$(cat {tmp_path}/.local/share/signalbox/signalbox.db.admin-token)\n"
    port = node_url.rpartition(":")[2]
    commands = re.split(r"(?m)^(?=curl )", INTERLEDGER_RS)[1:]

    for command in commands:
        ran = subprocess.run(
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                token
                + command.replace("localhost:7770", f"localhost:{port}").replace(
                    "curl -s ", "curl -s -w '\\n%{http_code}' "
                ),
            ],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )

        body, _, status = ran.stdout.rpartition("\n")
        assert status == "200", f"{command}\n{body}"
        if not command.rstrip().endswith(("tracing-level", "test.c")):
            json.loads(body)
    assert len(commands) == 15
