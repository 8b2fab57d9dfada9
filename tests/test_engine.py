import gc
import weakref

import pytest
import torch
import torch._dynamo

from eggym.budget import FlopModel, Meter
from eggym.counter import as_key
from eggym.engine import Engine, parse_memory
from eggym.errors import BadValue
from eggym.sampling import Draw
from eggym.seeding import key
from eggym.session import Sampling, Session, Turn

PROMPTS = ["474+439?", "say 4 b caps ?:", "x", "add 3, times 2:", "5 from 2 9 6:", "a longer prompt than others"]


class Nobody:
    def seat(self, member_of_row_R, group=1):
        return ()

    def take(self, seat):
        pass


def engine(policy, compiled=False):
    return Engine(policy, Meter(FlopModel.of(policy.model)), compiled=compiled)


def prompts(policy, n):
    return [policy.tokenizer.encode(PROMPTS[row % len(PROMPTS)] + str(row // 6)) for row in range(n)]


def turn(policy, row, name, n=0, tokens=None):
    tokens = prompts(policy, 64)[name] if tokens is None else tokens
    return Turn(row, tokens, as_key(key("row", name, n)), n == 0)


def answer(session, turns):
    """Let rows answer and return their replies, by row."""
    session.begin(turns)
    found = {}
    while session.busy:
        for row in session.decode():
            found[row] = session.reply(row)
    return [found[one.row] for one in turns]


def opened(policy, n_rows, temperature=1.0, max_new=20, stop=(), compiled=False):
    sampling = Sampling(Draw(temperature, False), max_new, tuple(stop))
    return engine(policy, compiled).open(Nobody(), [0] * (-(-n_rows // 16) * 16), sampling, 64)


def run(policy, rows, temperature=1.0, max_new=20, stop=(), compiled=False):
    with opened(policy, len(rows), temperature, max_new, stop, compiled) as session:
        return answer(session, [turn(policy, place, row) for place, row in enumerate(rows)])


def refilled(policy, rows, n_rows, max_new=20):
    """Few rows that take up one text after another."""
    waiting, found, name_of = list(rows), {}, {}
    with opened(policy, n_rows, max_new=max_new) as session:
        free = list(range(n_rows))
        while waiting or session.busy:
            turns = []
            for row in free[: len(waiting)]:
                name_of[row] = waiting.pop(0)
                turns.append(turn(policy, row, name_of[row]))
            session.release(free[len(turns) :])
            session.begin(turns)
            free = session.decode()
            found.update({name_of[row]: session.reply(row) for row in free})
        assert session.row_steps.useful == sum(len(reply.ids) - 1 for reply in found.values())
    return [found[row] for row in rows]


def full_forward(policy, ids):
    with torch.no_grad():
        return policy.model(torch.tensor([ids])).logits[0].float()


def test_greedy_replies_are_those_of_a_full_forward_pass_without_cache_or_padding(policy):
    for row, reply in enumerate(run(policy, range(6), temperature=0.0, max_new=8)):
        ids = prompts(policy, 64)[row]
        for token in reply.ids:
            logits = full_forward(policy, ids)[-1]
            best, second = logits.topk(2).values
            assert token == logits.argmax() or best - second < 1e-4
            ids = [*ids, token]


def test_recorded_logprobs_are_those_of_a_teacher_forced_pass(policy):
    for row, reply in enumerate(run(policy, range(20))):
        start = prompts(policy, 64)[row]
        logprobs = full_forward(policy, start + reply.ids).log_softmax(-1)
        want = [logprobs[len(start) - 1 + i, token].item() for i, token in enumerate(reply.ids)]
        assert reply.logprobs == pytest.approx(want, abs=2e-5)


def test_chunking_and_order_change_nothing(policy):
    rows = list(range(48))
    together = run(policy, rows)
    for size in (1, 7, 16, 33):
        for start in range(0, 48, size):
            part = rows[start : start + size][::-1]
            for row, reply in zip(part, run(policy, part), strict=True):
                assert (reply.ids, reply.logprobs) == (together[row].ids, together[row].logprobs)


def test_refilling_rows_as_they_finish_changes_nothing(policy):
    rows = list(range(60))
    for one, other in zip(run(policy, rows, max_new=30), refilled(policy, rows, 16, max_new=30), strict=True):
        assert (one.ids, one.logprobs) == (other.ids, other.logprobs)


def test_letting_rows_leave_changes_nothing(policy, monkeypatch):
    monkeypatch.setattr(policy.model.generation_config, "eos_token_id", list(range(4, 12)))
    rows = list(range(48))
    before = run(policy, rows, max_new=40)
    assert max(len(reply.ids) for reply in before) > 3 * sorted(len(reply.ids) for reply in before)[24]
    sizes = []
    monkeypatch.setattr(Session, "_pass", watched(Session._pass, sizes))
    for one, other in zip(before, refilled(policy, rows, 48, max_new=40), strict=True):
        assert (one.ids, one.logprobs) == (other.ids, other.logprobs)
    assert 16 in sizes and 48 in sizes  # or this test would test nothing


def watched(method, sizes):
    def watch(self, rows, ids, *rest):
        sizes.append(len(ids))
        return method(self, rows, ids, *rest)

    return watch


def two_turns(policy, rows, max_new=9):
    with opened(policy, len(rows), max_new=max_new) as session:
        first = answer(session, [turn(policy, place, row) for place, row in enumerate(rows)])
        kept = [place for place in range(len(rows)) if rows[place] % 3]
        more = [policy.tokenizer.encode("next" * (1 + rows[place] % 4)) for place in kept]
        second = answer(session, [turn(policy, at, rows[at], 1, ids) for at, ids in zip(kept, more, strict=True)])
    return {rows[place]: (first[place], reply) for place, reply in zip(kept, second, strict=True)}


def test_a_second_turn_continues_from_the_cache_as_if_all_had_been_read_anew(policy):
    for row, (first, second) in two_turns(policy, list(range(24))).items():
        start = prompts(policy, 64)[row] + first.ids + policy.tokenizer.encode("next" * (1 + row % 4))
        logprobs = full_forward(policy, start + second.ids).log_softmax(-1)
        want = [logprobs[len(start) - 1 + i, token].item() for i, token in enumerate(second.ids)]
        assert second.logprobs == pytest.approx(want, abs=2e-5)


def test_chunking_changes_nothing_over_turns(policy, monkeypatch):
    # many end tokens, so that the longest reply differs from chunk to chunk and the second turn starts elsewhere
    monkeypatch.setattr(policy.model.generation_config, "eos_token_id", list(range(4, 40)))
    together = two_turns(policy, list(range(40)), 30)
    longest = set()
    for start in range(0, 40, 4):
        part = two_turns(policy, list(range(start, start + 4)), 30)
        longest.add(max(len(first.ids) for first, _ in part.values()) // 2)
        for row, (first, second) in part.items():
            assert first.ids == together[row][0].ids
            assert (second.ids, second.logprobs) == (together[row][1].ids, together[row][1].logprobs)
    assert len(longest) > 3  # or this test would test nothing


def test_each_position_is_computed_once(policy):
    # sixteen rows of equal lengths, so that nothing is padded
    counted = []
    layer = policy.model.model.layers[0]
    hook = layer.register_forward_pre_hook(lambda module, args: counted.append(args[0].shape[:2].numel()))
    quiet = policy.tokenizer.encode("0123456789abcde")  # 16 tokens with <bos>
    assert len(quiet) == 16
    try:
        with opened(policy, 16, max_new=5) as session:
            first = answer(session, [turn(policy, row, 0, 0, quiet) for row in range(16)])
            assert all(len(reply.ids) == 5 for reply in first)
            # 16 prompt positions, then 4 of the 5 sampled tokens; the fifth waits for the next turn
            assert sum(counted) == 16 * (16 + 4)
            answer(session, [turn(policy, row, 0, 1, quiet[1:]) for row in range(16)])
            # 15 new tokens and the one that waited
            assert sum(counted) == 16 * (16 + 4 + 16 + 4)
    finally:
        hook.remove()


def test_a_reply_ends_at_any_of_several_end_tokens(policy, monkeypatch):
    free = run(policy, range(8), max_new=12)
    ends = {free[0].ids[3], free[1].ids[5], policy.tokenizer.eos_token_id}
    monkeypatch.setattr(policy.model.generation_config, "eos_token_id", sorted(ends))
    for before, after in zip(free, run(policy, range(8), max_new=12), strict=True):
        first = next((i for i, token in enumerate(before.ids) if token in ends), None)
        assert after.ids == (before.ids if first is None else before.ids[: first + 1])
        assert after.ended == (first is not None)


def test_a_reply_is_cut_at_a_stop_string(policy):
    free = run(policy, range(8), max_new=12)
    text = policy.text(free[2].ids)
    stop = text[4:6]
    cut = run(policy, range(8), max_new=12, stop=(stop,))[2]
    place = text.find(stop)
    assert cut.stopped == text[:place] and policy.text(cut.ids) == text[: place + 2] and cut.complete


def test_the_memory_plan_is_a_function_of_its_arguments_and_counts_rows_in_sixteens(policy):
    plan = engine(policy)
    assert plan.plan_rows(64, 16, 0) == 512
    plan.memory = 32 << 20
    rows = plan.plan_rows(512, 64, 0)
    assert rows % 16 == 0 and 16 <= rows < 256
    assert plan.plan_rows(512, 64, 200_000) < rows
    plan.memory = 1 << 20
    with pytest.raises(BadValue, match=r"memory of 1MiB holds \d+ rows of 900 tokens, 16 are needed"):
        plan.plan_rows(900, 100, 0)


def test_a_session_gives_its_memory_back_when_it_ends(policy):
    gc.collect()
    gc.disable()
    try:
        with opened(policy, 16) as session:
            session.begin([Turn(0, [5, 6], 0)])
            kept = [weakref.ref(one) for layer in session.cache.layers.layers for one in (layer.keys, layer.values)]
        assert len(kept) == 2 * policy.model.config.num_hidden_layers and all(one() is None for one in kept)
    finally:
        gc.enable()


@pytest.mark.parametrize(("text", "amount"), [("512MiB", 512 << 20), ("1.5 GiB", 3 << 29)])
def test_amounts_of_memory(text, amount):
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "0GiB", "12", "8GB", "-1GiB", "1.2.3GiB", ".GiB"])
def test_amounts_that_are_none_are_refused(text):
    with pytest.raises(BadValue, match="is not an amount"):
        parse_memory(text)
