"""Thousands of episodes of one task in one object: lists of texts in, lists of texts out, no copies.

Two faces. `begin`, `reply` and `judge` are what a rollout uses: the caller brings items and generators, rows may be any
number. `reset` and `step` are Gymnasium's: items are drawn by the environment's own generator.

Autoreset modes: DISABLED (default; an ended row rests, ignoring actions, until it is reset), NEXT_STEP and SAME_STEP.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from eggym.contract import check_settings
from eggym.env import UnicodeText, chosen_index, drawable, ending, info_of
from eggym.errors import BadValue, unknown
from eggym.splits import check_split
from eggym.task import Item, SingleTurnTask, Task, Verdict

Infos = dict[str, Any]
Step = tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Infos]


class TextVectorEnv(VectorEnv):  # type: ignore[misc]  # gymnasium's types are not followed
    """Many episodes of one task."""

    def __init__(
        self,
        task: Task,
        num_envs: int,
        split: str = "train",
        *,
        share_items: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.DISABLED,
    ) -> None:
        """Hold ``num_envs`` rows; ``share_items`` consecutive rows get one item and equal random numbers.

        The latter is for population members, antithetic pairs and groups. Rows that are reset at different times, as in
        the autoreset modes with several turns, share only with those reset at the same time.
        """
        check_split(split)
        check_settings(task)
        if num_envs < 1 or share_items < 1 or num_envs % share_items:
            raise BadValue(f"num_envs must be a multiple of share_items, got {num_envs} and {share_items}")
        self.task = task
        self.split = split
        self.num_envs = num_envs
        self.share_items = share_items
        self.mode = _mode(autoreset_mode)
        self.metadata = {"autoreset_mode": self.mode, "render_modes": []}
        self.single_observation_space = UnicodeText()
        self.single_action_space = UnicodeText()
        self._is_plain = isinstance(task, SingleTurnTask) and task.is_plain
        self._earned = [0.0] * num_envs  # of the return, by the turns before
        self._items: list[Any] = [None] * num_envs  # Item, or None before the first reset
        self._states: list[Any] = [None] * num_envs
        self._turns = [0] * num_envs
        self._ends = [(True, False)] * num_envs  # terminated, truncated; a row that was never reset is over

    # -- the face of rollouts -------------------------------------------------------------------------------------
    def begin(self, items: Sequence[Item], rngs: Sequence[random.Random]) -> list[str]:
        """Start new episodes, one per row, in place of all old ones; return the prompts.

        Rows may share an item object. The number of rows need not be ``num_envs``.

        Raises:
            TaskFault: the task's own code failed.
        """
        start = self.task.begin
        self._states = [start(item, rng) for item, rng in zip(items, rngs, strict=True)]
        self._items = list(items)
        self._earned = [0.0] * len(self._items)
        return [item.prompt for item in items]

    def reply(self, rows: Sequence[int], texts: Sequence[str]) -> list[tuple[str, bool]]:
        """Hand each row its reply; return its observation and whether the task says that it is over.

        The cap on turns is the caller's affair.

        Raises:
            TaskFault: the task's own code failed.
        """
        states, step = self._states, self.task.step
        return [step(states[row], text) for row, text in zip(rows, texts, strict=True)]

    def judge(self, rows: Sequence[int]) -> list[Verdict]:
        """Return the verdicts on episodes, finished or cut short; a failing grader is state ``error``, never a zero.

        Equal replies of a single-turn task to one item object are judged once per call, unless they are ``grouped``.
        """
        states = self._states
        return self.task.judge_all([states[row] for row in rows])

    @property
    def states(self) -> list[Any]:
        """The states of all rows, as `Task.judge_all` takes them."""
        return self._states

    def rewards(self, rows: Sequence[int]) -> list[float]:
        """Return what each row has earned since this was last asked, before its episode is judged: 0 for most tasks.

        Raises:
            TaskFault: the task's own code failed.
        """
        found = []
        for row in rows:
            earned = self.task.earned(self._states[row])
            found.append(earned - self._earned[row])
            self._earned[row] = earned
        return found

    def rest(self, row: int, verdict: Verdict) -> float:
        """Return the reward of a row's last turn: its return beyond what was earned before; NaN if it has none."""
        return float("nan") if verdict.reward is None else verdict.reward - self._earned[row]

    # -- the face of Gymnasium ------------------------------------------------------------------------------------
    @property
    def observation_space(self) -> Any:
        """The batch of spaces, made when asked for: building it costs more than all rows together."""
        return batch_space(self.single_observation_space, self.num_envs)

    @property
    def action_space(self) -> Any:
        """The batch of spaces, made when asked for."""
        return batch_space(self.single_action_space, self.num_envs)

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which rows have an episode going on; shape (num_envs,)."""
        return np.array([not any(ends) for ends in self._ends])

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[tuple[str, ...], Infos]:
        """Start episodes in all rows, or in those of ``options["reset_mask"]``; return prompts and infos.

        ``options["index"]`` chooses the items: one index, or one per row. The observation of a row left alone is empty.

        Raises:
            BadValue: an unknown option, a mask or list of another shape, or an index outside the split.
            TaskFault: the task's own code failed.
        """
        super().reset(seed=seed)
        index = chosen_index(options, ("index", "reset_mask"))
        rows = self._rows((options or {}).get("reset_mask"))
        observations = [""] * self.num_envs
        self._restart(rows, observations, None if index is None else self._one_per_row(index))
        return tuple(observations), self._infos(rows, {})

    def step(self, actions: Sequence[str]) -> Step:
        """Hand every row its reply; return observations, rewards, terminations, truncations and infos.

        The reward of a reply that could not be judged is NaN, and ``infos["why"]`` has the reason. In SAME_STEP the
        last observation and info of an ended row are ``infos["final_obs"]`` and ``infos["final_info"]``.

        Raises:
            BadValue: no episode is going on, or not one text per row.
            TaskFault: the task's own code failed.
        """
        texts = self._texts(actions)
        active = self.active
        going, resting = np.flatnonzero(active).tolist(), np.flatnonzero(~active).tolist()
        if not going and (self.mode is AutoresetMode.DISABLED or None in self._items):
            raise BadValue("no episode is going on in any row; call reset() first")
        observations = [""] * self.num_envs
        verdicts = self._advance(going, texts, observations)
        rewards = np.zeros(self.num_envs)
        if not self._is_plain:
            unfinished = [row for row in going if row not in verdicts]
            rewards[unfinished] = self.rewards(unfinished)
        for row, verdict in verdicts.items():
            rewards[row] = self.rest(row, verdict)
        if self.mode is AutoresetMode.NEXT_STEP:
            self._restart(resting, observations)
        ends = np.array(self._ends, dtype=np.bool_)
        if self.mode is AutoresetMode.SAME_STEP:
            infos = self._same_step(going, verdicts, observations)
        else:
            infos = self._infos(going if self.mode is AutoresetMode.DISABLED else range(self.num_envs), verdicts)
        return tuple(observations), rewards, ends[:, 0], ends[:, 1], infos

    def _advance(self, rows: list[int], texts: Sequence[str], observations: list[str]) -> dict[int, Verdict]:
        """Step the rows, writing their observations; return the verdicts on those that ended."""
        over = []
        for row, (text, done) in zip(rows, self.reply(rows, [texts[row] for row in rows]), strict=True):
            observations[row] = text
            self._turns[row] += 1
            self._ends[row] = ending(self.task, self._turns[row], done)
            if any(self._ends[row]):
                over.append(row)
        return dict(zip(over, self.judge(over), strict=True))

    def _same_step(self, rows: list[int], verdicts: Mapping[int, Verdict], observations: list[str]) -> Infos:
        """Restart the ended rows at once; keep their last observation and info apart."""
        over = list(verdicts)
        if not over:
            return self._infos(rows, {})
        mask = self._mask_of(over)
        last = np.full(self.num_envs, None, dtype=object)
        last[mask] = [observations[row] for row in over]
        final = self._infos(over, verdicts)
        self._restart(over, observations)
        infos = self._infos(rows, {})
        return infos | {"final_obs": last, "_final_obs": mask, "final_info": final, "_final_info": mask.copy()}

    def _restart(self, rows: Sequence[int], observations: list[str], chosen: NDArray[Any] | None = None) -> None:
        """Begin new episodes in the rows, writing their prompts; rows of one group get one item and one seed."""
        groups = list(dict.fromkeys(row // self.share_items for row in rows))
        drawn = self.np_random.integers(drawable(self.task, self.split), size=len(groups)).tolist()
        seeds = self.np_random.integers(2**63, size=len(groups)).tolist()
        place = dict(zip(groups, zip(drawn, seeds, strict=True), strict=True))
        items: dict[int, Item] = {}
        for row in rows:
            index, seed = place[row // self.share_items]
            if chosen is not None:
                index = int(chosen[row])
            item = items.get(index) or items.setdefault(index, self.task.item(self.split, index))
            self._items[row], self._turns[row], self._ends[row] = item, 0, (False, False)
            self._states[row] = self.task.begin(item, _IDLE if self._is_plain else random.Random(seed))
            observations[row], self._earned[row] = item.prompt, 0.0

    def _infos(self, rows: Sequence[int], verdicts: Mapping[int, Verdict]) -> Infos:
        """Return Gymnasium's batched infos: an array per key, and under ``_key`` which rows it speaks of."""
        mask = self._mask_of(rows)
        infos: Infos = {}
        columns = [info_of(self._items[row], verdicts.get(row)) for row in rows]
        for name in columns[0] if columns else ():
            values = np.zeros(self.num_envs, np.int64) if name == "index" else np.full(self.num_envs, None, object)
            for row, column in zip(rows, columns, strict=True):
                values[row] = column[name]
            infos[name], infos[f"_{name}"] = values, mask.copy()
        return infos

    def _mask_of(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        mask = np.zeros(self.num_envs, dtype=np.bool_)
        mask[list(rows)] = True
        return mask

    def _rows(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        mask = np.asarray(mask)
        if mask.dtype != np.bool_ or mask.shape != (self.num_envs,) or not mask.any():
            raise BadValue(f"reset_mask must be {self.num_envs} truth values, not all False; got {mask!r:.80}")
        return np.flatnonzero(mask).tolist()

    def _one_per_row(self, index: Any) -> NDArray[Any]:
        given = np.asarray(index)
        if given.shape not in ((), (self.num_envs,)) or not np.issubdtype(given.dtype, np.integer):
            raise BadValue(f"index must be one whole number or {self.num_envs} of them, got {index!r:.80}")
        return np.broadcast_to(given, (self.num_envs,))

    def _texts(self, actions: Sequence[str]) -> Sequence[str]:
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise BadValue(f"step needs one text for each of {self.num_envs} rows, got {actions!r:.60}")
        for row, text in enumerate(actions):
            if not isinstance(text, str):
                raise BadValue(f"an action is a str, got {type(text).__name__} for row {row}: {text!r:.60}")
        return actions


_IDLE = random.Random(0)  # handed to tasks of one turn, whose `begin` does not look at it


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        raise unknown("autoreset mode", str(mode), [each.value for each in AutoresetMode]) from None
