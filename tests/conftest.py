"""What several test files ask pytest for."""

import pytest

import fastloss as fl


@pytest.fixture
def same_settings():
    """The number of threads after a test is that before."""
    before = fl.get_num_threads()
    yield
    fl.set_num_threads(before)
