"""Rules of --unit tell which images belong together, and refuse what they do not fit."""

from __future__ import annotations

import pytest

from studies.image_units import UnitError, image_units, parse_rules, refuse_unused

# One of a run before, the ends of the next, and the first of the one after; then another class.
PATHS = [f"test/glass/glass_{number:04}.jpg" for number in (10, 11, 20, 21)] + ["test/metal/metal_0011.jpg"]


def grouped(rule: str, paths: list[str]) -> list[list[str]]:
    """Return the images of each unit, in the order of their first ones."""
    units = image_units(parse_rules([f"set={rule}"]), "set", paths)
    return [
        [path for path, unit in zip(paths, units, strict=True) if unit == name]
        for name in dict.fromkeys(units)
    ]


def test_numbers_of_a_folder_are_one_unit_in_tens_that_begin_with_1() -> None:
    assert grouped(r"_(\d+)/10", PATHS) == [[PATHS[0]], PATHS[1:3], [PATHS[3]], [PATHS[4]]]


def test_numbers_may_begin_with_0() -> None:
    assert grouped(r"_(\d+)/10@0", PATHS) == [PATHS[:2], PATHS[2:4], [PATHS[4]]]


def test_numbers_without_a_gap_are_one_unit_in_whatever_order_they_come() -> None:
    assert grouped(r"_(\d+)/run", PATHS) == [PATHS[:2], PATHS[2:4], [PATHS[4]]]
    assert grouped(r"_(\d+)/run", PATHS[::-1]) == [[PATHS[4]], PATHS[3:1:-1], PATHS[1::-1]]


def test_groups_without_a_size_name_the_unit_across_folders() -> None:
    paths = ["left/kitchen-1.jpg", "right/kitchen-2.jpg", "left/hall-1.jpg"]
    assert grouped(r"/(\w+)-\d+", paths) == [paths[:2], paths[2:]]


def test_set_without_a_rule_has_each_image_as_a_unit() -> None:
    assert image_units(parse_rules([r"other=(\d+)"]), "set", PATHS) == PATHS


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("trash", "takes SET=EXPRESSION"),
        (r"trash=\d+/10", "has no group in parentheses"),
        ("trash=(/10", "is no regular expression"),
        (r"trash=x(\d+)/10", "does not fit the image test/glass/glass_0010.jpg"),
        (r"trash=(g\w+)_/10", "the last group of the expression must be a number"),
    ],
)
def test_rule_that_does_not_fit_is_refused_with_its_text(rule: str, told: str) -> None:
    with pytest.raises(UnitError, match="--unit") as caught:
        image_units(parse_rules([rule]), "trash", PATHS)
    assert told in caught.value.message


def test_rule_of_a_set_that_does_not_take_part_is_refused() -> None:
    with pytest.raises(UnitError, match=r"there is no set trahs\. The sets are fruit, trash"):
        refuse_unused(parse_rules([r"trahs=(\d+)"]), ["trash", "fruit"])
    with pytest.raises(UnitError, match="trash has two rules"):
        parse_rules([r"trash=(\d+)", r"trash=(\w+)"])
