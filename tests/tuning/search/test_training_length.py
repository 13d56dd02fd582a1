"""How long a search trains by default."""

import pytest

from dropout_zoo.tuning.search.training_length import with_default_length


@pytest.mark.parametrize(
    ("examples", "batch_size", "epochs", "patience"),
    [
        (1257, 32, 200, 25),
        (42, 32, 2000, 100),
        (105, 32, 2000, 100),
        (60_000, 32, 20, 5),
        (60_000, 128, 20, 5),
    ],
)
def test_length_is_counted_in_updates_within_limits(examples, batch_size, epochs, patience):
    found = with_default_length({"batch_size": batch_size}, examples)
    assert found == {"epochs": epochs, "patience": patience, "batch_size": batch_size}


def test_given_lengths_are_kept():
    given = {"epochs": 3, "patience": None, "objective": "val_accuracy"}
    assert with_default_length(given, 1000) == given


def test_an_invalid_batch_size_is_left_for_the_check_of_the_settings():
    assert with_default_length({"batch_size": "x"}, 100)["batch_size"] == "x"
    assert with_default_length({"batch_size": 0}, 100)["batch_size"] == 0
