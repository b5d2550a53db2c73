"""The two tests of every table of answers, which a test file with the tables RIGHT and WRONG imports."""


def test_the_right_answer_passes(right_row):
    verdict, answer = right_row
    assert verdict(answer).passed, verdict(answer)


def test_a_likely_slip_fails_with_the_hint_that_names_it(wrong_row):
    verdict, answer, hint = wrong_row
    said = verdict(answer)
    assert not said.passed and hint in said.message, said
