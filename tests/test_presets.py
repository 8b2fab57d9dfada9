"""The named policy gradients: complete, loadable, tunable, and what the papers say."""

import itertools
import re
from pathlib import Path

import pytest

from eggym.agents import LEARNERS
from eggym.learner import PROFILES
from eggym.registry import load_learner

NAMES = [name for name, (place, _) in LEARNERS.items() if ":" in place and "presets" in place]
DOCS = (Path(__file__).parent.parent / "docs" / "rl.md").read_text()


def test_these_are_the_presets():
    assert set(NAMES) == {"grpo", "dr_grpo", "dapo", "rloo", "cispo", "gspo", "reinforce_pp", "ppo"}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NAMES)
def test_eight_trials_are_declared_for_every_profile_and_the_defaults_are_one(name, profile):
    spec = load_learner(name)
    search = spec.search[profile]
    trials = [dict(zip(search, values, strict=True)) for values in itertools.product(*search.values())]
    resolved = [spec.resolve(profile, trial) for trial in trials]
    assert len(set(resolved)) == 8 and spec.resolve(profile, {}) in resolved


@pytest.mark.parametrize("name", NAMES)
def test_profiles_differ_in_the_learning_rate_as_declared(name):
    spec = load_learner(name)
    assert spec.name == name and spec.kind == "rl"
    assert (spec.resolve("tiny", {}).lr, spec.resolve("pretrained", {}).lr) == (5e-4, 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_tells_what_a_preset_is(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", DOCS, re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")]
    options = load_learner(name).resolve("pretrained", {})
    assert cells[2] == options.objective and cells[4].replace(" ", "_") == options.reduction
    assert cells[3] == "GAE" if name == "ppo" else cells[3].replace(" ", "_") == options.advantage
