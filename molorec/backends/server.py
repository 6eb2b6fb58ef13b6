"""A server with OpenAI's interface, as vLLM has: ``molorec serve`` starts one on this machine.

A server's mixtures are exported and named when it starts (``molorec-<adapters>-<rule>-<λ>``): it can load none later, for
whoever may have it load files may have it load any file.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import httpx

from molorec import port
from molorec.backends import Weights, Writing
from molorec.backends.one_token import OneToken
from molorec.errors import BadInput, MolorecError
from molorec.mixture.lam import Lam, rounded
from molorec.mixture.layer import AdapterStack

AT_ONCE = 64  # requests on their way
SECONDS = 120.0
IDLE = 2.0  # seconds that a connection is kept for the next request; vLLM closes it after 5
# what a request meets on a connection that is being closed: it was not answered, and can be sent again
_CUT = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
PREFIX = "molorec"


def name_of(key: str, rule: str, weights: Sequence[float]) -> str:
    """What a server calls the mixture of two adapters, or of one alone, whose weights have this key.

    >>> name_of("0123456789abcdef+fedcba9876543210", "sum", [0.25, 0.75])
    'molorec-0123456789abcdef.fedcba9876543210-sum-0.2500'
    """
    return f"{PREFIX}-{key.replace('+', '.')}-{rule}-{rounded(weights)[0]:.4f}"


class Server(OneToken):
    """A base model and its mixtures, behind an address.

    Parameters
    ----------
    address : such as ``http://127.0.0.1:8000``.
    vocabulary : how many tokens the model knows.

    Raises
    ------
    BadInput : that is no address. MolorecError : nobody answers there, or no such server.
    """

    rows = 21

    def __init__(self, address: str, vocabulary: int):
        self.address, self._vocabulary = _checked(address).rstrip("/").removesuffix("/v1"), vocabulary
        super().__init__()
        port.past_proxies()
        self._client = httpx.AsyncClient(base_url=f"{self.address}/v1", timeout=httpx.Timeout(SECONDS, pool=None),
                                         limits=httpx.Limits(max_connections=AT_ONCE, keepalive_expiry=IDLE))
        try:
            models = self._wait(self._answer("GET", "/models"))
            with self._in_words():
                names = [model["id"] for model in models["data"]]
                self._mixtures = {name for name in names if name.startswith(f"{PREFIX}-")}
            self._base = next((name for name in names if name not in self._mixtures), None)
            if self._base is None:
                raise MolorecError(f"{self.address} names no base model; start it with `molorec serve`")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connections and the loop."""
        if self._thread.is_alive():
            self._wait(self._client.aclose())
        super().close()

    async def ask(self, tokens: Sequence[int], children: Sequence[int], adapter: str) -> dict[int, float]:
        """See :class:`OneToken`."""
        answer = await self._answer("POST", "/completions", {
            "model": adapter, "prompt": list(tokens), "max_tokens": 1, "temperature": 0, "allowed_token_ids": list(children),
            "logprobs": 1, "logprob_token_ids": list(children), "return_tokens_as_token_ids": True})
        with self._in_words():
            found = answer["choices"][0]["logprobs"]["top_logprobs"][0]
        try:
            return {child: found[f"token_id:{child}"] for child in children}
        except KeyError:
            raise MolorecError(f"{self.address} gives no probability of given tokens; it has to be vLLM 0.32 or newer") from None

    async def stream(self, tokens: Sequence[int], adapter: str, how: Writing) -> AsyncIterator[list[int]]:
        """See :class:`OneToken`."""
        unwanted = set(how.unwanted)
        body = {"model": adapter, "prompt": list(tokens), "max_tokens": how.most, "min_tokens": how.least, "temperature": 0,
                "stop_token_ids": sorted(how.stops), "presence_penalty": how.repetition, "stream": True,
                "return_token_ids": True, "allowed_token_ids": [t for t in range(self._vocabulary) if t not in unwanted]}
        written: list[int] = []
        with self._in_words():
            async with self._client.stream("POST", "/completions", json=body) as response:
                if response.is_error:
                    await response.aread()
                    raise self._said(response)
                async for line in response.aiter_lines():
                    if not line.startswith("data: ") or line == "data: [DONE]":
                        continue
                    for choice in json.loads(line.removeprefix("data: ")).get("choices", []):
                        fresh = [token for token in choice.get("token_ids") or [] if token not in how.stops]
                        if fresh:
                            written += fresh
                            yield list(written)

    async def adapter(self, weights: Weights | None, stack: AdapterStack, rule: str):
        """See :class:`OneToken`. Raises BadInput, naming the λ that it has, for one that the server was started without."""
        if isinstance(weights, Lam):
            raise BadInput(f"{self.address} has mixtures of two adapters at one λ for all layers; for any other λ use --backend "
                           "local or vllm")
        name = self._base if weights is None else name_of(stack.key, rule, weights)
        if weights is not None and name not in self._mixtures:
            beginning = name.rpartition("-")[0] + "-"
            there = sorted(other.removeprefix(beginning) for other in self._mixtures if other.startswith(beginning))
            if not there:
                raise BadInput(f"{self.address} was started without these adapters under the rule '{rule}'; start it with "
                               "`molorec serve --domain …` for this domain")
            raise BadInput(f"{self.address} was started without λ = {rounded(weights)[0]:g}; it has λ = {', '.join(there)}")

        @asynccontextmanager
        async def named():
            yield name

        return named()

    async def _answer(self, method: str, path: str, body: dict | None = None) -> dict:
        with self._in_words():
            try:
                response = await self._client.request(method, path, json=body)
            except _CUT:
                response = await self._client.request(method, path, json=body)
            if response.is_error:
                raise self._said(response)
            return response.json()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Whatever goes wrong on the way, or is no answer of such a server, as a MolorecError."""
        try:
            yield
        except httpx.HTTPError as error:
            raise MolorecError(f"{self.address} does not answer ({str(error) or type(error).__name__}); start it with `molorec "
                               "serve`, or give its address: --backend http://…") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # no JSON, or some of another shape
            raise MolorecError(f"{self.address} does not answer as vLLM's server does; give the address of one that `molorec "
                               "serve` started: --backend http://…") from error

    def _said(self, response: httpx.Response) -> MolorecError:
        return MolorecError(f"{self.address} answers {response.status_code}: {response.text[:300]}")


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            httpx.URL(address)
            return address
    except (ValueError, httpx.InvalidURL):
        pass
    raise BadInput(f"'{address}' is no address of a server; it looks like http://127.0.0.1:8000, with a port from 1 to 65535")
