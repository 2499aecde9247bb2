"""What a comparison says to people and machines: groups of layers and experts in a line, numbers that JSON has."""

import json
from math import inf

import pytest

from modeling_axk1.weights.diff_report import DiffReport, Group, Stored, WeightDiff
from modeling_axk1.weights.errorsum import ErrorSum

STORED = Stored("here", 1, 1, 4, {"F32": 1}, "unknown", {"format": "pt"})


def report(*weights, config=None):
    return DiffReport(STORED, STORED, config or {}, weights, ())


def cast(name):
    return WeightDiff(name, "cast", (2, 2), (2, 2), "BF16", "F32", differing=0, error=ErrorSum())


def expert(layer, number, verdict="cast"):
    return WeightDiff(f"model.layers.{layer}.mlp.experts.{number}.up_proj.weight", verdict, form_a="BF16", form_b="F32")


def lines(*weights):
    return [str(group) for group in report(*weights).groups()]


def test_experts_of_layers_are_one_line():
    experts = [expert(layer, number) for layer in range(1, 61) for number in range(192)]
    line = "cast: 11,520 weights model.layers.[1-60].mlp.experts.[0-191].up_proj.weight: BF16 -> F32, the same values"
    assert lines(*experts) == [line]


def test_gaps_are_told():
    (line,) = lines(expert(1, 0), expert(1, 2), expert(1, 7))
    assert line.startswith("cast: 3 weights model.layers.1.mlp.experts.[3 of 0-7].up_proj.weight")


def test_other_verdicts_forms_and_names_are_lines_of_their_own():
    assert len(lines(cast("a.0.w"), cast("a.1.w"), cast("b.0.w"), expert(0, 0), expert(0, 1, "rounded"))) == 4


def test_equal_weights_are_counted_and_not_listed():
    found = report(*[WeightDiff(f"w{number}", "equal") for number in range(3)], cast("x"))
    assert [str(group) for group in found.groups()] == ["cast: x: BF16 -> F32, the same values"]
    assert found.summary() == "4 weights: 3 equal, 1 cast"


def test_of_a_group_the_worst_is_named():
    errors = [ErrorSum(1.0, 100.0, 0.5), ErrorSum(4.0, 100.0, 0.25)]
    members = [
        WeightDiff(f"a.{number}.w", "differs", (2,), (2,), "F32", "F32", differing=2, error=error)
        for number, error in enumerate(errors)
    ]
    assert str(Group(tuple(members))) == (
        "differs: 2 weights a.[0-1].w: F32, 4 values differ, by up to 0.5; "
        "relative RMS 0.2, 14.0 dB (the most in a.1.w)"
    )


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (WeightDiff("w", "renamed", name_b="v"), "renamed: w -> v"),
        (WeightDiff("w", "shape", (2, 3), ()), "shape: w: [2, 3] in A, [] in B"),
        (WeightDiff("w", "only in A", (2,)), "only in A: w"),
        (WeightDiff("w", "form", (2,), (2,), "F32", "F16"), "form: w: F32 -> F16, not read"),
        (
            WeightDiff("w", "differs", (2,), (2,), "F4", "F4"),
            "differs: w: F4, the values of such a dtype are not compared",
        ),
    ],
)
def test_each_verdict_has_its_line(found, line):
    assert str(found) == line


def test_differences_of_config_are_lines():
    found = report(config={"rope_theta": ("10000", "50000"), "dtype": (None, '"float32"')})
    assert list(found.differences_of_config()) == [
        "config.json: rope_theta is 10000 in A and 50000 in B",
        'config.json: dtype is absent in A and "float32" in B',
    ]


def test_json_has_no_infinity():
    found = WeightDiff("w", "differs", (2,), (2,), "F32", "F32", differing=1, error=ErrorSum(inf, 1.0, inf))
    text = json.dumps(report(found, cast("x")).to_json(), allow_nan=False)
    first, second = json.loads(text)["weights"]
    assert (first["verdict"], first["differing"], first["relative_rms"], first["max_abs"]) == ("differs", 1, None, None)
    assert (second["relative_rms"], second["signal_to_noise_db"]) == (0.0, None)


@pytest.mark.parametrize(
    ("found", "tolerance", "allow_renamed", "passes"),
    [
        (WeightDiff("w", "equal"), None, False, True),
        (WeightDiff("w", "alike"), None, False, True),
        (WeightDiff("w", "renamed", name_b="v"), 9.0, False, False),
        (WeightDiff("w", "renamed", name_b="v"), None, True, True),
        (cast("w"), None, False, False),
        (cast("w"), 0.0, False, True),
        (WeightDiff("w", "form", form_a="F32", form_b="F16"), 9.0, True, False),
        (WeightDiff("w", "shape", (1,), (2,), "F32", "F16"), 9.0, True, False),
        (WeightDiff("w", "only in B", form_b="F16"), 9.0, True, False),
    ],
)
def test_what_counts_as_equal(found, tolerance, allow_renamed, passes):
    assert report(found).unequal(tolerance, allow_renamed=allow_renamed) == ([] if passes else [found])
