"""Talking to a server of chat completions, as OpenAI's and many others are: the only file that asks one.

    with Endpoint("http://localhost:8000/v1", "my-model", recording=Recording(Path("requests.jsonl"))) as server:
        future = server.submit([{"role": "user", "content": "2+2?"}], temperature=0.0, max_tokens=8)
        print(future.result().text)

A bounded number of requests is under way at a time, on a thread of its own. An attempt that fails for a passing reason
(HTTP 408, 409, 425, 429, 5xx, a connection that breaks, no whole answer in time, an answer that is no completion or
that tells of an error) is repeated with doubling waits; what finally fails is `Lost`, and never an empty reply. The
client library's own retries are off: they repeat neither a trickling body nor an answer that is no JSON. The key
comes from the environment and is written nowhere, neither are headers; where a server's words repeat it, it is struck
out.

Left out: streaming, tools and pictures; what the messages say (`eggym.served`, `eggym.envs.judge`).
"""

import asyncio
import dataclasses
import json
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from eggym.completion import Answer, Failure, Lost, is_reply, read_completion, refusal
from eggym.errors import BadValue
from eggym.files import sha256_json
from eggym.recording import Recording
from eggym.seeding import stream
from eggym.source import told
from eggym.values import writable

Message = dict[str, str]  # role and content
_FIELDS = {found.name for found in dataclasses.fields(Answer)}
_SHORTEST_SECRET = 12
MOST_STOPS = 4  # stop strings that servers take in one request


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """How a server is asked."""

    timeout_s: float = 120.0  # of one attempt, to the last byte of the answer
    retries: int = 5  # further attempts after one that failed for a passing reason
    wait_s: float = 1.0  # before the first retry; doubles, less up to half by lot
    longest_wait_s: float = 60.0  # a server that asks for more with Retry-After is given up
    concurrency: int = 8  # requests under way at a time
    key: str = "OPENAI_API_KEY"  # the environment variable that holds the key; "": none is sent
    limit: str = "max_tokens"  # the field that limits a reply; newer models of OpenAI want max_completion_tokens
    send_seed: bool = True  # at temperature 1 every request carries a seed of its own; false for servers that mind
    extra: str = "{}"  # further fields of every request, as a JSON object

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("timeout_s", "wait_s", "longest_wait_s"):
            if not 0 < getattr(self, name) < 1e6:
                raise BadValue(f"endpoint.{name} must be a number of seconds above 0, got {getattr(self, name)!r}")
        if self.retries < 0 or self.concurrency < 1:
            raise BadValue(
                f"endpoint.retries must be at least 0 and endpoint.concurrency at least 1, got {self.retries!r} and "
                f"{self.concurrency!r}"
            )
        if self.limit not in ("max_tokens", "max_completion_tokens"):
            raise BadValue(f"endpoint.limit must be max_tokens or max_completion_tokens, got {self.limit!r}")
        self.fields()

    def fields(self) -> dict[str, Any]:
        """Return `extra` as a mapping."""
        try:
            found = json.loads(self.extra)
        except ValueError as problem:
            raise BadValue(f"endpoint.extra must be a JSON object, got {self.extra!r:.80}: {problem}") from problem
        if not isinstance(found, dict):
            raise BadValue(f"endpoint.extra must be a JSON object, got {self.extra!r:.80}")
        return found


@dataclass(slots=True)
class Spent:
    """What the requests of one session cost."""

    requests: int = 0  # attempts that went out
    retries: int = 0  # of them, those that repeated another
    answers: int = 0  # that came back whole
    recorded: int = 0  # answers taken from the recording: not asked
    lost: int = 0  # requests that finally failed
    prompt_tokens: int = 0  # of the answers that came back, by the server's count
    completion_tokens: int = 0
    unmetered: int = 0  # answers for which the server gave no counts


class Endpoint:
    """One model behind one server. Use it as a context: leaving it gives up what is still under way."""

    def __init__(
        self,
        url: str,
        model: str,
        options: EndpointOptions = EndpointOptions(),  # frozen
        recording: Recording | None = None,
        offline: bool = False,
    ) -> None:
        """Prepare; nothing is sent before the first `submit`.

        Args:
            url: the base address, such as ``http://localhost:8000/v1``.
            model: as the server calls it.
            options: see `EndpointOptions`.
            recording: where answers are looked up and kept; None: in memory.
            offline: answer from the recording alone, and refuse whatever it does not hold.

        Raises:
            BadValue: an address that is none or that holds a secret; the client library is missing.
        """
        self.url, self.model = _checked(url), model
        self.options, self.offline = options, offline
        self.recording = Recording() if recording is None else recording
        self.spent = Spent()
        self._secret = os.environ.get(options.key, "") if options.key else ""
        self._client = None if offline else _client(self.url, self._secret, options)
        self._seats = asyncio.Semaphore(options.concurrency)
        self._under_way: dict[str, asyncio.Task[Answer]] = {}

    def __enter__(self) -> Self:
        """Start the thread that sends."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is under way, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def submit(self, messages: Sequence[Message], salt: str = "", **params: Any) -> "Future[Answer]":
        """Ask; the future holds the `Answer`, or raises.

        ``params`` are the fields of the request, such as ``temperature=0.0``. Equal requests are asked once; ``salt``,
        which is not sent, tells apart those that shall be asked again.

        Raises (from the future):
            Lost: it finally failed.
            BadValue: the server refuses the key, or knows no such model or address; offline, an unknown request.
        """
        request = {
            "url": self.url,
            "model": self.model,
            "messages": [{name: writable(text) for name, text in message.items()} for message in messages],
            "params": {**params, **self.options.fields()},
            "salt": salt,
        }
        return asyncio.run_coroutine_threadsafe(self._shared(request), self._loop)

    def ask_all(self, requests: Iterable[Sequence[Message]], **params: Any) -> "list[Answer | Lost]":
        """Ask all; return answers in the order of the requests, and `Lost` where one finally failed.

        Raises:
            BadValue: as `submit`.
        """
        return [_result(future) for future in [self.submit(messages, **params) for messages in requests]]

    async def _shared(self, request: dict[str, Any]) -> Answer:
        key = sha256_json(request)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(self._answer(request))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)

    async def _answer(self, request: dict[str, Any]) -> Answer:
        found = self.recording.find(request)
        if found is not None and found.keys() == _FIELDS and is_reply(found["text"], found["finish"]):
            self.spent.recorded += 1
            return Answer(**found)
        if self.offline:
            raise BadValue(
                f"offline, and the recording {self.recording.path} holds no answer of {self.model!r} to "
                f"{request['messages'][-1]['content']!r:.60}; ask the server once, with the same settings"
            )
        async with self._seats:
            answer = await self._insist(request)
        self.recording.keep(request, dataclasses.asdict(answer))
        return answer

    async def _insist(self, request: dict[str, Any]) -> Answer:
        """Attempt until there is an answer, a failure that will not pass, or no attempt left."""
        options = self.options
        for attempt in range(options.retries + 1):
            self.spent.requests += 1
            self.spent.retries += attempt > 0
            try:
                return await asyncio.wait_for(self._attempt(request), options.timeout_s)
            except TimeoutError:
                failure = Failure(f"no whole answer within {options.timeout_s:g} s")
            except Failure as problem:
                failure = problem
            wait = self._wait(request, attempt, failure)
            if wait is None:
                break
            await asyncio.sleep(wait)
        self.spent.lost += 1
        raise failure.final(self.url, self.model, attempt + 1)

    def _wait(self, request: dict[str, Any], attempt: int, failure: "Failure") -> float | None:
        """Return how many seconds to wait before the next attempt; None: there is none."""
        options = self.options
        if attempt == options.retries or not failure.passing:
            return None
        if failure.retry_after is not None:
            return failure.retry_after if failure.retry_after <= options.longest_wait_s else None
        lot = stream("endpoint", sha256_json(request), attempt).random()
        return min(options.wait_s * 2.0**attempt, options.longest_wait_s) * (1 - lot / 2)

    async def _attempt(self, request: dict[str, Any]) -> Answer:
        import openai

        assert self._client is not None  # noqa: S101 - offline never comes here
        try:
            raw = await self._client.chat.completions.with_raw_response.create(
                model=request["model"], messages=request["messages"], extra_body=request["params"]
            )
            text = raw.text
        except openai.APIStatusError as problem:
            raise refusal(problem, self._clean) from None
        except openai.APITimeoutError:
            raise Failure(f"no whole answer within {self.options.timeout_s:g} s") from None
        except Exception as problem:  # noqa: BLE001 - what a connection may do has no end, and each of it may pass
            cause = problem.__cause__ or problem
            raise Failure(f"the connection failed ({self._clean(told(cause))})") from None
        answer, metered = read_completion(self._clean(text, 1 << 26))
        self.spent.answers += 1
        self.spent.unmetered += not metered
        self.spent.prompt_tokens += answer.prompt_tokens
        self.spent.completion_tokens += answer.completion_tokens
        return answer

    def _clean(self, text: str, length: int = 200) -> str:
        """Return a server's words as they may be shown and kept: without the key."""
        # a short word is no secret ("EMPTY" is usual for local servers), and may well stand in a reply
        shown = text.replace(self._secret, "***") if len(self._secret) >= _SHORTEST_SECRET else text
        return shown[:length]

    async def _close(self) -> None:
        tasks = [*self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)
        if self._client is not None:
            await self._client.close()


def _result(future: "Future[Answer]") -> Answer | Lost:
    try:
        return future.result()
    except Lost as problem:
        return problem


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadValue(f"{url!r:.80} is no address of a server; write for example http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadValue(
            f"the address of {parts.hostname!r} must hold no user, password or query, for it is written down; put the "
            "key into the environment variable OPENAI_API_KEY"
        )
    return url.rstrip("/")


def _client(url: str, secret: str, options: EndpointOptions) -> Any:
    if options.key not in ("", "OPENAI_API_KEY") and not secret:
        raise BadValue(f"the environment variable {options.key!r}, which should hold the server's key, is not set")
    try:
        from openai import AsyncOpenAI
    except ModuleNotFoundError as problem:
        raise BadValue('servers are asked with the openai package; pip install "eggym[judge]"') from problem
    return AsyncOpenAI(
        base_url=url,
        api_key=secret or "none",  # local servers want none, the library does
        max_retries=0,
        timeout=options.timeout_s,
    )
