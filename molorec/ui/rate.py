"""A bound on how much one address may ask for, so that one visitor's script keeps nobody else from the model."""

from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from molorec import space
from molorec.config import LIMITS

_AROUND = 2**20  # a request has a few bytes around what it carries


class RateLimit:
    """ASGI middleware: refuses in words what is more than :data:`molorec.config.LIMITS` allows.

    Only requests that make the server work count (POST): 429 for too many in a minute, or too many files in an hour, from one
    address; 413 for one that is too large, whether it says so or turns out to be. Behind a proxy
    (:func:`molorec.space.is_behind_proxy`) the address is the one that it names last: what stands before it may be the
    visitor's own words.
    """

    def __init__(self, app: ASGIApp):
        self.app, self._limiter = app, MovingWindowRateLimiter(MemoryStorage())
        self._requests, self._uploads = RateLimitItemPerMinute(LIMITS.requests), RateLimitItemPerHour(LIMITS.uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        is_upload = scope["path"].endswith("/upload")
        most = LIMITS.upload_bytes if is_upload else LIMITS.request_bytes
        refusal = _too_large(most, Headers(scope=scope).get("content-length", "")) or await self._too_many(scope, is_upload)
        if refusal:
            await refusal(scope, receive, send)
        else:
            await _within(most, self.app, scope, receive, send)

    async def _too_many(self, scope: Scope, is_upload: bool) -> JSONResponse | None:
        # of several such lines the last: the ones before it are what the visitor sent
        lines = Headers(scope=scope).getlist("x-forwarded-for") if space.is_behind_proxy() else []
        address = ",".join(lines).split(",")[-1].strip() or (scope.get("client") or [""])[0]
        if not await self._limiter.hit(self._requests, address):
            return _said(429, f"these are more than {LIMITS.requests} requests in a minute from one address; wait a little")
        if is_upload and not await self._limiter.hit(self._uploads, address):
            return _said(429, f"these are more than {LIMITS.uploads} files in an hour from one address; wait a while")
        return None


async def _within(most: int, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let ``app`` answer a request of at most ``most`` bytes; one that does not say its length is counted as it comes."""
    read, answered, refused = 0, False, False

    async def counted() -> Message:
        nonlocal read, refused
        message = await receive()
        read += len(message.get("body", b""))
        if read <= most + _AROUND:
            return message
        if not answered and not refused:
            refused = True
            await _too_large(most, str(read))(scope, receive, send)
        return {"type": "http.disconnect"}

    async def unless_refused(message: Message) -> None:
        nonlocal answered
        answered = True
        if not refused:
            await send(message)

    try:
        await app(scope, counted, unless_refused)
    except ClientDisconnect:
        if not refused:
            raise


def _too_large(most: int, length: str) -> JSONResponse | None:
    if length.isdecimal() and int(length) > most + _AROUND:
        return _said(413, f"that is larger than {most // 2**20} MB, the most that can be sent; send less")
    return None


def _said(status: int, words: str) -> JSONResponse:
    # "detail" is what the page shows, "error" what Gradio's client reads
    return JSONResponse({"detail": words, "error": words}, status)
