from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from edge_classify.edge.errors import OptionError
from edge_classify.train.hyperparameters import choose_hyperparameters
from edge_classify.train.options import MODELS, PRESETS
from edge_classify.train.search_space import (
    check_tuning,
    default_values,
    open_options,
    search_space,
    with_values,
)
from edge_classify.train.trials import STATES, Trial, read_trials, to_csv
from hypothesis import given
from hypothesis import strategies as st

from .support.train_options import COUNTS, LEFT_OPEN, make_options

_losses = st.floats(0, 1e6) | st.just(math.nan)


def _plain(trial: Trial) -> tuple[Any, ...]:
    """Return a trial's facts so that they can be compared: NaN equals nothing."""
    return dict(trial.values), trial.state, repr(trial.losses)


def _given_values() -> st.SearchStrategy[dict[str, Any]]:
    """Options of which any may be left open."""
    values = {
        "learning_rate": st.tuples(st.floats(1e-5, 1.0), st.floats(1e-5, 1.0)),
        "weight_decay": st.floats(0.0, 1.0),
        "dropout": st.floats(0.0, 0.9),
        "label_smoothing": st.floats(0.0, 0.9),
        "batch_size": st.integers(1, 500),
        "head_units": st.integers(0, 500),
    }
    return st.fixed_dictionaries({name: st.none() | value for name, value in values.items()})


@given(
    st.sampled_from(MODELS),
    st.sampled_from(PRESETS),
    _given_values(),
    st.sampled_from([None, (3, 2)]),
    st.sampled_from(["none", "imagenet"]),
    st.lists(st.integers(1, 20_000), min_size=2, max_size=4),
)
def test_first_trial_has_the_recipe_that_training_without_a_search_has(
    model: str, preset: str, values: dict[str, Any], epochs: Any, weights: str, counts: list[int]
) -> None:
    options = make_options(preset=preset, epochs=epochs, weights=weights, alpha=1.0, **values)
    defaults = default_values(model, options, counts)
    completed = with_values(model, options, counts, defaults)
    assert choose_hyperparameters(model, completed, counts) == choose_hyperparameters(model, options, counts)
    space = search_space(defaults)
    assert all(space[name]._contains(space[name].to_internal_repr(defaults[name])) for name in space)


@given(st.sampled_from(MODELS), _given_values())
def test_value_that_the_user_gave_is_neither_searched_nor_changed(model: str, values: dict[str, Any]) -> None:
    options = make_options(**values)
    names = {name for name, value in values.items() if value is None}
    assert set(open_options(model, options)) == names - ({"head_units"} if model == "cnn" else set())
    proposed = {name: value * 2 or 1 for name, value in default_values(model, options, COUNTS).items()}
    completed = with_values(model, options, COUNTS, proposed)
    kept = {name: getattr(completed, name) for name, value in values.items() if value is not None}
    assert kept == {name: value for name, value in values.items() if value is not None}


@given(
    st.lists(
        st.builds(
            Trial,
            st.fixed_dictionaries({"learning_rate": st.floats(1e-9, 10), "batch_size": st.integers(1, 9999)}),
            st.sampled_from(STATES),
            st.lists(_losses, max_size=4).map(tuple),
        ),
        max_size=5,
    )
)
def test_trials_read_back_are_those_that_were_written(trials: list[Trial]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.csv"
        path.write_text(to_csv(trials))
        assert [_plain(trial) for trial in read_trials(path)] == [_plain(trial) for trial in trials]


@pytest.mark.parametrize("text", ["trial,state\n1,complete\n", "\0", "trial,state,loss,losses\n1,odd,1,1\n"])
def test_damaged_file_of_trials_names_the_file_and_the_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cnn.tuning.csv"
    path.write_text(text)
    with pytest.raises(OptionError, match=r"cnn\.tuning\.csv cannot be used \(.*--force"):
        read_trials(path)


def test_tune_with_nothing_to_vary_or_without_phase_1_says_what_to_change() -> None:
    with pytest.raises(OptionError, match=r"nothing to vary for cnn.*--learning-rate.*--batch-size$"):
        check_tuning(
            make_options(models=("cnn",), weight_decay=0.1, label_smoothing=0.1, head_units=None, tune=2)
        )
    with pytest.raises(OptionError, match=r"phase 1 of mobilenet_v2.*Received: --epochs 0,5"):
        check_tuning(
            make_options(**LEFT_OPEN, models=("mobilenet_v2",), weights="imagenet", epochs=(0, 5), tune=2)
        )
