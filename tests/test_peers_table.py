"""The table of the peers: ratios by round, agreement, accuracy, and the Markdown with its notes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edge_classify.benchmarks.host import describe_host
from edge_classify.benchmarks.scoring.labelled import labelled_images
from hypothesis import given
from hypothesis import strategies as st

from studies.peers import photos
from studies.peers.catalogue import Kind, Peer
from studies.peers.errors import PeerError
from studies.peers.figures import paired_ratio, same_share, summarize
from studies.peers.preparation import KerasModel, class_names
from studies.peers.table import Setting, to_markdown
from studies.peers.turns import PeerMeasurement

SETTING = Setting(describe_host(), "2026-01-31", 2, "a model", "7 photos", 3)


def measurement(
    key: str, kind: Kind = "float32", ms: float = 2.0, answers: tuple[int, ...] = ()
) -> PeerMeasurement:
    peer = Peer(key, key.title(), kind, "fake", None, "none")
    return PeerMeasurement(
        peer, disk_mb=10.4, version=f"{key} 1.0", load_ms=1.0, first_ms=3.0,
        blocks=[[ms, ms, 5 * ms]] * 3, photos=[[ms + 1]], cold=[(400.0, 60.0), (500.0, 62.0), (300.0, None)],
        answers=[(index, 0.5) for index in answers],
    )  # fmt: skip


def test_ratio_pairs_blocks_of_the_same_round() -> None:
    base = [[1.0, 1.0, 9.0], [10.0], [2.0]]
    ratio = paired_ratio([[2.0], [30.0, 30.0], [2.0]], base)
    assert ratio is not None
    assert (ratio.median, ratio.lowest, ratio.highest) == (2.0, 1.0, 3.0)


@given(st.lists(st.floats(0.1, 1e3), min_size=1, max_size=8), st.floats(0.1, 10))
def test_ratio_of_what_is_slower_by_a_factor_is_that_factor_however_the_machine_varies(
    rounds: list[float], factor: float
) -> None:
    base = [[ms, ms * 1.1, ms * 1.3] for ms in rounds]
    ratio = paired_ratio([[ms * factor for ms in block] for block in base], base)
    assert ratio is not None
    assert [ratio.lowest, ratio.highest] == pytest.approx([factor, factor])


def test_ratio_without_a_common_round_is_none() -> None:
    assert paired_ratio([], [[1.0]]) is None


def test_figures_compare_with_ours_of_the_same_kind_and_with_the_answers_of_keras() -> None:
    measurements = [
        measurement("edge-classify-float32", ms=4.0, answers=(1, 2, 3, 0)),
        measurement("edge-classify-int8", "int8", ms=2.0, answers=(1, 2, 0, 0)),
        measurement("keras-predict", ms=40.0, answers=(1, 2, 3, 3)),
        measurement("other", "int8", ms=1.0, answers=(1, 1, 1, 1)),
    ]
    ours, ours_int8, keras, other = summarize(measurements, np.array([1, 2, 3, 0]))
    assert ours.ratio is None and ours_int8.ratio is None
    assert keras.ratio is not None and keras.ratio.median == 10
    assert other.ratio is not None and other.ratio.median == 0.5
    assert [row.agreement and row.agreement.rate for row in (ours, ours_int8, keras, other)] == [
        0.75, 0.5, 1.0, 0.25,
    ]  # fmt: skip
    assert [row.top1 and row.top1.count for row in (ours, ours_int8, keras, other)] == [4, 3, 3, 1]
    assert (ours.median_ms, ours.photo_ms, ours.cold_ms, ours.peak_mb) == (4.0, 5.0, 400.0, 62.0)
    assert json.loads(json.dumps(other.to_record()))["ratio"]["median"] == 0.5


def test_figures_without_ours_or_keras_leave_ratio_and_agreement_out() -> None:
    failed = measurement("edge-classify-float32")
    failed.failure = "it was killed by SIGILL"
    row = summarize([failed, measurement("other", answers=(1,))], None)[1]
    assert (row.ratio, row.agreement, row.top1) == (None, None, None)
    assert row.median_ms == 2.0


def test_share_of_answers_to_other_pictures_is_none() -> None:
    assert same_share(np.array([1, 2]), np.array([1])) is None
    assert same_share(np.array([], np.int64), np.array([], np.int64)) is None


def test_table_shows_faster_rows_and_says_why_others_are_left_out() -> None:
    faster = measurement("faster", ms=1.0)
    faster.remark = "computes floats in bf16"
    absent = measurement("absent")
    absent.failure = "no wheel | for\x1b[31m <this>\nmachine"
    text = to_markdown(summarize([measurement("edge-classify-float32"), faster, absent], None), SETTING)
    lines = text.splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| Faster")
    ]
    assert cells == [
        ["Faster", "float32", "1.00 ms (1.00 to 1.00)", "0.50 (0.50 to 0.50)", "2.0 ms"],
        ["Faster", "float32", "0.40 s", "62 MB", "10 MB"],
    ]  # Nobody knows the answers of Keras: the third table has no row.
    assert len([line for line in lines if line.startswith("| runtime")]) == 3
    assert "| 1 |" in lines[2]
    assert "2026-01-31; 2 threads; a model; 7 photos; 3 rounds in turn" in text
    assert "- Versions: edge-classify-float32 1.0, faster 1.0" in text.replace("absent 1.0, ", "")
    assert "- Faster (float32): computes floats in bf16." in lines
    assert lines[-1] == r"- Left out: Absent (float32): no wheel \| for\x1b[31m &lt;this>\x0amachine."
    assert not any(line.startswith("| Absent") for line in lines)


def test_photos_for_calibration_are_never_measured(shapes: Path) -> None:
    chosen = photos.choose(shapes, 30)
    assert chosen.calibration and len(chosen.measured) == 30
    assert not set(chosen.calibration) & set(chosen.measured)
    assert set(chosen.truths) == set(chosen.labels)
    truth = {image.path: image.label for image in labelled_images(shapes).images}
    assert [truth[path] for path in chosen.measured] == list(chosen.truths)


def test_too_few_photos_are_refused(few: Path) -> None:
    with pytest.raises(PeerError, match=r"at least 20 pictures. Received: .* with 18"):
        photos.choose(few, 10)


def test_made_pictures_are_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "CALIBRATION", 1)
    made = [photos.generate(tmp_path / name, 2).measured[-1].read_bytes() for name in ("a", "b")]
    assert made[0] == made[1]


def test_accuracy_needs_all_folders_among_the_labels() -> None:
    indices = photos.true_indices(("b", "a"), ("a", "b"))
    assert indices is not None and indices.tolist() == [1, 0]
    assert photos.true_indices(("b", "c"), ("a", "b")) is None
    assert photos.true_indices((), ("a", "b")) is None


def test_labels_of_another_number_are_refused(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\n")
    keras = KerasModel(tmp_path / "model.keras", (6, 4), 3)
    with pytest.raises(PeerError, match=r"labels.txt must hold 3 labels.*Received: 2"):
        class_names(labels, keras, photos.Photos((), ()))
    named = photos.Photos((), (), (), ("x", "y", "z"))
    assert class_names(None, keras, named) == ("x", "y", "z")
    assert class_names(None, keras, photos.Photos((), (), (), ("x", "y"))) == ()
