import pytest
import torch

from eggym.budget import FlopModel, Meter
from eggym.counter import as_key
from eggym.engine import Engine, parse_memory
from eggym.errors import BadValue
from eggym.sampling import Draw
from eggym.seeding import key

PROMPTS = ["474+439?", "say 4 b caps ?:", "x", "add 3, times 2:", "5 from 2 9 6:", "a longer prompt than others"]


class Nobody:
    def seat(self, member_of_row_R):
        pass


def engine(policy):
    return Engine(policy, Meter(FlopModel.of(policy.model)))


def prompts(policy, n):
    return [policy.tokenizer.encode(PROMPTS[row % len(PROMPTS)] + str(row // 6)) for row in range(n)]


def draw(rows, temperature=1.0, turn=0):
    keys = torch.tensor([as_key(key("row", row, turn)) for row in rows])
    return Draw(temperature, False, keys, torch.arange(len(rows)))


def run(policy, rows, temperature=1.0, max_new=20, last=True, stop=()):
    every = prompts(policy, 64)
    with engine(policy).open(Nobody(), [0] * len(rows)) as session:
        session.feed([every[row] for row in rows])
        return session.sample(draw(rows, temperature), max_new, stop, last)


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


def test_leaving_finished_rows_in_the_batch_changes_nothing(policy):
    rows = list(range(40))
    for early, late in zip(run(policy, rows, max_new=30), run(policy, rows, max_new=30, last=False), strict=True):
        assert (early.ids, early.logprobs) == (late.ids, late.logprobs)


def two_turns(policy, rows, max_new=9):
    every = prompts(policy, 64)
    with engine(policy).open(Nobody(), [0] * len(rows)) as session:
        session.feed([every[row] for row in rows])
        first = session.sample(draw(rows), max_new)
        kept = [place for place in range(len(rows)) if rows[place] % 3]
        session.keep(kept)
        session.feed([policy.tokenizer.encode("next" * (1 + rows[place] % 4)) for place in kept])
        second = session.sample(draw([rows[place] for place in kept], turn=1), 9, last=True)
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
    # sixteen rows of equal lengths, so that nothing is padded but to multiples of 16
    counted = []
    layer = policy.model.model.layers[0]
    hook = layer.register_forward_pre_hook(lambda module, args: counted.append(args[0].shape[:2].numel()))
    quiet = policy.tokenizer.encode("0123456789abcde")  # 16 tokens with <bos>
    assert len(quiet) == 16
    try:
        with engine(policy).open(Nobody(), [0] * 16) as session:
            session.feed([quiet] * 16)
            session._turn_tokens = session.sample(draw([0] * 16), 5)
            assert all(len(reply.ids) == 5 for reply in session._turn_tokens)
            # 16 prompt positions, then 4 of the 5 sampled tokens; the fifth waits for the next turn
            assert sum(counted) == 16 * (16 + 4)
            session.feed([quiet[1:]] * 16)  # 15 new tokens and the one that waited
            session.sample(draw([0] * 16, turn=1), 3)
            assert sum(counted) == 16 * (16 + 4 + 16 + 2)
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
    assert plan.plan_rows(64, 16, 0) == 1024
    plan.memory = 64 << 20
    rows = plan.plan_rows(512, 64, 0)
    assert rows % 16 == 0 and 16 <= rows < 1024
    assert plan.plan_rows(512, 64, 200_000) < rows
    plan.memory = 1 << 20
    with pytest.raises(BadValue, match=r"memory of 1MiB holds \d+ rows of 900 tokens, 16 are needed"):
        plan.plan_rows(900, 100, 0)


@pytest.mark.parametrize(("text", "amount"), [("512MiB", 512 << 20), ("1.5 GiB", 3 << 29)])
def test_amounts_of_memory(text, amount):
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "0GiB", "12", "8GB", "-1GiB", "1.2.3GiB", ".GiB"])
def test_amounts_that_are_none_are_refused(text):
    with pytest.raises(BadValue, match="is not an amount"):
        parse_memory(text)
