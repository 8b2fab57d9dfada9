"""The client, the recording and `eggym eval --endpoint`, against a real server that misbehaves on purpose."""

import json
import subprocess
import sys

import pytest

from eggym.cli import main
from eggym.completion import Answer, Lost, TooLong, retry_after
from eggym.endpoint import Endpoint, EndpointOptions
from eggym.errors import BadValue, EggymError, TaskFault
from eggym.evaluate import first_items
from eggym.recording import Recording
from eggym.registry import load_task
from eggym.served import evaluate_served, plan_served
from eggym.talks import cut
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState

QUICK = EndpointOptions(timeout_s=5, retries=2, wait_s=0.01, longest_wait_s=0.5)
IMPATIENT = EndpointOptions(timeout_s=0.6, retries=2, wait_s=0.01)
KEY = "sk-a-key-that-nobody-may-see"


def ask(url, *texts, options=QUICK, recording=None, offline=False):
    """Ask one request per text; return the answers and what they cost."""
    with Endpoint(url, "m", options, recording, offline) as server:
        found = server.ask_all([[{"role": "user", "content": text}] for text in texts], temperature=0.0)
        return found, server.spent


# -- the client -------------------------------------------------------------------------------------------------------
def test_a_reply_comes_back_with_the_servers_counts(chat_server):
    server = chat_server(lambda number, body: f"you said {body['messages'][0]['content']}")
    (answer,), spent = ask(server.url, "hello")
    assert answer == Answer("you said hello", "stop", 7, 3)
    assert (spent.requests, spent.retries, spent.prompt_tokens, spent.completion_tokens) == (1, 0, 7, 3)
    assert server.requests == [
        {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.0},
    ]


PASSING = {
    "429 with Retry-After": (429, {"Retry-After": "0.02"}, {"error": {"message": "slow down"}}),
    "500": (500, {}, {"error": {"message": "oops"}}),
    "503 in plain words": (503, {}, b"<html>come back later</html>"),
    "a stalled body": "STALL",
    "a connection dropped in the middle of the body": "DROP",
    "garbage instead of JSON": (200, {"Content-Type": "application/json"}, b"{not JSON"),
    "a page of HTML": b"<html>hello</html>",
    "no choices": {"choices": []},
    "a choice without a message": {"choices": [{"index": 0}]},
    "JSON that is no object": [1, 2],
    "content that is no text": {"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]},
    "a provider's failure": {"choices": [{"message": {"content": ""}, "finish_reason": "error"}]},
    "a failure behind half a reply": {"choices": [{"message": {"content": "Better: first"}, "finish_reason": "error"}]},
    "an aborted reply": {"choices": [{"message": {"content": None}, "finish_reason": "abort"}]},
    "a message without content": {"choices": [{"message": {}, "finish_reason": "stop"}]},
    "nothing, and no word of how it ended": {"choices": [{"message": {"content": None}}]},
    "an error beside choices": {
        "error": {"message": "upstream", "code": 502},
        "choices": [{"message": {"content": "hm"}, "finish_reason": "stop"}],
    },
    "an error in the choice": {
        "choices": [{"message": {"content": "hm"}, "finish_reason": "stop", "error": {"message": "upstream"}}]
    },
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_a_failure_that_may_pass_is_asked_again(chat_server, failure):
    server = chat_server(lambda number, body: failure if number == 0 else "good")
    (answer,), spent = ask(server.url, "x", options=IMPATIENT if failure == "STALL" else QUICK)
    assert isinstance(answer, Answer) and answer.text == "good"
    assert (spent.requests, spent.retries, spent.lost) == (2, 1, 0)
    assert (spent.prompt_tokens, spent.completion_tokens) == (7, 3)  # a failure is not counted


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_what_fails_every_time_is_lost_and_no_empty_reply(chat_server, failure):
    server = chat_server(lambda number, body: failure)
    (answer,), spent = ask(server.url, "x", options=EndpointOptions(timeout_s=0.3, retries=1, wait_s=0.01))
    assert isinstance(answer, Lost) and "after 2 attempts" in str(answer) and "\n" not in str(answer)
    assert (spent.requests, spent.retries, spent.lost) == (2, 1, 1)


def test_a_body_that_trickles_is_given_up_as_a_whole(chat_server):
    # a byte every 0.1 s: no single read takes long, the answer would take ten seconds
    server = chat_server(lambda number, body: "TRICKLE")
    (answer,), _ = ask(server.url, "x", options=EndpointOptions(timeout_s=0.5, retries=0))
    assert isinstance(answer, Lost) and "no whole answer within 0.5 s" in str(answer)


def test_a_server_that_is_not_there_is_lost(chat_server):
    server = chat_server(lambda number, body: "good")
    url = server.url
    server._server.server_close()
    (answer,), _ = ask(url, "x")
    assert isinstance(answer, Lost) and "connection" in str(answer)


@pytest.mark.parametrize(
    ("act", "word"),
    [
        ((400, {}, {"error": {"message": "bad field"}}), "bad field"),
        ((422, {}, {"detail": "unprocessable"}), "unprocessable"),
        ((429, {}, {"error": {"message": "pay first", "code": "insufficient_quota"}}), "pay first"),
        ((429, {"Retry-After": "3600"}, {"error": {"message": "next hour"}}), "next hour"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}, "filter"),
    ],
)
def test_what_will_not_pass_is_asked_once(chat_server, act, word):
    server = chat_server(lambda number, body: act)
    (answer,), spent = ask(server.url, "x")
    assert isinstance(answer, Lost) and word in str(answer) and spent.requests == 1


@pytest.mark.parametrize(("status", "hint"), [(401, "OPENAI_API_KEY"), (404, "/v1")])
def test_a_wrong_key_or_name_ends_everything_with_the_way_out(chat_server, status, hint):
    server = chat_server(lambda number, body: (status, {}, {"error": {"message": "no"}}))
    with pytest.raises(BadValue, match=hint):
        ask(server.url, "x")
    assert len(server.requests) == 1


def test_messages_that_outgrow_the_context_are_told_apart(chat_server):
    said = {"error": {"message": "This model's maximum context length is 8", "code": "context_length_exceeded"}}
    (answer,), _ = ask(chat_server(lambda number, body: (400, {}, said)).url, "x")
    assert isinstance(answer, TooLong)


def test_no_more_requests_than_allowed_are_under_way(chat_server):
    import time

    def slow(number, body):
        time.sleep(0.03)
        return "ok"

    server = chat_server(slow)
    found, _ = ask(server.url, *map(str, range(9)), options=EndpointOptions(concurrency=3))
    assert len(found) == 9 and server.most_at_once == 3


def test_answers_come_in_the_order_of_the_requests(chat_server):
    server = chat_server(lambda number, body: body["messages"][0]["content"])
    found, _ = ask(server.url, *map(str, range(20)))
    assert [one.text for one in found] == [str(number) for number in range(20)]


def test_equal_requests_under_way_are_asked_once(chat_server):
    server = chat_server(lambda number, body: "ok")
    found, spent = ask(server.url, "x", "x", "y")
    assert len(found) == 3 and spent.requests == len(server.requests) == 2


def test_leaving_gives_up_what_is_under_way(chat_server):
    server = chat_server(lambda number, body: "STALL")
    with Endpoint(server.url, "m", EndpointOptions(timeout_s=60)) as endpoint:
        future = endpoint.submit([{"role": "user", "content": "x"}])
    assert future.done()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"refusal": "No."}, "No."),
        ({"content": ""}, ""),
    ],
)
def test_no_content_is_an_empty_reply_and_a_refusal_is_one(chat_server, message, text):
    server = chat_server(lambda number, body: {"choices": [{"message": message, "finish_reason": "length"}]})
    (answer,), spent = ask(server.url, "x")
    assert answer == Answer(text, "length", 0, 0) and spent.unmetered == 1


@pytest.mark.parametrize("count", [10**400, 10**10, -1, True, "7", 7.0, None])
def test_a_count_of_tokens_that_is_none_is_not_summed(chat_server, count):
    usage = {"prompt_tokens": 5, "completion_tokens": count}
    said = {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}], "usage": usage}
    (answer,), spent = ask(chat_server(lambda number, body: said).url, "x")
    assert (answer.prompt_tokens, answer.completion_tokens) == (5, 0)
    assert (spent.prompt_tokens, spent.completion_tokens, spent.unmetered) == (5, 0, 1)


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0  # past
    assert retry_after({"retry-after": "Fri, 21 Oct 2033 07:28:00 GMT"}) > 1e6
    assert [retry_after({"retry-after": text}) for text in ("", "soon", "nan")] == [None] * 3


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://x/v1", "http://", "http://me:secret@host/v1", "http://host/v1?key=secret", "http://[/"],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(url):
    with pytest.raises(BadValue) as caught:
        Endpoint(url, "m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", [{"timeout_s": 0.0}, {"retries": -1}, {"concurrency": 0}, {"limit": "n"}, {"extra": "[1]"}, {"extra": "{"}]
)
def test_options_outside_their_range_are_refused_by_name(bad):
    with pytest.raises(BadValue, match=next(iter(bad))):
        EndpointOptions(**bad)


def test_further_fields_are_sent(chat_server):
    server = chat_server(lambda number, body: "ok")
    ask(server.url, "x", options=EndpointOptions(extra='{"top_k": 3}'))
    assert server.requests[0]["top_k"] == 3


# -- keys -------------------------------------------------------------------------------------------------------------
def test_the_key_is_sent_and_written_nowhere(chat_server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = chat_server(
        lambda number, body: f"your key is {KEY}" if number == 0 else (400, {}, {"error": {"message": KEY}})
    )
    path = tmp_path / "requests.jsonl"
    (good,), _ = ask(server.url, "x", recording=Recording(path))
    (lost,), _ = ask(server.url, "y", recording=Recording(path))
    assert [headers["authorization"] for headers in server.headers] == [f"Bearer {KEY}"] * 2
    assert good.text == "your key is ***" and "***" in str(lost)
    assert KEY not in path.read_text() + str(lost) + json.dumps(server.requests)


def test_a_short_key_is_no_secret_and_stays_in_replies(chat_server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    (answer,), _ = ask(chat_server(lambda number, body: "the box is EMPTY").url, "x")
    assert answer.text == "the box is EMPTY"


def test_a_named_variable_holds_the_key_and_must_be_set(chat_server, monkeypatch):
    server = chat_server(lambda number, body: "ok")
    with pytest.raises(BadValue, match="MY_KEY"):
        ask(server.url, "x", options=EndpointOptions(key="MY_KEY"))
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    ask(server.url, "x", options=EndpointOptions(key="MY_KEY"))
    ask(server.url, "x", options=EndpointOptions(key=""))
    assert [headers["authorization"] for headers in server.headers] == [f"Bearer {KEY}", "Bearer none"]


def test_without_the_client_library_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(BadValue, match=r'pip install "eggym\[judge\]"'):
        Endpoint("http://localhost:1/v1", "m")
    Endpoint("http://localhost:1/v1", "m", offline=True)  # a replay needs no library


def test_importing_the_client_imports_nothing_heavy():
    code = "import eggym.endpoint, sys; print([n for n in ('openai', 'torch', 'numpy', 'httpx2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# -- the recording ----------------------------------------------------------------------------------------------------
def test_what_was_answered_is_not_asked_again(chat_server, tmp_path):
    server = chat_server(lambda number, body: f"reply {number}")
    path = tmp_path / "deep" / "requests.jsonl"
    first, _ = ask(server.url, "x", recording=Recording(path))
    again, spent = ask(server.url, "x", "y", recording=Recording(path))
    assert again[0] == first[0] and again[1].text == "reply 1"
    assert (spent.requests, spent.recorded) == (1, 1) and len(Recording(path)) == 2


def test_a_recorded_failure_is_asked_again(chat_server, tmp_path):
    server = chat_server(lambda number, body: "good")
    path = tmp_path / "requests.jsonl"
    ask(server.url, "x", recording=Recording(path))
    request = json.loads(path.read_text().splitlines()[-1])["request"]
    Recording(path).keep(request, {"text": "", "finish": "error", "prompt_tokens": 0, "completion_tokens": 0})
    (answer,), spent = ask(server.url, "x", recording=Recording(path))
    assert (answer.text, spent.requests, spent.recorded) == ("good", 1, 0)


@pytest.mark.parametrize("change", [{"model": "n"}, {"messages": [{"role": "user", "content": "y"}]}, {"salt": "2"}])
def test_a_request_is_its_address_model_messages_and_fields(change):
    recording = Recording()
    request = {"url": "u", "model": "m", "messages": [{"role": "user", "content": "x"}], "params": {}, "salt": ""}
    recording.keep(request, {"text": "kept"})
    assert recording.find(dict(reversed(request.items()))) == {"text": "kept"}
    assert recording.find({**request, **change}) is None


def test_offline_replays_and_refuses_what_is_unknown(chat_server, tmp_path, monkeypatch):
    server = chat_server(lambda number, body: "good")
    path = tmp_path / "requests.jsonl"
    ask(server.url, "x", recording=Recording(path))
    (answer,), _ = ask(server.url, "x", recording=Recording(path), offline=True)
    assert answer.text == "good"
    with pytest.raises(BadValue, match=r"offline.*'y'"):
        ask(server.url, "y", recording=Recording(path), offline=True)
    assert len(server.requests) == 1


def test_a_line_that_a_crash_tore_is_asked_again_and_spoils_no_other(tmp_path):
    path = tmp_path / "requests.jsonl"
    for text in "ab":
        Recording(path).keep({"text": text}, {"said": text})
    path.write_bytes(path.read_bytes()[:-9])
    torn = Recording(path)
    assert torn.find({"text": "a"}) and torn.find({"text": "b"}) is None
    torn.keep({"text": "b"}, {"said": "again"})
    assert Recording(path).find({"text": "b"}) == {"said": "again"} and len(Recording(path)) == 2


def test_an_answer_moved_to_another_request_is_not_believed(tmp_path):
    path = tmp_path / "requests.jsonl"
    Recording(path).keep({"text": "a"}, {"said": "a"})
    path.write_text(path.read_text().replace('"request":{"text":"a"}', '"request":{"text":"b"}'))
    assert len(Recording(path)) == 0


# -- evaluation -------------------------------------------------------------------------------------------------------
class Echo(SingleTurnTask):
    """Say the number again."""

    id = "test/echo-v0"
    system = "Be brief."
    few_shot = (("say 1000", "1000"),)
    stop = ("\n", "!", "?", ";", "#")
    max_new_tokens = 9

    def generate(self, rng):
        number = rng.randrange(100_000)
        return Item(f"say {number}", str(number))

    def score(self, item, reply):
        return float(reply == item.truth)


class Ladder(MultiTurnTask):
    """Count on, twice."""

    id = "test/ladder-v0"
    max_turns = 2

    def generate(self, rng):
        number = rng.randrange(900)
        return Item(f"after {number}?", number)

    def start(self, item, rng):
        return {"next": item.truth + 1, "right": 0, "turns": 0}

    def reply(self, state, text):
        state["right"] += text == str(state["next"])
        state["next"] += 1
        state["turns"] += 1
        return f"after {state['next'] - 1}?", state["turns"] == 2

    def score(self, state):
        return state["right"] / 2


class Fresh(Ladder):
    """Each turn in a context of its own."""

    id = "test/fresh-v0"
    fresh_context = True


@pytest.fixture
def plan(monkeypatch):
    """Return a plan for a class of task, with quick retries."""

    def make(kind, url, **settings):
        monkeypatch.setattr("eggym.served.load_task", lambda task, **options: kind(**options))
        quick = {"endpoint.timeout_s": 5, "endpoint.retries": 1, "endpoint.wait_s": 0.01}
        return plan_served(kind.id, url, "m", 0, None, {"eval.items": 6, **quick, **settings})

    return make


def last_number(body):
    return body["messages"][-1]["content"].strip("?").split()[-1]


def test_a_task_is_put_as_chat_messages_and_scored(chat_server, plan):
    server = chat_server(lambda number, body: f"{last_number(body)}# and more")
    found = evaluate_served(plan(Echo, server.url, **{"eval.replies": 2}))
    assert (found.greedy.mean, found.greedy.se, found.greedy.n_replies) == (1.0, 0.0, 6)
    assert (found.sampled.mean, found.sampled.n_replies, found.sampled.states) == (1.0, 12, {"correct": 12})
    greedy = [body for body in server.requests if body["temperature"] == 0.0]
    before = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "say 1000"},
        {"role": "assistant", "content": "1000"},
    ]
    asked = [[*before, {"role": "user", "content": item.prompt}] for item in first_items(Echo(), "test", 6)]
    assert sorted(map(str, asked)) == sorted(str(body["messages"]) for body in greedy)  # several are under way at once
    assert greedy[0]["max_tokens"] == 9 and "seed" not in greedy[0]
    assert greedy[0]["stop"] == ["\n", "!", "?", ";"]  # servers take four; "#" was cut here
    assert len({body["seed"] for body in server.requests if body["temperature"] == 1.0}) == 12
    assert found.tokens == {"greedy": {"prompt": 42, "completion": 18}, "sampled": {"prompt": 84, "completion": 36}}


def test_replies_to_one_item_are_asked_apart_without_seeds_too(chat_server, plan):
    server = chat_server(lambda number, body: "0")
    settings = {"eval.replies": 2, "endpoint.send_seed": False, "endpoint.limit": "max_completion_tokens"}
    evaluate_served(plan(Echo, server.url, **settings, **{"endpoint.extra": {"top_k": 3}}))
    assert len(server.requests) == 6 + 12
    assert all("seed" not in body and body["top_k"] == 3 for body in server.requests)
    assert all(body["max_completion_tokens"] == 9 and "max_tokens" not in body for body in server.requests)


def test_the_items_are_those_of_a_model_in_memory(chat_server, plan):
    server = chat_server(lambda number, body: "0")
    found = evaluate_served(plan(Echo, server.url))
    items = first_items(Echo(), "test", 6)
    assert [line["prompt"] for line in found.lines if line["mode"] == "greedy"] == [item.prompt for item in items]


def test_several_turns_carry_the_talk_and_a_fresh_context_does_not(chat_server, plan):
    def right(number, body):
        return str(int(last_number(body)) + 1)

    for kind, n_messages in ((Ladder, 3), (Fresh, 1)):
        server = chat_server(right)
        found = evaluate_served(plan(kind, server.url))
        assert found.greedy.mean == 1.0
        assert {len(body["messages"]) for body in server.requests} == {1, n_messages}
        assert all(len(line["turns"]) == 2 for line in found.lines)


def test_a_context_that_is_full_is_judged_as_it_stands(chat_server, plan):
    full = (400, {}, {"error": {"message": "maximum context length", "code": "context_length_exceeded"}})
    server = chat_server(lambda number, body: full if len(body["messages"]) > 1 else str(int(last_number(body)) + 1))
    found = evaluate_served(plan(Ladder, server.url))
    assert found.greedy.mean == 0.5 and {line["ending"] for line in found.lines} == {"out_of_context"}


def test_a_few_lost_requests_are_missing_and_never_zero(chat_server, plan):
    # 120 items: one lost is 0.8 %, and the mean is over the other 119
    unlucky = first_items(Echo(), "test", 120)[7].prompt

    def script(number, body):
        asked = body["messages"][-1]["content"]
        return (400, {}, {"error": {"message": "odd"}}) if asked == unlucky else last_number(body)

    found = evaluate_served(plan(Echo, chat_server(script).url, **{"eval.items": 120}))
    assert found.greedy.mean == 1.0 and found.greedy.states == {"correct": 119, "error": 1}
    assert found.greedy.rewards[7] is None
    lost = [line for line in found.lines if line["reward"] is None]
    assert [(line["mode"], line["ending"]) for line in lost] == [("greedy", "lost"), ("sampled", "lost")]
    assert "odd" in lost[0]["why"]


def test_many_lost_requests_fail_loudly_after_saving_and_the_same_call_asks_for_the_rest(chat_server, plan, tmp_path):
    broken = [True]
    unlucky = first_items(Echo(), "test", 12)[3].truth

    def script(number, body):
        if broken[0] and last_number(body) == unlucky:
            return (400, {}, {"error": {"message": "odd number"}})
        return last_number(body)

    server = chat_server(script)
    asked = plan(Echo, server.url, **{"endpoint.concurrency": 1, "eval.items": 12})
    with pytest.raises(EggymError, match=r"1 of 12 greedy episodes .* got no reply.*odd number.*--out"):
        evaluate_served(asked, tmp_path)
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    kept = [json.loads(line) for line in (folder / "replies.jsonl").read_text().splitlines()]
    assert kept and sum(line["reward"] is None for line in kept) == 1 and not (folder / "evaluation.json").exists()
    assert sum(line["reward"] == 1.0 for line in kept) == 3
    broken[0] = False
    found = evaluate_served(asked, tmp_path)
    assert found.greedy.mean == found.sampled.mean == 1.0
    assert found.spent.recorded >= 3 and found.spent.recorded + found.spent.requests == 24


def test_a_grader_that_fails_is_no_zero_either(chat_server, plan):
    class Broken(Echo):
        def score(self, item, reply):
            raise ValueError("oops")

    with pytest.raises(TaskFault, match=r"could not be judged.*oops"):
        evaluate_served(plan(Broken, chat_server(lambda number, body: "1").url))


def test_verdicts_without_a_reward_are_counted(chat_server, plan):
    class Partly(Echo):
        def score(self, item, reply):
            missing = item.truth == first_items(Echo(), "test", 1)[0].truth
            return Verdict(None, VerdictState.ERROR, why="no") if missing else 1.0

    with pytest.raises(TaskFault, match="1 of 6 greedy"):
        evaluate_served(plan(Partly, chat_server(lambda number, body: "1").url))


def test_a_result_is_written_and_replayed_offline_to_the_same_bytes(chat_server, plan, tmp_path):
    server = chat_server(lambda number, body: last_number(body))
    first = evaluate_served(plan(Echo, server.url), tmp_path)
    names = ("config.json", "evaluation.json", "replies.jsonl")
    before = {name: (first.folder / name).read_bytes() for name in names}
    again = evaluate_served(plan(Echo, server.url), tmp_path, offline=True)
    assert again.folder == first.folder and again.spent.requests == 0 and again.spent.recorded == 12
    assert {name: (first.folder / name).read_bytes() for name in names} == before
    body = json.loads(before["evaluation.json"])
    assert body["greedy"]["mean"] == 1.0 and body["tokens"]["greedy"] == {"prompt": 42, "completion": 18}
    assert json.loads((first.folder / "measured.json").read_bytes())["requests"] == 0
    other = evaluate_served(plan(Echo, server.url, **{"eval.items": 3}), tmp_path)
    assert other.folder != first.folder and other.spent.requests == 0  # fewer items: nothing new to ask


def test_a_server_that_does_not_sample_is_told(chat_server, plan):
    dull = chat_server(lambda number, body: last_number(body))
    assert evaluate_served(plan(Echo, dull.url, **{"eval.items": 8})).ignores_temperature
    lively = chat_server(lambda number, body: last_number(body) + "0" * (number % 3))
    assert not evaluate_served(plan(Echo, lively.url, **{"eval.items": 8})).ignores_temperature


@pytest.mark.parametrize(
    ("text", "finish", "expected"),
    [
        ("12\n34", "stop", ("12", True)),
        ("12;3\n", "length", ("12", True)),  # a stop string is an end, whatever the server says
        ("12", "length", ("12", False)),
        ("12", "stop", ("12", True)),
    ],
)
def test_a_reply_ends_at_its_first_stop_string(text, finish, expected):
    assert cut(Answer(text, finish, 0, 0), ("\n", ";")) == expected


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"prompt.chat": "off"}, "chat"),
        ({"engine.compile": True}, "engine"),
        ({"endpoint.patience": 3}, "patience"),
        ({"endpoint.retries": "many"}, "retries"),
        ({"task.colour": 1}, "colour"),
    ],
)
def test_settings_that_cannot_be_had_are_refused_by_name(settings, word):
    with pytest.raises(EggymError, match=word):
        plan_served("tiny-arithmetic", "http://localhost:1/v1", "m", 0, None, settings)


# -- the command ------------------------------------------------------------------------------------------------------
def run(capsys, *words):
    code = 0
    try:
        main(["eval", *words])
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_the_usual_table_and_json(chat_server, capsys, tmp_path):
    task = load_task("tiny-arithmetic")
    best = {item.prompt: task.oracle(item) for item in first_items(task, "test", 10)}
    server = chat_server(lambda number, body: best[body["messages"][-1]["content"]])
    words = [
        "--endpoint",
        server.url,
        "--model",
        "m",
        "--task",
        "tiny-arithmetic",
        "--items",
        "10",
        "--out",
        str(tmp_path),
    ]
    code, out, err = run(capsys, *words, "--concurrency", "2")
    assert code == 0 and "greedy   1.000" in out and "10 correct" in out
    assert "20 requests (0 retries, 0 lost)" in err and "140 prompt and 60 completion tokens" in err
    assert "docs/endpoints.md" in err  # this server does not sample
    code, out, err = run(capsys, *words, "--json", "--offline")
    assert code == 0 and json.loads(out)["tiny-arithmetic"]["greedy"]["mean"] == 1.0
    assert "0 requests" in err and "20 answers from the recording" in err and server.most_at_once <= 2


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["--out", "x"], "--endpoint"),
        (["--offline"], "--endpoint"),
        (["--concurrency", "2"], "--endpoint"),
        (["--endpoint", "http://localhost:1/v1"], "--model"),
        (["--endpoint", "http://localhost:1/v1", "--model", "m", "--device", "cpu"], "--device"),
        (["--endpoint", "http://localhost:1/v1", "--model", "m", "--offline"], "--out"),
        (["--endpoint", "nonsense", "--model", "m"], "nonsense"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(capsys, words, word):
    code, _, err = run(capsys, "--task", "tiny-arithmetic", *words)
    assert code == 2 and word in err


def test_a_lost_server_ends_the_command_in_one_line(chat_server, capsys):
    server = chat_server(lambda number, body: (503, {}, {"error": {"message": "no seats"}}))
    quick = ["--set", "endpoint.retries=1", "--set", "endpoint.wait_s=0.01"]
    code, out, err = run(capsys, "--endpoint", server.url, "--model", "m", "--task", "guess", "--items", "5", *quick)
    assert code == 2 and not out and "no seats" in err.splitlines()[-1] and err.splitlines()[-1].startswith("eggym: ")
