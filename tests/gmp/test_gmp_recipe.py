"""Recipe files: variables, fields, ends, and one sentence with file and line for whatever is wrong."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from support.named import names, naming

from gmp.errors import PruningWarning, RecipeError
from gmp.recipes.modifiers import GMPruningModifier, LearningRateFunctionModifier, MagnitudePruningModifier
from gmp.recipes.recipe import Recipe, load_recipe

PRUNE = """
  - !MagnitudePruningModifier
    init_sparsity: 0.05
    final_sparsity: 0.8
    start_epoch: 1
    end_epoch: 4
    update_frequency: 0.5
    params: [fc.weight]
"""


def load(tmp_path: Path, text: str, overrides: dict[str, float] | None = None) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return load_recipe(path, overrides)


def pruning(tmp_path: Path, *lines: str) -> MagnitudePruningModifier:
    """The PRUNE modifier with further or other lines."""
    keys = {line.partition(":")[0].strip() for line in lines}
    kept = [line for line in PRUNE.splitlines() if line.partition(":")[0].strip() not in keys]
    text = "\n".join(["modifiers:", *kept, *(f"    {line}" for line in lines)])
    (modifier,) = load(tmp_path, text).modifiers
    assert isinstance(modifier, MagnitudePruningModifier)
    return modifier


def test_variables_refer_to_one_another_in_any_order(tmp_path: Path) -> None:
    text = f"""
half: eval(epochs / 2)
rate: eval(base ** 2 * 1e2)
epochs: 8
base: 1e-3
names: [fc.weight, 're:conv.*']
modifiers:
  - !EpochRangeModifier {{start_epoch: 0, end_epoch: eval(epochs)}}
training_modifiers:
  - !SetLearningRateModifier {{start_epoch: eval(half), learning_rate: eval(rate)}}
pruning_modifiers: {PRUNE.replace("[fc.weight]", "eval(names)")}
"""
    epochs, rate, prune = load(tmp_path, text).modifiers
    assert epochs.end_epoch == 8
    assert rate.start_epoch == 4
    assert rate.learning_rate == pytest.approx(1e-4)
    assert prune.params == ("fc.weight", "re:conv.*")


def test_overrides_replace_variables_before_they_are_used(tmp_path: Path) -> None:
    text = """
epochs: 8
half: eval(epochs / 2)
modifiers:
  - !EpochRangeModifier {start_epoch: eval(half), end_epoch: eval(epochs)}
"""
    assert load(tmp_path, text).epochs == 8
    recipe = load(tmp_path, text, {"epochs": 20})
    assert (recipe.modifiers[0].start_epoch, recipe.epochs) == (10, 20)
    assert load(tmp_path, text, {"epochs": np.int64(20)}) == load(tmp_path, text, {"epochs": np.float32(20)})
    assert load(tmp_path, text, {"epochs": np.int64(20)}) == recipe
    with pytest.raises(RecipeError, match=naming("epoch epochs")):
        load(tmp_path, text, {"epoch": 20})


def test_front_matter_of_markdown_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "recipe.md"
    path.write_text(
        "---\nversion: 1\nmodifiers:\n  - !EpochRangeModifier {start_epoch: 0, end_epoch: 3}\n---\n# Card"
    )
    assert load_recipe(path).epochs == 3
    path.write_text(
        "\n\n---\nmodifiers:\n  - !EpochRangeModifier\n    start_epoch: 0\n    end_epoch: x\n---\n# Card"
    )
    with pytest.raises(RecipeError, match=naming("recipe.md:7 end_epoch EpochRangeModifier x")):
        load_recipe(path)
    path.write_text("# Card\n")
    with pytest.raises(RecipeError, match=naming("recipe.md")):
        load_recipe(path)


def test_epochs_are_the_last_that_is_named_and_open_ends_become_that(tmp_path: Path) -> None:
    open_end = PRUNE.replace("end_epoch: 4", "end_epoch: -1")
    recipe = load(
        tmp_path, f"modifiers:\n  - !EpochRangeModifier {{start_epoch: 0, end_epoch: 9}}\n{open_end}"
    )
    assert recipe.epochs == 9
    assert recipe.modifiers[1].end_epoch == 9
    with pytest.raises(RecipeError, match=naming("recipe.yaml:3 MagnitudePruningModifier")):
        load(tmp_path, f"modifiers:\n{open_end}")


def test_defaults_are_those_of_the_format(tmp_path: Path) -> None:
    modifier = pruning(tmp_path)
    assert (modifier.inter_func, modifier.leave_enabled, modifier.mask_type) == ("cubic", True, "1x1")
    assert not modifier.is_global
    assert pruning(tmp_path, "params: []").targets == ((0.8, ("__ALL_PRUNABLE__",)),)
    assert pruning(tmp_path, "init_sparsity: __FROM_PARAM__").init_sparsity is None
    assert pruning(tmp_path, "log_types: __ALL__") == modifier


@pytest.mark.parametrize(
    ("mask_type", "pattern"),
    [
        ("unstructured", "1x1"),
        ("block4", "block(1,4)"),
        ("[4, 2]", "block(4,2)"),
        ("'2:4'", "2:4"),
        ("tensorrt", "2:4"),
    ],
)
def test_mask_types_are_patterns(tmp_path: Path, mask_type: str, pattern: str) -> None:
    assert pruning(tmp_path, f"mask_type: {mask_type}").mask_type == pattern


def test_final_sparsities_by_name(tmp_path: Path) -> None:
    modifier = pruning(tmp_path, "params: []", "final_sparsity: {0.8: [a.weight, b.weight], 0.9: ['re:c.*']}")
    assert modifier.targets == ((0.8, ("a.weight", "b.weight")), (0.9, ("re:c.*",)))


def test_old_spelling_of_global_pruning(tmp_path: Path) -> None:
    text = "modifiers:" + PRUNE.replace("!Magnitude", "!GM") + "    global_sparsity: true\n"
    (modifier,) = load(tmp_path, text).modifiers
    assert isinstance(modifier, GMPruningModifier)
    assert modifier.is_global


def rates(**changes: object) -> LearningRateFunctionModifier:
    values = {"lr_func": "linear", "init_lr": 1.0, "final_lr": 0.5, "start_epoch": 2.0, "end_epoch": 7.0}
    return LearningRateFunctionModifier(place="", **{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("function", ["linear", "cosine"])
def test_rates_start_and_end_where_they_should(function: str) -> None:
    rate = rates(lr_func=function)
    assert rate.learning_rate_at(2.0, 10) == 1.0
    assert rate.learning_rate_at(4.5, 10) == pytest.approx(0.75)
    assert rate.learning_rate_at(7.0, 10) == 0.5
    assert rate.learning_rate_at(99.0, 10) == 0.5
    upwards = rates(lr_func=function, init_lr=0.5, final_lr=1.0)
    assert upwards.learning_rate_at(3.0, 10) == pytest.approx(1.5 - rate.learning_rate_at(3.0, 10))


def test_cycles_rewind_and_the_last_may_be_short() -> None:
    rate = rates(lr_func="cyclic_linear", cycle_epochs=2.0, init_lr=1.0, final_lr=0.0)
    values = [rate.learning_rate_at(2 + step / 5, 5) for step in range(25)]
    cycle = [1 - step / 9 for step in range(10)]
    assert values == pytest.approx([*cycle, *cycle, 1.0, 0.75, 0.5, 0.25, 0.0])


def test_cycles_of_a_tenth_rewind_in_time() -> None:
    rate = rates(lr_func="cyclic_linear", cycle_epochs=0.1, start_epoch=0.0, end_epoch=1.0)
    assert [rate.learning_rate_at(step / 20, 20) for step in range(20)] == pytest.approx([1.0, 0.5] * 10)


def test_description_says_what_happens_when(tmp_path: Path) -> None:
    decay = "  - !SetWeightDecayModifier {weight_decay: 0.1, start_epoch: 2, param_groups: [1]}"
    console = Console(width=200)
    with console.capture() as capture:
        console.print(load(tmp_path, f"modifiers:\n{decay}\n{PRUNE}").describe())
    lines = capture.get().splitlines()
    (first,) = (i for i, line in enumerate(lines) if "1 to 4" in line)
    assert (
        "in each layer from 0.05 to 0.8: fc.weight; cubic, every 0.5 epochs, then masks stay" in lines[first]
    )
    assert "from 2" in lines[first + 1]
    assert "weight decay 0.1 in parameter groups 1" in lines[first + 1]


LR = """  - !LearningRateFunctionModifier
    {start_epoch: 1, end_epoch: 3, lr_func: linear, init_lr: 1, final_lr: 0}"""
BAD = {
    "empty": ("", "recipe.yaml empty"),
    "list": ("- a", "recipe.yaml:1"),
    "not yaml": ("a: [1", "recipe.yaml:1 YAML ] <stream end>"),
    "two documents": ("a: 1\n---\nb: 2", "recipe.yaml:2 YAML"),
    "twice": ("a: 1\na: 2", "recipe.yaml:2 a 1"),
    "alias of nothing": ("a: *x", "recipe.yaml:1 YAML"),
    "merge of a list": ("a: &x [1]\nb: {<<: *x}", "recipe.yaml:2 <<"),
    "foreign tag": ("a: !!python/name:os.system x", "recipe.yaml:1 python/name:os.system"),
    "no modifiers": ("a: 1", "recipe.yaml modifiers"),
    "wrong key": (
        "modifier:\n  - !EpochRangeModifier {start_epoch: 0, end_epoch: 1}",
        "recipe.yaml:1 modifier modifiers",
    ),
    "stage": (
        "first_stage:\n  modifiers:\n    - !EpochRangeModifier {start_epoch: 0, end_epoch: 1}",
        "recipe.yaml:1 first_stage",
    ),
    "no tags": ("modifiers: [1, 2]", "recipe.yaml:1 - Name"),
    "typo": (
        "modifiers:\n  - !GMPruningModifer {}",
        "recipe.yaml:2 GMPruningModifer GMPruningModifier",
    ),
    "unknown field": (
        "modifiers:\n  - !EpochRangeModifier\n    begin_epoch: 1",
        "recipe.yaml:3 EpochRangeModifier begin_epoch end_epoch",
    ),
    "missing field": (
        "modifiers:\n  - !EpochRangeModifier\n    start_epoch: 1",
        "recipe.yaml:2 EpochRangeModifier end_epoch",
    ),
    "unknown variable": (
        "epochs: 1\nx: eval(epoch * 2)",
        "recipe.yaml:2 epoch epochs",
    ),
    "circle": (
        "a: eval(b)\nb: eval(c + 1)\nc: eval(a)",
        "recipe.yaml:3 a ->",
    ),
    "no number": ("a: text\nb: eval(a + 1)", "recipe.yaml:2 a text"),
    "division": ("a: eval(1 / 0)", "recipe.yaml:1 eval(1 / 0"),
    "order": (
        "modifiers:\n  - !EpochRangeModifier {start_epoch: 3, end_epoch: 1}",
        "recipe.yaml:2 EpochRangeModifier end_epoch 1 start_epoch 3",
    ),
    "two rates": (
        f"modifiers:\n{LR}\n  - !SetLearningRateModifier {{start_epoch: 2, learning_rate: 1}}",
        "recipe.yaml:4 SetLearningRateModifier 2 LearningRateFunctionModifier",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_recipes_are_one_sentence_with_a_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text)
    assert names(caught.value, message)
    assert str(caught.value).startswith(str(tmp_path / "recipe.yaml") + ":")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "final_sparsity: 90",
            "final_sparsity MagnitudePruningModifier 90 0 1",
        ),
        ("final_sparsity: .nan", "nan 0 1"),
        ("final_sparsity: true", "True 0 1"),
        ("init_sparsity: __FROM_PARAMS__", "0 1 __FROM_PARAM__"),
        ("init_sparsity: 0.85", "init_sparsity 0.85 final_sparsity 0.8"),
        ("update_frequency: 0", "0 -1"),
        ("start_epoch: -2", "0 -1"),
        ("end_epoch: 1", "end_epoch 1 start_epoch"),
        ("inter_func: quadratic", "quadratic inverse_cubic"),
        (
            "mask_type: 2:4:8",
            "2:4:8 block4 n:m",
        ),
        ("leave_enabled: yes", "yes"),
        ("params: ['re:(']", "re"),
        ("params: 3", "3"),
        ("final_sparsity: {0.5: [a.weight]}", "final_sparsity"),
        ("phased: false", "phased"),
    ],
)
def test_bad_values_say_what_is_needed(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        pruning(tmp_path, line)
    assert names(caught.value, f"{line.split(':')[0]} {message}")


def test_other_methods_of_pruning_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=naming("recipe.yaml:2 !OBSPruningModifier")):
        load(tmp_path, "modifiers:\n  - !OBSPruningModifier {start_epoch: 1}")


def test_what_does_not_prune_is_left_out_with_a_warning(tmp_path: Path) -> None:
    others = """
  - !QuantizationModifier {start_epoch: 1}
  - !DistillationModifier
    hardness: 0.5
"""
    with pytest.warns(PruningWarning) as caught:
        recipe = load(tmp_path, f"modifiers:{others}{PRUNE}")
    assert len(caught) == 1
    assert [modifier.name for modifier in recipe.modifiers] == ["MagnitudePruningModifier"]
    assert recipe.not_run == ("QuantizationModifier (line 2)", "DistillationModifier (line 3)")
    assert all(name in str(caught[0].message) for name in recipe.not_run)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(recipe.describe())
    assert recipe.not_run[0] in capture.get()
    with pytest.raises(RecipeError, match=naming("QuantizationModifier DistillationModifier")):
        load(tmp_path, f"modifiers:{others}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=naming("none.yaml")):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=naming("path")):
        load_recipe("modifiers:\n")
    with pytest.raises(RecipeError, match=naming("binary.yaml")):
        load_recipe(tmp_path / "binary.yaml")
    with pytest.raises(RecipeError, match="nested"):
        load(tmp_path, "a: " + "[" * 5000 + "]" * 5000)


MODIFIER = "modifiers:\n  - !EpochRangeModifier\n    start_epoch: 0.0\n    end_epoch: eval(x)\n"


def chained(count: int, link: str, end: str) -> str:
    """x, and variables v0, v1 ... each of which is `link` of the next one; the last one is `end`."""
    lines = ["x: eval(v0)", *(f"v{i}: {link.format(f'v{i + 1}')}" for i in range(count)), f"v{count}: {end}"]
    return "\n".join(lines) + "\n" + MODIFIER


def test_variables_are_computed_once_however_often_they_are_named(tmp_path: Path) -> None:
    assert load(tmp_path, chained(40, "eval({0}+{0})", "1e-12")).epochs == 2.0**40 * 1e-12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (chained(3000, "eval({0})", "1"), "x 50"),
        (chained(150, "eval({0}+1)", "1"), "x 50"),
        (chained(40, "[eval({0}), eval({0})]", "1"), "100000"),
        (chained(40, "eval({0}*{0})", "10"), "result"),
        (chained(3, "eval({0}+x)", "1"), "itself"),
    ],
)
def test_chains_of_variables_are_bounded(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=naming(message)):
        load(tmp_path, text)


def test_aliases_stand_for_scalars(tmp_path: Path) -> None:
    """As recipes named their variables before sparseml knew eval()."""
    text = "epochs: &x 3.0\n" + MODIFIER.replace("eval(x)", "*x")
    assert load(tmp_path, text).epochs == 3.0


def test_aliases_and_merge_keys_stand_for_what_they_name(tmp_path: Path) -> None:
    text = """
names: &names [fc.weight, 're:conv.*']
span: &span {start_epoch: 1, end_epoch: 4}
common: &common {<<: *span, update_frequency: 0.5, init_sparsity: 0.05, end_epoch: 9}
modifiers:
  - !MagnitudePruningModifier
    <<: *common
    params: *names
    final_sparsity: 0.8
  - !EpochRangeModifier {<<: [{start_epoch: 0}, *span]}
"""
    prune, epochs = load(tmp_path, text).modifiers
    assert prune.params == ("fc.weight", "re:conv.*")
    assert (prune.start_epoch, prune.end_epoch, prune.update_frequency) == (1, 9, 0.5)
    assert (epochs.start_epoch, epochs.end_epoch) == (0, 4)


@pytest.mark.parametrize("inside", ["[*v{0}, *v{0}]", "{{a: *v{0}, b: *v{0}}}", "{{<<: [*v{0}, *v{0}]}}"])
def test_aliases_are_bounded(inside: str, tmp_path: Path) -> None:
    lines = ["v0: &v0 {x: 1}", *(f"v{i + 1}: &v{i + 1} {inside.format(i)}" for i in range(40))]
    with pytest.raises(RecipeError, match=naming("100000")):
        load(tmp_path, "\n".join(lines) + "\n" + MODIFIER)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}"])
def test_an_alias_inside_of_itself_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe.yaml: \w"):
        load(tmp_path, text)


SCHEDULERS = [
    ("StepLR", "{step_size: 0.5, gamma: 0.5}"),
    ("MultiStepLR", "{milestones: [2, 3.3], gamma: 0.1}"),
    ("ExponentialLR", "{gamma: 0.9}"),
    ("CosineAnnealingWarmRestarts", "{lr_min: 0.1, cycle_epochs: 2}"),
]


@pytest.mark.parametrize(("kind", "arguments"), SCHEDULERS)
def test_schedulers_of_older_recipes_are_those_of_torch(kind: str, arguments: str, tmp_path: Path) -> None:
    """sparseml steps torch's scheduler after each step; only the cosine's is given epochs."""
    text = f"modifiers:\n  - !LearningRateModifier\n    lr_class: {kind}\n    lr_kwargs: {arguments}\n"
    (rate,) = load(tmp_path, f"{text}    init_lr: 0.8\n    start_epoch: 1\n    end_epoch: 4").modifiers
    steps, given = 10, rate.lr_kwargs
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    schedulers = torch.optim.lr_scheduler
    scheduler = {
        "StepLR": lambda: schedulers.StepLR(optimizer, round(given["step_size"] * steps), given["gamma"]),
        "MultiStepLR": lambda: schedulers.MultiStepLR(
            optimizer, [round((m - 1) * steps) for m in given["milestones"]], given["gamma"]
        ),
        "ExponentialLR": lambda: schedulers.StepLR(optimizer, steps, given["gamma"]),
        "CosineAnnealingWarmRestarts": lambda: schedulers.CosineAnnealingWarmRestarts(
            optimizer, given["cycle_epochs"], eta_min=given["lr_min"]
        ),
    }[kind]()
    optimizer.step()
    for step in range(steps, 4 * steps):
        assert rate.learning_rate_at(step / steps, steps) == pytest.approx(optimizer.param_groups[0]["lr"])
        last = optimizer.param_groups[0]["lr"]
        if kind == "CosineAnnealingWarmRestarts":
            scheduler.step((step + 1) / steps - 1)
        else:
            scheduler.step()
    assert rate.learning_rate_at(7.0, steps) == pytest.approx(last)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lr_kwargs: {gamma: 0.1}", "lr_kwargs StepLR step_size"),
        ("lr_kwargs: {gamma: 0.1, step_size: 0}", "step_size cycle_epochs 0"),
        ("lr_kwargs: [1]", "mapping"),
        ("lr_kwargs: {gamma: x, step_size: 1}", "numbers"),
        ("lr_kwargs: {gamma: 0.1, milestones: [9]}\n    lr_class: MultiStepLR", "milestones"),
    ],
)
def test_wrong_schedulers_say_what_is_needed(line: str, message: str, tmp_path: Path) -> None:
    fields = {"lr_class": "StepLR", "init_lr": 1, "start_epoch": 0, "end_epoch": 5}
    fields |= dict(part.strip().split(": ", 1) for part in line.splitlines())
    text = "modifiers:\n  - !LearningRateModifier\n" + "".join(f"    {k}: {v}\n" for k, v in fields.items())
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text)
    assert names(caught.value, message)


def test_an_end_that_sparseml_ignores_is_ignored(tmp_path: Path) -> None:
    text = "modifiers:\n  - !SetLearningRateModifier {start_epoch: 2, learning_rate: 1, end_epoch: 9}"
    assert load(tmp_path, text).modifiers[0].end_epoch == -1


def test_front_matter_may_follow_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text(f"<!--\nA licence.\n-->\n\n---\nx: 4\n{MODIFIER}---\n# Title\n", encoding="utf-8")
    assert load_recipe(path).epochs == 4
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_recipe(path).epochs == 4


def test_flips_and_cuts_of_recipes_are_one_sentence(tmp_path: Path) -> None:
    draw, path = random.Random(5), tmp_path / "spoiled.yaml"
    data = chained(3, "eval({0}+1)", "&a 1.5").encode() + b"y: [*a, {b: 1e-3}]\n"
    for _ in range(300):
        spoiled = bytearray(data)
        for _ in range(draw.choice([1, 2, 8])):
            spoiled[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(spoiled if draw.random() < 0.8 else spoiled[: draw.randrange(len(data))])
        said = f"{path}:"
        try:
            load_recipe(path)
        except RecipeError as error:
            said = str(error)
        assert said.startswith(f"{path}:")
        assert "\n" not in said
