"""A bound on how much one address may ask for, so that one visitor's script keeps nobody else from the model."""

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from molorec import space
from molorec.config import LIMITS

# A form has a few bytes around the file that it sends.
_AROUND = 2**20


class RateLimit:
    """ASGI middleware: refuses in words what is more than :data:`molorec.config.LIMITS` allows.

    Only requests that make the server work count (POST): 429 for too many in a minute from one address, 413 for one
    that is too large. Behind a proxy (:func:`molorec.space.is_behind_proxy`) the address is the one that it names last: what
    stands before it may be the visitor's own words.
    """

    def __init__(self, app: ASGIApp):
        self.app, self._limiter = app, MovingWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerMinute(LIMITS.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = await self._refusal(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (refusal or self.app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > LIMITS.upload_bytes + _AROUND:
            return _said(413, f"that is larger than {LIMITS.upload_bytes // 2**20} MB, the most that can be sent; send less")
        # of several such lines the last: the ones before it are what the visitor sent
        named = ",".join(headers.getlist("x-forwarded-for")).split(",")[-1].strip() if space.is_behind_proxy() else ""
        address = named or (scope.get("client") or [""])[0]
        if not await self._limiter.hit(self._limit, address):
            return _said(429, f"these are more than {LIMITS.requests} requests in a minute from one address; wait a little")
        return None


def _said(status: int, words: str) -> JSONResponse:
    # "detail" is what the page shows, "error" what Gradio's client reads
    return JSONResponse({"detail": words, "error": words}, status)
