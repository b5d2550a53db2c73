"""The tables of answers of a test file, row by row."""


def pytest_generate_tests(metafunc):
    for row, table in (("right_row", "RIGHT"), ("wrong_row", "WRONG")):
        if row in metafunc.fixturenames:
            metafunc.parametrize(row, getattr(metafunc.module, table), ids=lambda entry: entry[0].__name__)
