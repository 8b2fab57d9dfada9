"""The report and what it stands on: curves, picture, transcripts. All records here are made up."""

import base64
import hashlib
import itertools
import json
import math
import re
from html.parser import HTMLParser

import pytest
from made_up import BUDGET, LEARNERS, TASKS, TUNING, a_duel, changed, measurement, run

from eggym.arena import arrange
from eggym.axes import has_axis
from eggym.curves import lines, shades
from eggym.drawing import STYLE, Scale, tick_at
from eggym.files import canonical_json, write_json
from eggym.outcome import summary
from eggym.picture import panel
from eggym.record import Record
from eggym.report import picture_svg, write_report
from eggym.transcripts import clipped, examples
from eggym.wording import amount, short


@pytest.fixture(scope="module")
def duel():
    return a_duel()


class Tags(HTMLParser):
    """Collects tags and checks that they close in order."""

    VOID = frozenset({"meta", "input", "link", "br", "path", "circle"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


# -- curves and picture -----------------------------------------------------------------------------------------------


def test_a_line_is_the_mean_over_seeds_with_its_t_interval():
    runs = [run(TASKS[0], "eggroll", seed, [0.2, end]) for seed, end in ((1, 0.4), (2, 0.5), (3, 0.6))]
    (line,) = lines(arrange(runs)[0], "greedy", "flops", {})
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert line.x.tolist() == [0, BUDGET]
    assert line.mean.tolist() == pytest.approx([0.2, 0.5])
    assert line.low.tolist() == pytest.approx([0.2, 0.5 - half])


def test_seeds_evaluated_at_other_places_meet_on_a_common_grid():
    runs = [run(TASKS[0], "eggroll", 1, [0.2, 0.4, 0.6]), run(TASKS[0], "eggroll", 2, [0.2, 0.6])]
    (line,) = lines(arrange(runs)[0], "greedy", "flops", {})
    assert (line.mean[0], line.mean[-1]) == pytest.approx((0.2, 0.6))
    assert line.mean[len(line.mean) // 2] == pytest.approx(0.4, abs=0.02)  # both lines stand at 0.4 halfway


def test_cpu_seconds_are_an_axis_only_where_they_were_measured(duel):
    records, measured = duel
    assert has_axis(arrange(records), "cpu-s", measured)
    assert not has_axis(arrange(records), "cpu-s", dict(list(measured.items())[1:]))


def test_amounts_are_short():
    assert [amount(value) for value in (0, 0.5, 950, 12000, 2.5e6, 1e9, 3e12, 9.99e11)] == [
        "0",
        "0.5",
        "950",
        "12k",
        "2.5M",
        "1e9",
        "3e12",
        "1e12",
    ]
    assert short("eggym/tiny-orders-v0") == "tiny-orders" and short("mine/x-v1") == "mine/x-v1"


def test_the_picture_stands_alone_and_names_everything(duel):
    svg = picture_svg(duel[0])
    tags = Tags(svg)
    assert tags.tags[0][0] == "svg" and tags.tags[0][1]["role"] == "img"
    for words in ("eggroll", "dr_grpo", "frozen", "tiny-orders", "ES ahead by", "RL ahead by", "not resolved"):
        assert words in svg
    assert svg.count("http") == 1  # the name of the format, which is not fetched
    assert len(svg) < 40_000
    assert picture_svg(duel[0]) == svg


@pytest.mark.parametrize("ends", [(0.50, 0.501, 0.502, 0.503), (0.0, 0.0, 0.01, 0.0), (1.0, 1.0, 1.0, 1.0)])
def test_labels_never_touch_nor_leave_the_panel(ends):
    names = {"eggroll": "es", "openai-es": "es", "dr_grpo": "rl", "grpo": "rl"}
    pairs = zip(names.items(), ends, strict=True)
    runs = [run(TASKS[0], name, seed, [0.3, end], kind=kind) for (name, kind), end in pairs for seed in (1, 2, 3)]
    places = sorted(float(y) for y in re.findall(r'y="([\d.]+)"><tspan', picture_svg(runs)))
    assert len(places) == 4
    assert min(b - a for a, b in itertools.pairwise(places)) >= 14.9
    assert places[0] >= 62 and places[-1] <= 292


# -- page and transcripts ---------------------------------------------------------------------------------------------


def save_runs(folder, records, replies):
    for index, record in enumerate(records):
        here = folder / str(index)
        here.mkdir()
        write_json(here / "record.json", record)
        (here / "evaluations.jsonl").write_text("".join(canonical_json(row) for row in replies(record)))


def told(point, item, reply, reward, prompt="474+439?", mode="greedy"):
    turns = [{"observation": prompt, "reply": reply}]
    row = {"point": point, "mode": mode, "item": item, "sample": 0, "prompt": prompt, "turns": turns}
    return {**row, "reward": reward, "state": "correct" if reward else "wrong", "found": reply}


def replies_of(record):
    """Item 0 stays wrong; 1 is learned by all, 2 by ES alone, 3 is lost by RL; 4 is like 1 and comes too late."""
    name = record.learner.name
    after = {0: 0.0, 1: 1.0, 2: float(name == "eggroll"), 3: float(name != "dr_grpo"), 4: 1.0}
    rows = [told(0, item, f"before {item}", float(item == 3)) for item in after]
    rows += [told(1, item, f"between {item}", 0.0) for item in after]
    rows += [told(2, item, f"{name} {item}", reward) for item, reward in after.items()]
    return [*rows, told(2, 0, "sampled", 1.0, mode="sampled")]


def test_examples_are_the_first_of_each_kind(tmp_path, duel):
    records, _ = duel
    save_runs(tmp_path, records, replies_of)
    folders = {record.id: tmp_path / str(index) for index, record in enumerate(records)}
    ((task, shown),) = examples(arrange(records)[:1], folders)
    assert task == TASKS[0]
    kinds = ["all learned it", "learned only by eggroll", "all learned it", "lost by dr_grpo", "still wrong for all"]
    assert [one.why for one in shown] == kinds
    assert [one.before.text for one in shown] == ["before 1", "before 2", "before 4", "before 3", "before 0"]
    assert [label for label, _ in shown[1].after] == ["eggroll", "dr_grpo"]
    assert (shown[1].after[0][1].text, shown[1].after[1][1].reward) == ("eggroll 2", 0.0)


def test_a_report_has_twelve_examples_and_tasks_take_turns(tmp_path, duel):
    records, _ = duel
    save_runs(tmp_path, records, lambda record: [*replies_of(record), *replies_of_more(record)])
    folders = {record.id: tmp_path / str(index) for index, record in enumerate(records)}
    arenas = arrange(records)
    assert [len(shown) for _, shown in examples(arenas, folders)] == [4, 4, 4]
    assert [len(shown) for _, shown in examples(arenas, folders, most=4)] == [2, 1, 1]
    # the first of the kinds is the worst
    assert [one.kind for one in examples(arenas, folders, most=1)[0][1]] == ["lost"]
    assert {one.kind for one in examples(arenas, folders)[0][1]} == {"lost", "learned", "wrong"}


def replies_of_more(record):
    return [told(point, item, f"{item} {point}", 0.0) for item in range(10, 30) for point in (0, 2)]


def test_examples_are_of_the_checkpoint_that_counts(tmp_path):
    runs = [run(TASKS[0], name, 1, [0.2, 0.9, 0.4], chosen=1) for name in ("eggroll", "dr_grpo")]
    save_runs(tmp_path, runs, replies_of)
    ((_, shown),) = examples(arrange(runs), {one.id: tmp_path / str(index) for index, one in enumerate(runs)})
    assert all(one.after[0][1].text.startswith("between") for one in shown)


def test_a_baseline_stands_beside_the_contenders_and_stops_nothing(tmp_path, duel):
    runs = [one for one in duel[0] if one.task.id == TASKS[0]]
    runs += [run(TASKS[0], name, 1, [0.2, 0.5], kind="baseline") for name in ("best-of-n", "sft")]
    save_runs(tmp_path, runs, lambda record: [] if record.learner.name == "best-of-n" else replies_of(record))
    ((_, shown),) = examples(arrange(runs), {one.id: tmp_path / str(index) for index, one in enumerate(runs)})
    assert [label for label, _ in shown[0].after] == ["eggroll", "dr_grpo", "sft"]


def test_missing_and_torn_replies_do_not_stop_a_report(tmp_path, duel):
    records, measured = duel
    save_runs(tmp_path, records[:2], replies_of)
    text = (tmp_path / "0" / "evaluations.jsonl").read_text()
    (tmp_path / "0" / "evaluations.jsonl").write_text(text[: len(text) // 2])
    (tmp_path / "1" / "evaluations.jsonl").unlink()
    page = write_report(tmp_path, records, measured).read_text()
    assert "Before and after" not in page


def test_several_turns_are_shown_with_what_the_environment_said(tmp_path, duel):
    records = [record for record in duel[0] if record.task.id == TASKS[0]]
    turns = [{"observation": "guess", "reply": "5"}, {"observation": "lower", "reply": "3"}]
    save_runs(
        tmp_path,
        records,
        lambda _: [told(0, 0, "1", 0.0), {**told(1, 0, "", 1.0), "turns": turns}],
    )
    ((_, (shown,)),) = examples(arrange(records), {record.id: tmp_path / str(i) for i, record in enumerate(records)})
    assert shown.after[0][1].text == "5\n> lower\n3"


def test_long_texts_are_clipped_and_say_so():
    assert clipped("x" * 700) == "x" * 700
    assert clipped("x" * 900).endswith("x … (200 more characters)")


def test_the_page_is_whole_small_and_loads_nothing(tmp_path, duel):
    save_runs(tmp_path, duel[0], replies_of)
    page = write_report(tmp_path, *duel).read_text()
    assert len(page.encode()) < 150_000
    tags = Tags(page).tags
    attributes = {name for _, names in tags for name in names}
    assert not {name for name in attributes if name in {"src", "href", "style"} or name.startswith("on")}
    assert "http" not in page.replace("http-equiv", "") and "@import" not in page and "url(" not in page
    assert all(names.get("aria-label") for tag, names in tags if names.get("role") == "img")
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == [
        "Who is ahead", "Every learner", "Over all 3 tasks", "On the way", "Where the time went", "Before and after",
        "Settings",
    ]  # fmt: skip
    assert page.count("<table>") == page.count("<caption>") == 6
    assert [names["id"] for tag, names in tags if tag == "input" and "checked" in names] == ["axis-flops"]
    assert write_report(tmp_path, *duel).read_text() == page


def with_truth(record, start, end):
    """The same record, its reward a proxy whose true reward goes from start to end."""
    body = json.loads(record.model_dump_json(by_alias=True))
    last = len(body["points"]) - 1
    for place, point in enumerate(body["points"]):
        for mode in ("greedy", "sampled"):
            point[mode]["parts"] = {"true": start + (end - start) * place / max(1, last)}
    return Record.model_validate_json(canonical_json(body))


def test_a_proxy_is_told_with_its_truth(tmp_path, capsys):
    from rich.console import Console

    from eggym.tables import print_summary

    records = [run(TASKS[0], name, seed, [0.2, 0.9]) for name in ("eggroll", "dr_grpo") for seed in (1, 2, 3)]
    proxies = [with_truth(one, 0.3, 0.1 if one.learner.name == "eggroll" else 0.2) for one in records]
    found = summary(proxies, {})
    es = found["tasks"][0]["learners"][0]
    # gap: 0.2 - 0.3 before, 0.9 - 0.1 after
    assert es["gap"]["start"]["greedy"]["mean"] == pytest.approx(-0.1)
    assert es["gap"]["change"]["greedy"]["mean"] == pytest.approx(0.9)
    assert found["tasks"][0]["comparisons"][0]["true"]["difference"] == pytest.approx(-0.1)
    page = write_report(tmp_path, proxies, {}).read_text()
    Tags(page)
    assert "Proxy and truth" in page and "+0.90" in page
    assert 'stroke-dasharray="0.1 4.5"' in page and "Dotted: the true reward" in page
    print_summary(Console(width=100), found)
    assert re.search(r"eggroll +0\.20 +0\.90 +0\.30 +0\.10 +-0\.10 +0\.80 \+0\.90", capsys.readouterr().out)


def test_nothing_of_that_is_told_where_the_reward_is_the_truth(tmp_path, duel, capsys):
    from rich.console import Console

    from eggym.tables import print_summary

    found = summary(*duel)
    assert not {"gap", "true"} & {name for task in found["tasks"] for one in task["learners"] for name in one}
    page = write_report(tmp_path, *duel).read_text()
    assert "proxy" not in page.lower() and "0.1 4.5" not in page
    print_summary(Console(width=100), found)
    assert "proxy" not in capsys.readouterr().out


def test_the_policy_names_the_one_style_sheet_by_its_hash(tmp_path, duel):
    page = write_report(tmp_path, *duel).read_text()
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page


def test_whatever_a_model_or_a_user_wrote_is_escaped(tmp_path):
    evil = "</pre><script>alert('x')</script>\"'<b>&amp;"
    records = [
        run(evil, name, seed, [0.2, 0.5 + 0.1 * (kind == "es")], kind=kind, options={evil: evil})
        for name, kind in ((f"a{evil}", "es"), (f"b{evil}", "rl"))
        for seed in (1, 2, 3)
    ]
    rows = [told(0, 0, evil, 0.0, prompt=evil), told(1, 0, evil, 1.0, prompt=evil)]
    save_runs(tmp_path, records, lambda _: rows)
    page = write_report(tmp_path, records, {record.id: measurement(record) for record in records}).read_text()
    for text in (page, picture_svg(records)):
        tags = {tag for tag, _ in Tags(text).tags}
        assert not tags & {"script"}
        assert "<script" not in text


def test_a_frozen_base_alone_makes_a_page_without_a_verdict(tmp_path):
    records = [run(TASKS[0], "frozen", seed, [0.3]) for seed in (1, 2, 3)]
    page = write_report(tmp_path, records, {}).read_text()
    assert "Who is ahead" not in page and "e-10" not in page
    assert "0.30</tspan> frozen" in page


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_any_number_of_seeds_makes_a_page(tmp_path, seeds):
    records, measured = a_duel(seeds, random_reward=True)
    page = write_report(tmp_path, records, measured).read_text()
    assert ("no interval" in page) == (seeds < 3)


def test_a_duel_without_measurements_or_without_any_reward_makes_a_page(tmp_path):
    records = [run(TASKS[0], name, seed, [None, None]) for name in LEARNERS for seed in (1, 2, 3)]
    page = write_report(tmp_path, records, {}).read_text()
    assert 'axis-cpu-s"' not in page
    assert "nan" not in page.replace("resonan", "")


def test_what_changed_beside_the_reward_is_shown(tmp_path):
    records = [
        run(task, name, seed, [0.25, 0.5], beyond=changed(seed), tuning=TUNING)
        for task in TASKS[:2]
        for name in ("eggroll", "dr_grpo")
        for seed in (1, 2, 3)
    ]
    page = write_report(tmp_path, records, {record.id: measurement(record) for record in records}).read_text()
    Tags(page)
    for words in (
        "Beyond the reward",
        "Kept of tiny-orders",
        "pass@64",
        "How options were chosen",
        "diverged at step 3",
    ):
        assert words in page
    assert page.count("pass@k against k") == 2 and page.count("Change of the weights by layer") == 2
    # KL 0.01, 0.02, 0.03: SE 0.01/sqrt(3), half width 4.302653 * 0.0057735 = 0.02484
    assert "<td>0.02<small>\N{PLUS-MINUS SIGN} 0.0248</small></td>" in page
    assert "0.25 → <b>0.50</b>" in page  # pass@1, before and after
    assert 'tr class="chosen"' in page and "2 trials on tiny-orders" in page


def test_the_page_notes_numbers_that_leave_out_what_a_baseline_found(tmp_path):
    still = {**changed(1), "weight_change": {"all": 0.0}}
    for name, kind in (("best-of-n", "baseline"), ("eggroll", "es")):
        page = write_report(tmp_path, [run(TASKS[0], name, 1, [0.25, 0.5], kind, beyond=still)], {}).read_text()
        assert (">best-of-n: measured on the model itself, without the prompt" in page) is (kind == "baseline")


def test_what_was_not_asked_for_has_no_section(tmp_path, duel):
    page = write_report(tmp_path, *duel).read_text()
    assert "Beyond the reward" not in page and "How options were chosen" not in page and "pass@" not in page


def test_a_profile_needs_two_tasks(tmp_path, duel):
    def has_profile(records):
        return "Performance profiles" in write_report(tmp_path, records, {}).read_text()

    assert has_profile(duel[0])
    assert not has_profile([record for record in duel[0] if record.task.id == TASKS[0]])


def test_a_baseline_is_green_and_dashed_or_a_level(tmp_path):
    runs = [run(TASKS[0], name, seed, [0.2, 0.5]) for name in ("eggroll", "dr_grpo") for seed in (1, 2, 3)]
    trained = [run(TASKS[0], "sft", seed, [0.2, 0.4], kind="baseline") for seed in (1, 2, 3)]
    asked = [run(TASKS[0], "best-prompt", seed, [0.3], kind="baseline") for seed in (1, 2, 3)]
    page = write_report(tmp_path, [*runs, *trained, *asked], {}).read_text()
    assert "Green, dashed: baselines" in page
    assert re.search(r'class="baseline0" fill="none"[^>]*stroke-dasharray="6 5"', page)
    # not trained: one level all across, like the frozen base
    assert re.search(r'class="baseline1" [^>]*stroke-dasharray="5 4" d="M30 [\d.]+H', page)


def test_options_that_differ_by_task_are_told_by_task(tmp_path):
    runs = [run(task, "eggroll", 1, [0.2, 0.5], options={"lr": lr}) for task, lr in ((TASKS[0], 0.1), (TASKS[1], 0.2))]
    assert "tiny-arithmetic: 0.1; tiny-orders: 0.2" in write_report(tmp_path, runs, {}).read_text()


def test_what_everybody_was_asked_is_told_a_penalty_in_the_reward_above_all(tmp_path):
    runs = [run(TASKS[0], "eggroll", 1, [0.2, 0.5], asked={"reward": {"kl": 0.05}, "space": {"adapter_rank": 4}})]
    page = write_report(tmp_path, runs, {}).read_text()
    assert "<dt>reward.kl</dt><dd>0.05</dd>" in page and "<dt>space.adapter_rank</dt><dd>4</dd>" in page


def test_evil_names_are_escaped_in_every_section(tmp_path):
    evil = "<script>x</script>"
    gone = {**changed(), "retention": {evil: changed()["train"]}, "weight_change": {"all": 0.1, evil: 0.2}}
    told = {**TUNING, "task": evil, "split": evil, "space": {evil: [evil]}}
    told["trials"] = [{"options": {evil: evil}, "score": None, "run": evil, "flops": 1}]
    runs = [run(TASKS[0], "eggroll", 1, [0.2, 0.5], beyond=gone, tuning={**told, "chosen": 0})]
    timed = {runs[0].id: measurement(runs[0]).model_copy(update={"phases": {evil: 1.0}})}
    assert "<script" not in write_report(tmp_path, runs, timed).read_text()


def test_phases_that_took_nothing_have_no_column(tmp_path, duel):
    records, measured = duel
    phases = {"rollout": 9.0, "tell": 0.01, "kl_reward": 0.0}
    timed = {name: one.model_copy(update={"phases": phases}) for name, one in measured.items()}
    page = write_report(tmp_path, records, timed).read_text()
    assert ">rollout</th>" in page and ">tell<" not in page and ">kl_reward<" not in page and ">Sandbox<" not in page
    timed = {name: one.model_copy(update={"sandbox_s": 0.2}) for name, one in timed.items()}
    assert ">Sandbox</th>" in write_report(tmp_path, records, timed).read_text()


def test_no_two_learners_of_a_kind_look_alike():
    names = ["dr_grpo", "grpo", "dapo", "rloo", "cispo", "gspo", "reinforce_pp", "ppo", "trl-grpo"]
    runs = [run(TASKS[0], name, 1, [0.2, 0.4, 0.6], kind="rl") for name in names]
    (arena,) = arrange([*runs, run(TASKS[0], "eggroll", 1, [0.2, 0.5])])
    found = shades(arena.sides)
    assert len(set(found.values())) == len(found) == 10
    for css in found.values():
        for name in css.split():
            assert STYLE.count(f".{name}[") == 1 if name.startswith("dash") else STYLE.count(f".{name}{{") == 2  # dark
    assert 'class="rl0 dash1" fill="none"' in panel(arena, "flops", {})


def test_the_unit_stands_behind_the_last_tick():
    ticks = re.findall(r">([^<>]+)</text>", tick_at(Scale(1.0, 0.0, 1.0, 200.0), 1.0, "1.5e11 FLOPs"))
    assert ticks == ["1.5e11", "FLOPs"]  # the number stays below its mark


def test_an_area_is_of_all_seeds_or_of_none():
    late = run(TASKS[0], "eggroll", 1, [0.2, 0.4, 0.6])
    early = run(TASKS[0], "eggroll", 2, [0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6])  # evaluated before 2400 episodes
    task = summary([late, early, run(TASKS[0], "dr_grpo", 1, [0.2, 0.4, 0.6])], {})["tasks"][0]
    assert task["learners"][0]["areas"]["episodes"]["mean"] is None
