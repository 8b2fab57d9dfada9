import pickle
import random

import pytest

from eggym.base_model import CONTEXT, build_tokenizer
from eggym.envs.relay import Relay
from eggym.errors import BadValue, UnknownName
from eggym.registry import load_task
from eggym.task import Item, VerdictState
from eggym.vector import TextVectorEnv

FINAL, SHARE = Relay(), Relay(mode="share")
# by hand: 97+8=105 -> 05, 05-9=-4 -> 96, 96-6=90, 90+9=99
ITEM = Item("from 97: +8", truth=99, meta={"start": 97, "steps": [8, -9, -6, 9]})
TRUE = ["05", "96", "90", "99"]


def play(replies, task=FINAL, item=ITEM):
    state, seen = task.begin(item, random.Random(0)), []
    for reply in replies:
        observation, done = task.step(state, reply)
        seen.append((observation, done))
        if done:
            break
    return task.judge(state), seen


def run(task, item, player):
    state, observation, done, talk = task.begin(item, random.Random(0)), item.prompt, False, []
    while not done:
        talk.append((observation, player(state)))
        observation, done = task.step(state, talk[-1][1])
    return task.judge(state), talk


def test_a_run_by_hand():
    verdict, seen = play(TRUE)
    assert seen == [("-9", False), ("-6", False), ("+9", False), ("", True)]
    assert (verdict.reward, verdict.state, verdict.found) == (1.0, "correct", "05,96,90,99")
    assert play(["5", " 96 ", "90\n", "99"])[0].reward == 1.0  # a leading zero may be left out
    assert play(TRUE, SHARE)[0].reward == 1.0


@pytest.mark.parametrize(
    ("replies", "final", "share"),
    [
        (["04", "95", "89", "98"], 0.0, 0.0),  # one slip at the start, then every step right in itself
        (["05", "96", "90", "98"], 0.0, 0.75),
        (["00", "00", "00", "99"], 1.0, 0.25),  # only the end counts for the one, every value for the other
        (["05", "x", "90", "99"], 1.0, 0.75),  # what cannot be read is a wrong step, and the run goes on
        (["05", "96", "90", "199"], 0.0, 0.75),
        (["05", "96", "90", "99."], 0.0, 0.75),
        (["05", "96", "90", "-1"], 0.0, 0.75),
        (["05", "96", "90"], 0.0, 0.75),  # cut before the last step
        ([], 0.0, 0.0),
    ],
)
def test_what_final_and_share_pay(replies, final, share):
    assert play(replies, FINAL)[0].reward == final
    verdict, _ = play(replies, SHARE)
    assert verdict.reward == share == verdict.parts["share"]


@pytest.mark.parametrize("task", [FINAL, SHARE])
def test_a_run_without_a_value_is_unparsed(task):
    for replies in (["", "x", "1 2", "100"], ["\0", "\ud800", "9" * 10**6, "٣٤"], []):
        verdict, _ = play(replies, task)
        assert (verdict.reward, verdict.state) == (0.0, VerdictState.UNPARSED)


def test_no_observation_tells_what_was_right():
    assert play(TRUE)[1] == play(["1", "2", "x", ""])[1]


@pytest.mark.parametrize(("dense", "expected"), [(True, [0.25, 0.0, 0.25, 0.25]), (False, [0.0, 0.0, 0.0, 0.75])])
def test_share_is_told_at_the_end_or_turn_by_turn(dense, expected):
    task = Relay(mode="share", dense=dense)
    env = TextVectorEnv(task, num_envs=1)
    env.begin([ITEM], [random.Random(0)])
    rewards = []
    for reply in ["05", "x", "90", "99"]:
        _, done = env.reply([0], [reply])[0]
        rewards += [env.rest(0, env.judge([0])[0])] if done else env.rewards([0])
    assert rewards == expected


@pytest.mark.parametrize("turns", [1, 2, 5, 64])
def test_a_run_has_as_many_turns_as_were_set_and_fits_the_embedded_context(turns):
    task, tokenizer = Relay(turns=turns), build_tokenizer()
    for index in range(5):
        item = task.item("test", index)
        verdict, talk = run(task, item, task.oracle)
        assert verdict.reward == 1.0 and len(talk) == turns == task.max_turns
        assert int(talk[-1][1]) == item.truth
    messages = [
        {"role": role, "content": text} for turn in talk for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    assert len(tokenizer.apply_chat_template(messages, return_dict=False)) <= 11 + 7 * turns < CONTEXT
    assert all(len(reply) < task.max_new_tokens for _, reply in talk)  # with its end token


def test_the_oracle_finds_back_after_a_slip_and_carrying_on_does_not():
    state = FINAL.begin(ITEM, random.Random(0))
    FINAL.step(state, "04")
    assert (FINAL.oracle(state), FINAL.carry_on(state)) == ("96", "95")


def test_the_habit_forgets_the_carry_of_six_to_nine():
    def habit(value, step):
        state = FINAL.begin(Item("", 0, {"start": value, "steps": [step]}), random.Random(0))
        return FINAL.habit(state, random.Random(0))

    # by hand: 47+8=55 without its carry is 45; 97+8=05 becomes 95
    assert [habit(47, 8), habit(97, 8), habit(44, 6)] == ["45", "95", "40"]
    # no carry, a small number, a borrow: as they should be
    assert [habit(41, 8), habit(47, 5), habit(47, -8), habit(3, -9)] == ["49", "52", "39", "94"]


def test_the_habit_strikes_one_step_in_six():
    # by hand: 6, 7, 8 or 9 is added in 4 of 18 steps, and carries for 6, 7, 8 or 9 of ten digits: 3.0 / 18
    states = [FINAL.begin(FINAL.item("train", index), random.Random(0)) for index in range(2000)]
    struck = sum(FINAL.habit(state, random.Random(0)) != FINAL.oracle(state) for state in states) / 2000
    assert struck == pytest.approx(3 / 18, abs=0.025)  # 3 standard errors


def test_bad_options_are_refused():
    with pytest.raises(UnknownName, match="no mode of task eggym/relay-v0 'shares'; did you mean 'share'"):
        Relay(mode="shares")
    for options in ({"dense": True}, {"dense": 1, "mode": "share"}, {"dense": "yes", "mode": "share"}):
        with pytest.raises(BadValue, match="dense of task 'eggym/relay-v0' is true or false, and true needs"):
            Relay(**options)
    with pytest.raises(BadValue, match="turns of task 'eggym/relay-v0' must be a whole number from 1 to 64"):
        Relay(turns=65)


def test_options_stand_behind_the_name():
    task = load_task("relay@turns=64,mode=share,dense=true")
    assert (task.max_turns, task.mode, task.dense) == (64, "share", True)


def test_a_state_in_the_middle_survives_pickling():
    state = FINAL.begin(ITEM, random.Random(0))
    FINAL.step(state, "05")
    again = pickle.loads(pickle.dumps(state))
    assert FINAL.step(again, "96") == FINAL.step(state, "96") == ("-6", False)
    assert again == state


def test_splits_share_no_prompt():
    train, held_out = ({FINAL.item(split, index).prompt for index in range(300)} for split in ("train", "test"))
    assert not train & held_out
