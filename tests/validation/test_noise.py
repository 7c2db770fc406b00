"""Steps vary at each scale as published ones do."""

from __future__ import annotations

import pytest

from tests.validation.families import ABSENT, DATA
from tests.validation.noise import noises

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)

SCALES = [512, 768, 4096, 6144, 8192, 10240, 10752]


@pytest.mark.parametrize("n_gpus", SCALES)
def test_the_noise_of_steps_is_the_published_one(n_gpus: int) -> None:
    (found,) = (one for one in noises() if one.n_gpus == n_gpus)
    assert found.is_within, f"{found.ratio:.3f} ± {found.std_error:.1%}"


def test_every_scale_is_compared() -> None:
    assert [one.n_gpus for one in noises()] == SCALES
