"""What is wrong with a data set is found, said in few lines, listed in full, and shown."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from edge_classify.train.audit import audit_images
from edge_classify.train.audit_report import render_audit, view_audit
from edge_classify.train.findings import Audit
from edge_classify.train.image_facts import ImageFacts, inspect_image
from edge_classify.train.near_duplicates import connect
from edge_classify.train.thumbnails import make_thumbnail
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

unhurried = settings(deadline=None)  # How long an example takes says how busy the machine is.


@cache
def photo(seed: int) -> Image.Image:
    """A picture with large and small forms, as a photo has; noise alone has no likeness to keep."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (160, 120), Image.Resampling.BICUBIC
    )
    fine = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize((160, 120))
    return Image.blend(coarse, fine, 0.2)


def saved_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def fact(
    path: str,
    sha256: str | None = None,
    look: Image.Image | None = None,
    *,
    reason: str | None = None,
    found: str = "PNG",
    side: int = 64,
    deviation: float = 50.0,
) -> ImageFacts:
    """Facts of a picture that is unlike all others, but for what is given."""
    digest = sha256 or hashlib.sha256(path.encode()).hexdigest()
    if reason is not None:
        return ImageFacts(path, digest, reason)
    shown = photo(random.Random(digest).getrandbits(32)) if look is None else look
    return ImageFacts(path, digest, None, found, side, side, deviation, make_thumbnail(shown))


def audit(*facts: ImageFacts, near_duplicates: bool = True) -> Audit:
    """Audit files whose folders are their labels, perhaps inside train/, validation/ or test/."""
    parts = [f.path.split("/") for f in facts]
    subsets = [p[0] if len(p) == 3 else "all" for p in parts]
    return audit_images(facts, [p[-2] for p in parts], subsets, near_duplicates)


@unhurried
@given(st.integers(1, 20), st.data())
def test_connect_gives_one_number_to_what_pairs_lead_to_and_counts_from_0(
    count: int, data: st.DataObject
) -> None:
    pairs = data.draw(st.lists(st.tuples(*[st.integers(0, count - 1)] * 2), max_size=15))
    numbers = connect(count, (np.array([pair]) for pair in pairs)).tolist()
    groups = [{i} for i in range(count)]  # Merged one pair after the other.
    for i, j in pairs:
        merged = groups[i] | groups[j]
        for member in merged:
            groups[member] = merged
    assert all((numbers[i] == numbers[j]) == (j in groups[i]) for i in range(count) for j in range(count))
    assert list(dict.fromkeys(numbers)) == list(range(max(numbers) + 1))


def test_copies_and_near_duplicates_share_a_group_and_others_do_not() -> None:
    found = audit(
        fact("a/1.png", "x", photo(1)),
        fact("a/2.png", "x", photo(1)),
        fact("a/3.png", "y", saved_jpeg(photo(1), 60)),
        fact("a/4.png", "z", photo(2)),
        fact("a/5.png"),
    )
    assert found.groups.tolist() == found.twin_groups.tolist() == [0, 0, 0, 1, 2]
    assert [(group.identical, [i.path for i in group.images]) for group in found.copies] == [
        (True, ["a/1.png", "a/2.png"]),
        (False, ["a/1.png", "a/2.png", "a/3.png"]),
    ]


def test_blank_tiny_and_unreadable_pictures_are_compared_by_bytes_alone() -> None:
    found = audit(
        fact("sky/1.png", look=photo(1)), fact("tiny/1.png", look=photo(1), side=15),
        fact("blank/1.png", look=photo(1), deviation=1.0), fact("blank/2.png", "x", photo(1), deviation=1.0),
        fact("blank/3.png", "x", photo(1), deviation=1.0),
        fact("bad/1.png", "y", reason="cut off"), fact("bad/2.png", "y", reason="cut off"),
    )  # fmt: skip
    assert found.groups.tolist() == [0, 1, 2, 3, 3, 4, 5]
    assert audit(fact("blank/1.png", look=photo(1), deviation=1.0)).groups.tolist() == [0]


def test_audit_without_near_duplicates_compares_bytes_only() -> None:
    rows = fact("a/1.png", "x", photo(1)), fact("a/2.png", "x", photo(1)), fact("a/3.png", "y", photo(1))
    assert audit(*rows).groups.tolist() == [0, 0, 0]
    assert audit(*rows, near_duplicates=False).groups.tolist() == [0, 0, 1]


def test_leaks_name_the_nearest_twin_of_each_test_and_validation_image() -> None:
    found = audit(
        fact("train/a/1.png", "x", photo(1)), fact("train/a/2.png", "x2", ImageOps.mirror(photo(1))),
        fact("test/a/1.png", "y", photo(1).resize((80, 60))), fact("test/b/2.png", "x", photo(1)),
        fact("validation/b/1.png", "z", photo(3)), fact("train/b/3.png", "z2", ImageOps.mirror(photo(3))),
        fact("test/a/3.png"),
    )  # fmt: skip
    assert [(leak.image.path, leak.twin.path, leak.identical, leak.mirrored) for leak in found.leaks] == [
        ("test/a/1.png", "train/a/1.png", False, False),
        ("test/b/2.png", "train/a/1.png", True, False),
        ("validation/b/1.png", "train/b/3.png", False, True),
    ]
    assert found.summary()[0].startswith(
        "2 of 3 test images (66.7%) have a twin among the training or validation"
    )


def test_mirrored_copies_of_one_label_are_twins_and_each_pair_is_found() -> None:
    rows = [
        fact(f"{subset}/a/{i}.png", look=turn(photo(i)))
        for i in range(24)
        for subset, turn in (("train", ImageOps.mirror), ("test", lambda image: image))
    ]
    found = audit(*rows)
    assert found.groups.tolist() == [i // 2 for i in range(48)]
    assert len(found.leaks) == 24 and all(leak.mirrored and not leak.identical for leak in found.leaks)
    assert all(group.mirrored for group in found.copies) and not found.mirrored


def test_mirror_images_under_two_labels_share_a_subset_and_contradict_nothing() -> None:
    found = audit(
        fact("train/left/1.png", look=photo(1)), fact("test/right/1.png", look=ImageOps.mirror(photo(1))),
        fact("train/left/2.png", look=photo(2)), fact("train/right/2.png", look=ImageOps.mirror(photo(2))),
        fact("train/left/3.png", look=photo(3)),
    )  # fmt: skip
    assert found.groups.tolist() == [0, 0, 1, 1, 2]
    assert found.twin_groups.tolist() == [0, 1, 2, 3, 4]
    assert not (found.conflicts or found.leaks or found.copies)
    assert [(pair.image.path, pair.mirror.path) for pair in found.mirrored] == [
        ("train/left/1.png", "test/right/1.png"),
        ("train/left/2.png", "train/right/2.png"),
    ]
    assert found.summary()[0] == (
        "2 images of left are mirror images of images of right, such as train/left/1.png and "
        "test/right/1.png: either mirroring changes the class, or one label is wrong. They stay in one "
        "subset, and none is left out"
    )
    assert len(json.loads(found.to_json())["mirrored"]) == 2


def test_twins_under_several_labels_are_conflicts_and_not_copies() -> None:
    found = audit(
        fact("a/1.png", "x"), fact("b/1.png", "x"), fact("a/2.png", "y", photo(1)),
        fact("c/2.png", "z", saved_jpeg(photo(1), 70)),
        fact("c/3.png", "w"), fact("c/4.png", "w"),
    )  # fmt: skip
    assert [(group.identical, group.labels) for group in found.conflicts] == [
        (True, ("a", "b")),
        (False, ("a", "c")),
    ]
    assert [group.labels for group in found.copies] == [("c",)]


def test_files_at_fault_are_listed_by_kind_with_the_reason() -> None:
    found = audit(
        fact("a/cut.png", reason="damaged or cut off"), fact("a/photo.JPG", found="PNG"),
        fact("a/photo.jpeg", found="JPEG"), fact("a/small.png", side=20), fact("a/white.png", deviation=0.4),
    )  # fmt: skip
    assert [(r.path, r.remark) for r in found.unreadable] == [("a/cut.png", "damaged or cut off")]
    assert [(r.path, r.remark) for r in found.misnamed] == [("a/photo.JPG", "is a PNG file")]
    assert [(r.path, r.remark) for r in found.small] == [("a/small.png", "20 x 20 pixels")]
    assert [(r.path, r.remark) for r in found.blank] == [
        ("a/white.png", "its grey values deviate by 0.4 of 255")
    ]


def test_classes_are_counted_in_natural_order_from_usable_training_images() -> None:
    rows = [fact(f"train/10/{i}.png") for i in range(60)] + [fact(f"train/9/{i}.png") for i in range(15)]
    found = audit(*rows, fact("train/9/cut.png", reason="cut off"), fact("test/9/1.png"))
    assert list(found.classes.items()) == [("9", {"test": 1, "train": 15}), ("10", {"test": 0, "train": 60})]
    assert found.rare_classes == {"9": 15} and found.imbalance == 4.0
    assert found.summary()[-2:] == [
        "1 class with fewer than 20 training images: 9 (15)",
        "10 has 4.0 times as many images as 9 (60 and 15)",
    ]


def test_clean_data_set_gives_one_line_that_says_so() -> None:
    found = audit(*(fact(f"{label}/{i}.png") for label in "ab" for i in range(20)))
    assert found.summary() == ["40 images audited: nothing found"]


def bad_audit(name: str = "x") -> Audit:
    """An audit in which everything is wrong, of files whose names hold `name`."""
    rows = []
    for i in range(30):
        train, test = f"train/{name}{i}", f"test/{name}{i}"
        rows += [fact(f"{train}/{name}.png", f"{i}", photo(i)), fact(f"{test}/{name}.png", f"t{i}", photo(i))]
        rows += [fact(f"{train}/{name}1.png", "same"), fact(f"{train}/{name}cut.png", reason=f"bad {name}")]
        rows += [fact(f"validation/{name}{i}/{name}.png", f"v{i}", photo(i), found="GIF")]
        rows += [fact(f"{train}/{name}small.png", side=9, deviation=0), fact(f"{train}/{name}c.png", f"c{i}")]
        rows += [fact(f"{train}/{name}c2.png", f"c{i}")]
    return audit(*rows, *(fact(f"train/{name}0/{name}{i}more.png") for i in range(30)))


def test_summary_of_everything_wrong_has_at_most_14_lines_that_a_terminal_does_not_obey() -> None:
    lines = bad_audit("\x1b[31m\nred").summary()
    assert 10 <= len(lines) <= 14
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[31m\\x0ared" in lines[0]


def test_audit_json_lists_every_file_at_fault_and_no_number_of_a_group() -> None:
    found = bad_audit("é")
    record = json.loads(found.to_json())
    assert len(record["unreadable"]) == 30 and record["unreadable"][0]["remark"] == "bad é"
    assert len(record["leaks"]) == 60 and record["leaks"][0]["twin"]["subset"] in ("train", "validation")
    assert {len(record[kind]) for kind in ("misnamed", "small", "blank")} == {30}
    assert record["near_duplicates"]["mirrored"] and record["near_duplicates"]["overlap_at_least"] == 0.5
    assert not {"groups", "twin_groups"} & set(record) and found.to_json() == bad_audit("é").to_json()


@pytest.mark.parametrize(
    ("change", "twin"),
    [
        (lambda image: saved_jpeg(image, 50), True),
        (lambda image: image.resize((80, 60)), True),
        (lambda image: ImageEnhance.Brightness(image).enhance(1.1), True),
        (lambda image: image.crop((1, 1, 159, 119)), True),
        (lambda image: image.crop((4, 9, 148, 117)), True),
        (lambda image: image.crop((16, 12, 144, 108)), True),
        (lambda image: image.resize((170, 110)), True),
        (ImageOps.mirror, True),
        (lambda image: saved_jpeg(ImageOps.mirror(image).crop((12, 2, 156, 110)), 60), True),
        (ImageOps.flip, False),
        (lambda image: image.crop((0, 0, 80, 120)), False),
    ],
    ids=[
        "jpeg-50",
        "half-size",
        "brighter",
        "cropped-1-percent",
        "cropped-by-10-percent",
        "middle",
        "wider",
        "mirrored",
        "mirrored-cropped-jpeg",
        "upside-down",
        "left-half",
    ],
)
def test_changed_copies_of_pictures_are_twins_of_their_originals_only(
    change: Callable[[Image.Image], Image.Image], twin: bool
) -> None:
    pictures = [photo(seed) for seed in range(5)] + [change(photo(seed)) for seed in range(5)]
    facts = []
    for number, picture in enumerate(pictures):
        buffer = BytesIO()
        picture.save(buffer, "PNG")
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        facts.append(inspect_image(buffer.getvalue(), f"a/{number}.png", digest, lambda image: None))
    expected = [*range(5), *(range(5) if twin else range(5, 10))]
    assert audit(*facts).groups.tolist() == expected


def test_page_shows_the_offenders_escaped_and_without_anything_from_outside(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    rows = [fact(f"train/{n}/a.png", "x") for n in ("<b>bold", "b")] + [fact("train/b/gone.png", "y", side=5)]
    rows.append(fact("train/b/cut.png", reason=hostile))
    for row in rows[:2]:
        (tmp_path / row.path).parent.mkdir(parents=True)
        photo(1).save(tmp_path / row.path)
    page = render_audit(hostile, view_audit(audit(*rows), tmp_path), {"Command": hostile})
    assert "<script" not in page and "<b>" not in page and "&lt;b&gt;bold" in page
    assert page.count('src="data:image/jpeg;base64,') == 2 and page.count("not shown") == 1
    assert set(re.findall(r'src="(\w+):', page)) == {"data"} and "http" not in page.replace("http-equiv", "")


def test_page_of_many_offenders_is_bounded_and_says_how_many_more_there_are(tmp_path: Path) -> None:
    found = bad_audit("x")
    for row in found.twins:
        for image in row.images:
            (tmp_path / image.path).parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(len(image.path)).integers(0, 256, (96, 96, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / image.path)
    view = view_audit(found, tmp_path)
    assert all(len(finding.items) <= 24 for finding in view.findings)
    pictures = [p.jpeg for finding in view.findings for item in finding.items for p in item.pictures]
    assert 0 < sum(len(jpeg) for jpeg in pictures if jpeg) * 4 / 3 < 1_000_000
    page = render_audit("many", view, {})
    assert len(page) < 1_100_000 and "And 36 more, see audit.json" in page
