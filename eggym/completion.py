"""What a server of chat completions answered: a reply, or a failure, and whether that failure may pass.

Left out: sending and waiting (`eggym.endpoint`).
"""

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eggym.errors import BadValue, EggymError
from eggym.values import writable

_PASSING = (408, 409, 425, 429)  # statuses worth another attempt, besides 5xx
_BROKEN = ("error", "abort", "aborted", "cancelled", "canceled", "timeout")  # finish_reason of what was cut short
_ENDED = ("stop", "length", "eos", "eos_token", "stop_sequence", "end_turn", "max_tokens")
_MOST_TOKENS = 10**9  # of one answer; a count above is no count
_HINTS = {
    401: "set the environment variable that --set endpoint.key=NAME names (OPENAI_API_KEY by default)",
    404: "check the model's name, and that the address ends as the server wants it, mostly in /v1",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    text: str
    finish: str  # "stop", "length", or the server's own word
    prompt_tokens: int  # by the server's count; 0 where it gives none
    completion_tokens: int


class Lost(EggymError):
    """A request that finally failed: there is no reply, which is no bad reply."""


class TooLong(Lost):
    """The server says that the messages do not fit the model's context."""


class Failure(Exception):
    """One attempt that brought no answer."""

    def __init__(
        self, why: str, passing: bool = True, status: int = 0, retry_after: float | None = None, long: bool = False
    ) -> None:
        super().__init__(why)
        self.passing, self.status, self.retry_after, self.long = passing, status, retry_after, long

    def final(self, url: str, model: str, attempts: int) -> EggymError:
        """Return what the caller is told."""
        times = f" after {attempts} attempts" if attempts > 1 else ""
        line = writable(" ".join(f"{url} gave no reply of {model!r}{times}: {self}".split()))
        if self.status in _HINTS:
            return BadValue(f"{line}; {_HINTS[self.status]}")
        return TooLong(line) if self.long else Lost(line)


def refusal(problem: Any, clean: Callable[[str], str]) -> Failure:
    """Return the failure that a status of 4xx or 5xx is.

    Args:
        problem: the client library's ``APIStatusError``.
        clean: makes a server's words fit to be shown.
    """
    status, code = problem.status_code, getattr(problem, "code", None) or ""
    said = clean(_message(problem))
    passing = (status in _PASSING or status >= 500) and code != "insufficient_quota"
    long = status in (400, 413) and ("context_length" in code or "context length" in said.lower())
    return Failure(f"HTTP {status}: {said}", passing, status, retry_after(problem.response.headers), long)


def read_completion(text: str) -> tuple[Answer, bool]:
    """Return the completion that an answer holds, and whether it came with counts of tokens.

    Raises:
        Failure: it is no completion, or the server withheld the reply.
    """
    try:
        body = json.loads(text)
        choice = body["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        said = message.get("content")
        problem = body.get("error") or choice.get("error")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as fault:
        start = " ".join(text[:60].split())
        raise Failure(f"the answer is no completion ({type(fault).__name__}); it begins {start!r}") from None
    if finish == "content_filter":
        raise Failure("the server's content filter withheld the reply", passing=False)
    if problem:  # a provider behind the server failed, and the status is 200 all the same
        raise Failure(f"the answer holds an error: {_words(problem)}")
    if said is None:
        said = message.get("refusal")  # a refusal is a reply
    if said is None and "content" in message:
        said = ""  # so is nothing at all, where the model ended by itself: all went into thinking
    if not isinstance(said, str) or not isinstance(finish, str | None):
        raise Failure(f"the answer's content is no text but {said!r:.40}, its finish_reason {finish!r:.40}")
    if not is_reply(said, finish or ""):
        raise Failure(f"the server ended the reply with finish_reason {finish!r:.40}")
    usage = body.get("usage")
    prompt, completion = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    answer = Answer(writable(said), finish or "stop", prompt or 0, completion or 0)
    return answer, prompt is not None and completion is not None


def is_reply(text: str, finish: str) -> bool:
    """Say whether the model wrote this to its end: an empty text is a reply only where it stopped or ran out of room.

    >>> is_reply("", "length"), is_reply("", "abort"), is_reply("Better: first", "error")
    (True, False, False)
    """
    return finish.lower() not in _BROKEN if text.strip() else finish.lower() in _ENDED


def _words(problem: Any) -> str:
    said = problem.get("message") if isinstance(problem, Mapping) else None
    return " ".join(str(said or problem).split())[:200]


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _message(problem: Any) -> str:
    """Return the server's own words about a refusal, in one line."""
    body = problem.body
    inner = body.get("message") or body.get("detail") if isinstance(body, Mapping) else None
    return " ".join(str(inner or problem.response.text or problem.message).split())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or as a date."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if seconds == seconds else None
