"""Settings as people write them: ``--set a.b=c``, and YAML files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eggym.config import flat
from eggym.errors import BadValue
from eggym.values import as_meant

_MOST_NODES = 100_000  # values of a YAML file: aliases of aliases may stand for more than any machine holds


def parse_set(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``a.b=c`` settings; values are YAML scalars or lists."""
    import yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise BadValue(f"--set {pair!r} has no name and value; write for example --set eggroll.sigma=0.02")
        try:
            # @FILE is the one value that YAML has no plain form for
            found[name.strip()] = text.strip() if text.strip().startswith("@") else as_meant(yaml.safe_load(text))
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            raise BadValue(f"--set {pair!r}: the value is no YAML: {str(problem).splitlines()[0]}") from problem
    return found


def read_file(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings; a nested ``set`` becomes ``a.b`` names."""
    import yaml

    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _once_only())  # noqa: S506 - a safe loader, below
        return with_flat_set(found, f"config file {str(path)!r}")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadValue(f"cannot read config file {str(path)!r}: {problem}") from problem
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as problem:
        if isinstance(problem, BadValue):
            raise
        raise BadValue(f"config file {str(path)!r} is no YAML: {' '.join(str(problem).split())}") from problem


def with_flat_set(found: Any, where: str) -> dict[str, Any]:
    """Return settings whose nested ``set`` has become ``a.b`` names; ``where`` names their place in messages."""
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise BadValue(f"{where} must hold names and values, such as `budget: 1e18flops`")
    settings = found.get("set") or {}
    if not isinstance(settings, dict):
        raise BadValue(f"set in {where} must hold names and values, such as `eggroll.sigma: 0.02`")
    return {**found, "set": {name: as_meant(value) for name, value in flat(settings).items()}}


def _size(node: Any, known: dict[int, int]) -> int:
    """Return how many values a YAML node holds, each alias counted as what it stands for."""
    if id(node) not in known:
        parts = node.value if isinstance(getattr(node, "value", None), list) else []
        inside = (part for one in parts for part in (one if isinstance(one, tuple) else (one,)))
        known[id(node)] = _MOST_NODES  # of a node that holds itself
        known[id(node)] = 1 + sum(_size(part, known) for part in inside)
    return known[id(node)]


def _once_only() -> Any:
    """A safe YAML loader that refuses a name given twice: the last one would win unseen."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((name for name in names if isinstance(name, str) and names.count(name) > 1), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice", node.start_mark)
            return super().construct_mapping(node, deep)

        def get_single_node(self) -> Any:
            root = super().get_single_node()
            if root is not None and _size(root, {}) > _MOST_NODES:
                raise yaml.constructor.ConstructorError(
                    None, None, f"its aliases stand for more than {_MOST_NODES} values", root.start_mark
                )
            return root

    return Loader
