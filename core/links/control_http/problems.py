"""Every error of the API as `application/problem+json` (RFC-9457), with a sentence for a person."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeAlias, final

from aiohttp import web

from core.errors import (
    AccountExists,
    AccountInUse,
    AmountTooLarge,
    Conflict,
    InsufficientBalance,
    InterledgerError,
    NodeFenced,
    NotAuthorized,
    NotFound,
    PaymentImpossible,
    SettingError,
    SettingErrors,
    StoreUnavailable,
    TransferDecided,
    UnknownAccount,
    UnknownRoute,
)

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTENT_TYPE: Final = "application/problem+json"
TYPE_ROOT: Final = "https://errors.interledger.org/http-api/"
"""interledger-rs's names for kinds of problem; clients compare them."""

_STATUS: Final[Mapping[type[InterledgerError], int]] = {
    SettingError: 400,
    AmountTooLarge: 400,
    NotAuthorized: 401,
    UnknownAccount: 404,
    UnknownRoute: 404,
    NotFound: 404,
    AccountExists: 409,
    AccountInUse: 409,
    InsufficientBalance: 409,
    Conflict: 409,
    TransferDecided: 409,
    PaymentImpossible: 422,
    StoreUnavailable: 503,
    NodeFenced: 503,
}
_RETRY_AFTER_SECONDS: Final = "1"


@final
class Refused(web.HTTPException):
    """A request that cannot be read, with its status and its kind of problem."""

    def __init__(self, status: int, detail: str, kind: str) -> None:
        self.status_code = status
        self.kind = kind
        super().__init__(text=detail)


def problem(
    status: int,
    detail: str,
    *,
    kind: str = "about:blank",
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return an error as a response; `detail` is the sentence, `extra` is for programs."""
    body = {
        "type": kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **(extra or {}),
    }
    return web.Response(
        status=status, text=json.dumps(body), content_type=CONTENT_TYPE, headers=headers
    )


def problem_of(error: InterledgerError) -> web.Response:
    """Return what the operator's door raised as a response."""
    status = next((_STATUS[kind] for kind in type(error).mro() if kind in _STATUS), 500)
    detail = _sentence(str(error))
    if isinstance(error, SettingError):
        faults = (
            error.faults
            if isinstance(error, SettingErrors)
            else ((error.field, error.problem),)
        )
        return problem(
            status,
            f"{error}.",  # begins with the field's name, as it is written
            kind=f"{TYPE_ROOT}json-data",
            extra={"invalid-params": [{"name": name, "reason": why} for name, why in faults]},
        )
    if isinstance(error, UnknownAccount):
        return problem(status, detail, kind=f"{TYPE_ROOT}accounts/account-not-found")
    if isinstance(error, NotAuthorized):
        return problem(status, detail, headers={"WWW-Authenticate": "Bearer"})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return problem(status, detail, headers={"Retry-After": _RETRY_AFTER_SECONDS})
    return problem(status, detail)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let no error leave as anything else, and nothing of the program's inside with it."""
    try:
        return await handler(request)
    except InterledgerError as error:
        response = problem_of(error)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s %s failed: %s", request.method, request.path, error)
        return response
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(
            error.status,
            f"{request.path} answers {allowed}, not {request.method}.",
            headers={"Allow": allowed},
        )
    except web.HTTPNotFound:
        return problem(404, f"There is no call {request.path}; docs/api.md lists them.")
    except web.HTTPRequestEntityTooLarge:
        return problem(413, "The body is larger than this call takes.")
    except Refused as error:
        return problem(error.status, error.text or "", kind=error.kind)
    except web.HTTPException as error:
        return problem(error.status, _sentence(error.text or error.reason))
    except Exception:
        # The last resort of the API, as services/last_resort.py is of the packets.
        log.exception("%s %s failed", request.method, request.path)
        return problem(500, "Something failed inside the node; its log says what.")


def _sentence(text: str) -> str:
    """Return an error's words as a sentence."""
    whole = text[:1].upper() + text[1:] if text[:1].isalpha() and " " in text else text
    return whole if whole.endswith((".", "?", "!")) else f"{whole}."
