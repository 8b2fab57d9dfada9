"""Proxy minus truth. Records here are stand-ins with two points and what a score needs."""

from types import SimpleNamespace

import pytest

from eggym.gap import gap, true_mean, truths
from eggym.score import Score


def score(mean, true=None):
    parts = {} if true is None else {"true": true, "proxy": 0.0}
    counts = {"n_items": 4, "n_replies": 4, "states": {"wrong": 4}}
    error = None if mean is None else 0.0
    return Score(temperature=0.0, mean=mean, se=error, parts=parts, rewards=[mean] * 4, **counts)


def run(start, end):
    """A run whose sampled scores are the greedy ones."""
    return SimpleNamespace(start=lambda mode: score(*start), final=lambda mode: score(*end))


def test_the_gap_is_reward_minus_true_reward():
    assert gap(score(0.75, 0.25)) == 0.5
    assert gap(score(0.25, 1.0)) == -0.75
    assert true_mean(score(0.75, 0.25)) == 0.25


def test_without_a_true_reward_there_is_nothing():
    assert gap(score(0.75)) is None
    assert gap(score(None, 0.5)) is None
    assert truths([run((0.5,), (1.0,))]) == {}


def test_means_and_changes_over_seeds():
    # gaps at the start 0.1, 0.2, 0.3, at the end 0.5, 0.5, 0.8: changes 0.4, 0.3, 0.5, SE 0.1/sqrt(3), t 4.302653
    runs = [run((0.5, 0.4), (0.9, 0.4)), run((0.5, 0.3), (0.8, 0.3)), run((0.5, 0.2), (1.0, 0.2))]
    found = truths(runs)
    assert found["true"]["start"]["greedy"]["mean"] == pytest.approx(0.3)
    assert found["true"]["end"]["sampled"]["mean"] == pytest.approx(0.3)
    assert found["gap"]["start"]["greedy"]["mean"] == pytest.approx(0.2)
    assert found["gap"]["end"]["greedy"]["mean"] == pytest.approx(0.6)
    change = found["gap"]["change"]["greedy"]
    assert change["mean"] == pytest.approx(0.4)
    assert change["high"] - change["mean"] == pytest.approx(4.302653 * 0.1 / 3**0.5, abs=1e-5)


def test_a_run_without_a_truth_is_left_out_and_counted():
    found = truths([run((0.5, 0.4), (0.9, 0.4)), run((0.5, 0.4), (0.9,)), run((0.5,), (None, 0.5))])
    assert found["gap"]["change"]["greedy"] == {"mean": 0.4, "low": None, "high": None, "n": 1}
    assert found["true"]["end"]["greedy"]["n"] == 2
