"""The operator API over a real socket, for tests that call it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, final

from aiohttp import ClientSession

ADMIN: Final = "admin-token-of-the-tests"


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    kind: str
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def detail(self) -> str:
        """The sentence of a problem; it must be one."""
        assert self.kind == "application/problem+json", (self.status, self.kind, self.text)
        found = self.json
        assert found["status"] == self.status
        assert found["title"]
        assert found["type"]
        return str(found["detail"])


@final
class ApiClient:
    """Calls one node; as the operator, unless a test says otherwise."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        text: str | bytes | None = None,
        token: str | None = ADMIN,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send JSON, or text as it is; `token=None` sends none."""
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        data: str | bytes | None = text
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body)
        elif text is not None:
            sent["Content-Type"] = "text/plain"
        async with self.session.request(
            method, self.url + path, data=data, headers=sent | (headers or {})
        ) as response:
            return Answer(
                response.status,
                response.content_type,
                await response.text(),
                dict(response.headers),
            )

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("PUT", path, body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.call("DELETE", path, **options)
