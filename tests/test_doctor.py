"""What `eggym doctor` finds and says. Hosts with less are simulated."""

import json
import sys

import pytest

from eggym import doctor
from eggym.cli import main
from eggym.envs import box_levels
from eggym.envs.box_levels import Host, probe
from eggym.envs.box_terms import Level


def run(capsys, *words):
    code = 0
    try:
        main(["doctor", *words])
    except SystemExit as stop:
        code = stop.code or 0
    return code, capsys.readouterr().out


def test_machine_versions_and_sandbox_are_told(capsys):
    code, out = run(capsys, "--json")
    found = json.loads(out)
    assert code == 0 and found.keys() == {"machine", "versions", "sandbox"}
    assert found["machine"]["python"] == ".".join(map(str, sys.version_info[:3])) and found["machine"]["cores"] >= 1
    assert found["sandbox"]["level"] == probe().level and found["sandbox"]["missing"] == probe().missing
    code, out = run(capsys)
    assert code == 0 and ["sandbox", "level", str(probe().level)] in [line.split()[:3] for line in out.splitlines()]


def test_what_a_poor_host_lacks_is_told_with_the_way_out(monkeypatch, capsys):
    host = Host(Level.RLIMITS, {"Landlock": "Function not implemented"})
    monkeypatch.setattr(box_levels, "probe", lambda: host)
    rows = [row for row in doctor.rows({"machine": {}, "versions": {}, "sandbox": doctor.sandbox()})]
    assert rows == [
        ("sandbox level", "rlimits", "does not run model code; allow_unsafe_execution='rlimits'"),
        ("sandbox lacks", "Landlock", "Function not implemented"),
    ]


def test_another_system_is_told_its_options(monkeypatch):
    monkeypatch.setattr(box_levels, "probe", lambda: Host(Level.NONE, {"Linux": "this is darwin"}))
    found = doctor.sandbox()
    assert not found["runs_model_code"] and found["way_out"].startswith("use a Linux machine, a container")


@pytest.mark.parametrize(("extra", "remark"), [("trl", "pip install 'eggym[trl]'"), (None, "it is needed")])
def test_what_is_not_installed_is_told_with_its_extra(monkeypatch, extra, remark):
    line = "no-such-thing>=1" + (f"; extra == '{extra}'" if extra else "")
    monkeypatch.setattr("importlib.metadata.requires", lambda _: [line, "pytest>=8; extra == 'dev'"])
    facts = {"machine": {}, "versions": doctor._versions(), "sandbox": doctor.sandbox()}
    name, found, said = next(doctor.rows(facts))
    assert (name, found) == ("no-such-thing", "-") and said.startswith(remark)
    assert facts["versions"].keys() == {"no-such-thing"}


def test_a_bare_checkout_has_no_versions(monkeypatch):
    def requires(name):
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", requires)
    assert doctor._versions() == {}
