"""vLLM in this process.

Its requests name an adapter and no scale, so each mixture is exported as an adapter of its own, under a name, a number and
a path that are never used twice: what vLLM remembers of a prompt, it remembers by these.
"""

import asyncio
import atexit
import itertools
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from molorec.backbone import Backbone
from molorec.backends import Weights, Writing
from molorec.backends.one_token import OneToken
from molorec.errors import BadInput, MolorecError
from molorec.mixture import export
from molorec.mixture.lam import Lam, rounded
from molorec.mixture.layer import AdapterStack, Mixing

LONGEST = 2048  # tokens of a prompt and what follows
MIXTURES = 8  # exported adapters that are kept, and that one pass may hold
RANK = 64  # the largest of an exported mixture: two adapters of rank 32
INSTALL = "install it with: pip install -r requirements-gpu.txt (its own environment is best)"


@dataclass
class _Mixture:
    """An exported mixture: what a request names, and how many requests need it now."""

    request: object
    folder: Path
    users: int = 0


class VLLM(OneToken):
    """A base model run by vLLM.

    Parameters
    ----------
    base : the model's outline, see :func:`molorec.backbone.outline`.
    settings : further arguments of vLLM's ``AsyncEngineArgs``, such as ``tensor_parallel_size``.

    Raises
    ------
    MolorecError : vLLM is not installed, or cannot load the model.
    """

    rows = MIXTURES

    def __init__(self, base: Backbone, **settings):
        if base.folder is None:
            raise BadInput("vLLM reads the base model from a folder, and this one was made in memory")
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for what was asked for
        try:
            from vllm import AsyncEngineArgs, SamplingParams
            from vllm.lora.request import LoRARequest
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise MolorecError(f"vLLM is not here ({error}); {INSTALL}") from error
        self._sampling, self._lora = SamplingParams, LoRARequest
        self._numbers, self._mixtures = itertools.count(1), OrderedDict()
        self._exporting = asyncio.Lock()
        self._work = tempfile.TemporaryDirectory(prefix="molorec-vllm-")
        self._folder = Path(self._work.name)
        if base.precision == "nf4":
            settings = {"quantization": "bitsandbytes", **settings}
        names = sorted({path.rpartition(".")[2] for path in base.shapes})
        arguments = AsyncEngineArgs(**{
            "model": str(base.folder), "dtype": "float32" if base.precision == "float32" else "bfloat16",
            "max_model_len": LONGEST, "enable_prefix_caching": True, "enable_lora": True, "max_loras": MIXTURES,
            "max_cpu_loras": 2 * MIXTURES, "max_lora_rank": RANK,
            "lora_target_modules": names,  # not the head
            "seed": 0, "disable_log_stats": True, "enable_log_requests": False, **settings})
        super().__init__()
        atexit.register(self.close)  # a command ends without a word to us

        async def start():
            return AsyncLLM.from_engine_args(arguments)

        try:
            self._engine = self._wait(start())
        except Exception as error:
            self.close()
            raise MolorecError(f"vLLM could not load {base.folder} ({error}); its own words stand above") from error

    def close(self) -> None:
        """End vLLM's processes and delete the exported adapters; once is enough."""
        atexit.unregister(self.close)
        if hasattr(self, "_engine"):
            self._engine.shutdown()
            del self._engine
        super().close()
        self._work.cleanup()

    async def ask(self, tokens: Sequence[int], children: Sequence[int], adapter) -> dict[int, float]:
        """See :class:`OneToken`."""
        how = self._sampling(max_tokens=1, temperature=0, allowed_token_ids=list(children), logprob_token_ids=list(children),
                             detokenize=False)
        last = None
        async for last in self._requested(tokens, how, adapter):
            pass
        found = last.outputs[0].logprobs[0]
        return {child: found[child].logprob for child in children}

    async def stream(self, tokens: Sequence[int], adapter, how: Writing) -> AsyncIterator[list[int]]:
        """See :class:`OneToken`."""
        unwanted = set(how.unwanted)
        size = self._engine.model_config.get_vocab_size()
        wanted = [token for token in range(size) if token not in unwanted]
        sampling = self._sampling(max_tokens=how.most, min_tokens=how.least, temperature=0, stop_token_ids=sorted(how.stops),
                                  allowed_token_ids=wanted, presence_penalty=how.repetition, detokenize=False)
        async for answer in self._requested(tokens, sampling, adapter):
            written = [token for token in answer.outputs[0].token_ids if token not in how.stops]
            if written:
                yield written

    @asynccontextmanager
    async def _held(self, mixture: _Mixture | None):
        if mixture is None:
            yield None
            return
        mixture.users += 1  # here, so that a request that is cancelled before it begins holds nothing
        try:
            yield mixture.request
        finally:
            mixture.users -= 1

    async def adapter(self, weights: Weights | None, stack: AdapterStack, rule: str):
        """See :class:`OneToken`; exports the mixture unless it is among the latest."""
        if weights is None:
            return self._held(None)
        key = (stack.key or id(stack), rule, weights if isinstance(weights, Lam) else rounded(weights))
        async with self._exporting:
            found = self._mixtures.get(key)
            if found is None:
                number = next(self._numbers)
                folder = self._folder / f"mixture-{number}"
                await asyncio.to_thread(self._export, stack, key[-1], rule, folder)
                found = self._mixtures[key] = _Mixture(self._lora(f"mixture-{number}", number, str(folder)), folder)
            self._mixtures.move_to_end(key)
            await self._forget_oldest(but=found)
        return self._held(found)

    def _export(self, stack: AdapterStack, weights: Weights, rule: str, folder: Path) -> None:
        merged = export.merge(stack, weights, rule)
        if merged.rank > RANK:
            raise BadInput(f"a mixture of rank {merged.rank} is more than vLLM is set up for ({RANK}); mix smaller ones")
        export.write(merged, Mixing(stack, weights, rule, "global"), folder)

    async def _forget_oldest(self, but: _Mixture) -> None:
        for key, old in list(self._mixtures.items()):
            if len(self._mixtures) <= MIXTURES:
                return
            if not old.users and old is not but:
                del self._mixtures[key]
                try:
                    await self._engine.remove_lora(old.request.lora_int_id)
                finally:
                    shutil.rmtree(old.folder, ignore_errors=True)

    def _requested(self, tokens: Sequence[int], sampling, adapter):
        if len(tokens) >= LONGEST:
            raise BadInput(f"the model would have to read {len(tokens):,} tokens, and vLLM is set up for {LONGEST:,} here; take "
                           "fewer candidates, or --backend local")
        name = f"request-{next(self._numbers)}"
        return self._engine.generate({"prompt_token_ids": list(tokens)}, sampling, name, lora_request=adapter)
