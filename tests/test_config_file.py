"""YAML files of settings: what a stranger may put into one."""

import pytest
import yaml

from eggym.config_file import read_file
from eggym.errors import BadValue


def lines(levels):
    """Return lists of lists, each nine times the one before: nine to the power of ``levels`` values by aliases."""
    first = "a0: &a0 [1]"
    return "\n".join([first, *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels + 1))])


def test_aliases_of_aliases_are_counted_as_what_they_stand_for(tmp_path):
    (tmp_path / "bomb.yaml").write_text(lines(30))  # 9 ** 30 values, in 2 KB
    with pytest.raises(BadValue, match=r"bomb\.yaml.*its aliases stand for more than 100000 values"):
        read_file(tmp_path / "bomb.yaml")


def test_a_few_aliases_are_read_as_ever(tmp_path):
    (tmp_path / "few.yaml").write_text(lines(3))
    found = read_file(tmp_path / "few.yaml")
    assert found["a3"] == [[[[1]] * 9] * 9] * 9


def test_a_node_that_holds_itself_is_refused(tmp_path):
    (tmp_path / "ring.yaml").write_text("a: &a [*a]\n")
    with pytest.raises(BadValue, match="aliases stand for more"):
        read_file(tmp_path / "ring.yaml")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/module:os"])
def test_a_tag_makes_no_object(tmp_path, tag):
    (tmp_path / "tag.yaml").write_text(f"a: {tag} ['true']\n")
    with pytest.raises(BadValue, match="is no YAML"):
        read_file(tmp_path / "tag.yaml")


def test_an_empty_file_is_no_settings(tmp_path):
    (tmp_path / "none.yaml").write_text("")
    with pytest.raises(BadValue, match="must hold names and values"):
        read_file(tmp_path / "none.yaml")
    assert yaml.safe_load("") is None
