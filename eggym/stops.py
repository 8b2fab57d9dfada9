"""Stop strings: where the text of a reply ends, looked for only when a new token could complete one."""

from collections.abc import Iterable, Sequence

from eggym.policy import Policy


class Stops:
    """Watches the replies of a session for strings at which they end."""

    def __init__(self, policy: Policy, stop: Sequence[str]) -> None:
        """Watch for ``stop``; without any, nothing is ever found."""
        self.found: dict[int, str] = {}  # row -> its text before the first stop string
        self._policy, self._stop = policy, tuple(stop)
        self._pieces: dict[int, bool] = {}

    def may_end(self, token: int) -> bool:
        """Say whether a stop string could end with this token."""
        if token not in self._pieces:
            piece = self._policy.text([token])
            self._pieces[token] = any(text[-1] in piece for text in self._stop)
        return self._pieces[token]

    def cut(self, row: int, ids: Sequence[int]) -> bool:
        """Look for a stop string in a row's reply; if there is one, keep the text before the first."""
        text = self._policy.text(ids)
        places = [text.find(one) for one in self._stop if one in text]
        if places:
            self.found[row] = text[: min(places)]
        return bool(places)

    def forget(self, rows: Iterable[int]) -> None:
        """Forget what was found for rows that begin anew."""
        for row in rows:
            self.found.pop(row, None)
