"""What nbval does not look at: a cell that writes to stderr, an exception in a thread among them, fails."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    for output in getattr(item, "test_outputs", []):
        if output.output_type == "stream" and output.name == "stderr":
            pytest.fail(f"the cell wrote to stderr:\n{output.text}", pytrace=False)
    return result
