"""What tests of several studies train."""

import pytest

from dropout_zoo.models import build_mlp


@pytest.fixture(scope="module")
def model():
    return build_mlp(units=(32,), hidden_rates=(0.5,))
