"""The widgets, used by clicks and by calls: the effect of the buttons on a run, and of a run on the page."""

import sys
import threading
import time
from xml.etree import ElementTree

import ipywidgets
import pytest
import torch

from nstlab.base.files.decoding import ImageError
from nstlab.base.records import DivergenceError, Record
from nstlab.coarse_to_fine import optimize
from nstlab.images import load_image, save_image
from nstlab.notebook.image_picker import ImagePicker
from nstlab.notebook.live_curves import losses_svg
from nstlab.notebook.player import Player
from nstlab.notebook.run_display import seconds_left
from nstlab.notebook.run_panel import LiveRun, is_interactive, stop_earlier_runs_of_the_cell
from nstlab.notebook.weight_control import WeightControl
from nstlab.objective import Objective, Point
from nstlab.optimizers import Descent
from nstlab.runs import Run
from nstlab.terms import Term


class Bowl:
    """Makes runs with two terms; `before` is called before each evaluation, which takes `seconds`."""

    def __init__(self, before=lambda evaluation: None, steps=12, seconds=0.0):
        self.before, self.steps, self.seconds, self.evaluations = before, steps, seconds, 0

    def __call__(self):
        """make_run."""
        terms = {"content": Term(lambda x, _: (x - 0.3).square().sum()), "style": Term(self.style)}
        objective = Objective(terms, {"content": 1000.0, "style": 1.0}, size=(32, 48))
        start = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
        return Run(Descent(objective, start, rate=1e-4), self.steps, [objective])

    def style(self, x, _):
        self.before(self.evaluations)
        self.evaluations += 1
        time.sleep(self.seconds)
        return (x - 0.7).abs().sum()


def finished_run(**settings):
    run = Bowl(**settings)()
    for _ in run:
        pass
    return run


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.005)


def controls(widget):
    """All buttons and inputs inside a widget but the sliders, which stand beside the box that has their name."""
    for child in getattr(widget, "children", ()):
        yield from controls(child)
    if isinstance(widget, ipywidgets.Button | ipywidgets.FileUpload) or (
        isinstance(widget, ipywidgets.ValueWidget)
        and not isinstance(widget, ipywidgets.HTML | ipywidgets.Image | ipywidgets.FloatLogSlider)
    ):
        yield widget


def click(live, name):
    live.buttons[name].click()


def effective(live):
    """The buttons that have an effect now."""
    return {name for name, button in live.buttons.items() if button.tooltip == name}


@pytest.fixture
def lives():
    """Makes live runs, and stops them after the test."""
    made = []

    def make(make_run, mode="thread"):
        made.append(LiveRun(make_run, mode=mode))
        return made[-1]

    yield make
    for live in made:
        live.stop()
        if live.player.thread:
            live.player.thread.join(10)


# Buttons and calls


def test_nothing_happens_before_start_and_start_makes_the_run(lives):
    bowl = Bowl()
    live = lives(bowl)
    assert bowl.evaluations == 0 and live.history == [] and live.image is None
    assert "Ready" in live.view.status.value and "grow here" in live.view.picture.value
    click(live, "Start")
    live.wait(60)
    assert repr(live) == "<live run: Finished, epoch 12 of 12>"
    assert torch.equal(live.image, finished_run().image)


def test_start_after_a_pause_continues_to_the_same_result(lives):
    live = lives(Bowl(seconds=0.02))
    click(live, "Start")
    until(lambda: len(live.history) > 3)
    click(live, "Pause")
    live.wait(60)
    taken = len(live.history)
    assert "Paused" in live.view.status.value and 3 < taken < 13
    time.sleep(0.1)
    assert len(live.history) == taken
    click(live, "Start")
    live.wait(60)
    assert [r.index for r in live.history] == list(range(13))
    assert torch.equal(live.image, finished_run().image)


@pytest.mark.parametrize("mode", ["thread", "foreground"])
def test_step_takes_one_epoch_and_shows_it(lives, mode):
    live = lives(Bowl(), mode)
    for epoch in (1, 2, 3):
        click(live, "Step")
        live.wait(60)
        assert live.history[-1].index == epoch and f"epoch {epoch} of 12" in live.view.status.value
    frame = live.view.picture.value
    live.step()
    live.wait(60)
    assert live.view.picture.value != frame


def test_stop_ends_the_run_and_shows_the_picture_with_words(lives):
    live = lives(Bowl(steps=1000, seconds=0.01))
    live.view.alt = 'a "pastiche"'
    click(live, "Start")
    until(lambda: len(live.history) > 3)
    click(live, "Stop")
    live.wait(60)
    taken = len(live.history)
    assert "Stopped" in live.view.status.value
    assert f'alt="a &quot;pastiche&quot;, after {taken - 1} epochs"' in live.view.picture.value
    click(live, "Step")  # a stopped run cannot continue: this is a new one
    live.wait(60)
    assert len(live.history) == 2 and "after 1 epochs" in live.view.picture.value


def test_an_ended_run_shows_its_best_image_not_its_last():
    grays_and_totals = ((0.2, 3.0), (0.4, 1.0), (0.6, 2.0))
    at = [Point(torch.full((1, 3, 4, 4), x), {"d": d}, {"d": 1.0}, d, torch.zeros(1)) for x, d in grays_and_totals]
    live = LiveRun(lambda: Run(iter(at), 2, [Objective({"d": Term(lambda x, F: x.sum())}, {"d": 1.0}, (4, 4))]))
    live.start()
    live.wait(60)
    assert live.history[-1].total == 2.0 and live.image.mean().item() == pytest.approx(0.4)
    assert 'alt="The pastiche, after 1 epochs"' in live.view.picture.value


def test_a_paused_run_can_be_stopped(lives):
    live = lives(Bowl(), "foreground")
    live.step()
    live.stop()
    assert "Stopped" in live.view.status.value and 'alt="The pastiche, after 1 epochs"' in live.view.picture.value


def test_reset_discards_a_running_run_and_start_makes_a_new_one(lives):
    bowl = Bowl(steps=1000, seconds=0.01)
    live = lives(bowl)
    live.start()
    until(lambda: len(live.history) > 3)
    discarded = live.player
    click(live, "Reset")
    assert live.history == [] and "Ready" in live.view.status.value and not live.sliders.children
    discarded.wait(60)
    assert "Ready" in live.view.status.value
    bowl.steps, bowl.seconds = 5, 0.0
    live.start()
    live.wait(60)
    assert live.history[-1].index == 5


def test_start_cancels_a_requested_pause(lives):
    live = lives(Bowl(seconds=0.05))
    live.start()
    until(lambda: live.history)
    for _ in range(5):
        live.pause()
        live.start()
    live.wait(60)
    assert "Finished" in live.view.status.value and len(live.history) == 13


def test_buttons_without_an_effect_say_so_and_do_no_harm(lives):
    live = lives(Bowl(steps=1000, seconds=0.01))
    for name in ("Pause", "Stop", "Reset"):
        click(live, name)
    assert effective(live) == {"Start", "Step"} and live.player.state == "ready"
    live.start()
    until(lambda: live.history)
    assert effective(live) == {"Pause", "Stop", "Reset"}
    click(live, "Start")
    click(live, "Step")
    assert live.player.state == "running"
    live.pause()
    live.wait(60)
    assert effective(live) == {"Start", "Step", "Stop", "Reset"}
    click(live, "Pause")
    assert live.player.state == "paused"
    live.stop()
    assert effective(live) == {"Start", "Step", "Reset"}
    click(live, "Stop")
    assert live.player.state == "stopped" and not any(button.disabled for button in live.buttons.values())


def test_the_buttons_of_a_foreground_run_receive_no_click_before_its_end(lives):
    disabled = []
    live = lives(Bowl(lambda _: disabled.append([button.disabled for button in live.buttons.values()])), "foreground")
    live.start()
    assert disabled == 13 * [5 * [True]] and not any(button.disabled for button in live.buttons.values())


def test_another_mode_is_refused():
    with pytest.raises(ValueError, match="mode='fast' must be"):
        LiveRun(Bowl(), mode="fast")


# Weights


def test_a_slider_moved_while_paused_counts_from_the_next_epoch_on(lives):
    live = lives(Bowl())
    live.step()
    live.wait(60)
    live.weight_controls["content"].value = 10_000.0
    live.step()
    live.wait(60)
    assert [r.weights["content"] for r in live.history] == [1000, 1000, 10_000]
    assert live.history[-1].weights["style"] == 1


def test_weights_can_be_changed_by_a_call_while_the_run_is_running(lives):
    live = lives(Bowl(steps=1000, seconds=0.005))
    live.start()
    until(lambda: live.weight_controls)
    live.weigh(style=5.0)
    until(lambda: live.history[-1].weights == {"content": 1000, "style": 5.0})
    assert live.weight_controls["style"].value == 5.0


@pytest.mark.parametrize(
    ("weights", "says"),
    [({"stile": 1}, "content, style"), ({"style": -1}, "from 0 to"), ({"style": 1e13}, "from 0 to")],
)
def test_an_impossible_weight_is_refused_in_one_line(lives, weights, says):
    live = lives(Bowl(), "foreground")
    with pytest.raises(ValueError, match="step\\(\\) first"):
        live.weigh(content=1.0)
    live.step()
    with pytest.raises(ValueError, match=says):
        live.weigh(**weights)


def test_a_weight_of_zero_gets_a_text_box_as_it_has_no_logarithm(lives):
    live = lives(Bowl(), "foreground")
    live.step()
    live.weigh(style=0.0)
    assert live.weight_controls["style"].slider is None
    live.step()
    assert live.history[-1].weights["style"] == 0
    assert WeightControl("style", 1e-9).slider is not None


def test_box_and_slider_of_a_weight_follow_each_other_as_far_as_the_slider_goes():
    control = WeightControl("style", 1.0)
    control.number.value = 100.0
    assert control.value == control.slider.value == 100.0
    control.slider.value = 0.1
    assert control.value == control.number.value == pytest.approx(0.1)
    for beyond in (0.0, 1e6):
        control.number.value = beyond
        assert control.value == beyond and control.slider.value == pytest.approx(0.1)
    control.disabled = True
    assert control.number.disabled and control.slider.disabled


# Threads and time


def test_stop_answers_at_once_and_a_long_epoch_is_the_last(lives):
    quick, long = lives(Bowl(steps=10_000, seconds=0.01)), Bowl(steps=10, seconds=0.4)
    quick.start()
    until(lambda: len(quick.history) > 5)
    began = time.monotonic()
    quick.stop()
    quick.wait(60)
    assert time.monotonic() - began < 0.3
    slow = lives(long)
    slow.start()
    until(lambda: long.evaluations == 3)
    slow.stop()
    assert "Stopping" in slow.view.status.value
    slow.wait(60)
    assert long.evaluations == 3 and len(slow.history) == 3


def test_the_page_is_updated_at_most_four_times_a_second(lives):
    live = lives(Bowl(steps=10_000, seconds=0.002))
    live.start()
    until(lambda: live.history)
    updates, began = ([], [], []), time.monotonic()
    for seen, what in zip(updates, (live.view.status, live.view.curves, live.view.picture), strict=True):
        what.observe(lambda change, seen=seen: seen.append(time.monotonic()), "value")
    time.sleep(2.1)
    paused = time.monotonic()
    live.pause()
    live.wait(60)
    for seen in updates:
        during_run = [moment for moment in seen if moment < paused]
        assert len(during_run) <= 4 * (paused - began) + 2  # the first may be late, and the last one early
        assert len(during_run) >= 4 or seen is updates[2]  # the picture may not change


def test_a_paused_run_leaves_no_thread_behind(lives):
    before = threading.active_count()
    live = lives(Bowl())
    live.step()
    live.wait(60)
    assert threading.active_count() == before


def test_two_runs_in_threads_do_not_disturb_each_other(lives):
    one, two = lives(Bowl(seconds=0.01)), lives(Bowl(steps=20, seconds=0.005))
    one.start()
    two.start()
    one.pause()
    two.wait(60)
    one.wait(60)
    assert "Paused" in one.view.status.value and "Finished" in two.view.status.value
    one.start()
    one.wait(60)
    assert torch.equal(one.image, finished_run().image) and torch.equal(two.image, finished_run(steps=20).image)


def test_wait_says_when_it_waited_too_long(lives):
    live = lives(Bowl(steps=1000, seconds=0.02))
    live.start()
    with pytest.raises(TimeoutError, match=r"after 0.05 s; pause\(\) or stop\(\)"):
        live.wait(0.05)


def test_a_cell_that_runs_again_stops_what_it_started_before(lives):
    def from_cell(cell, number):
        live = lives(Bowl(steps=1000, seconds=0.01))
        stop_earlier_runs_of_the_cell(live, {"metadata": {"cellId": cell}, "header": {"msg_id": number}})
        return live

    first, second, elsewhere = from_cell("a", "1"), from_cell("a", "1"), from_cell("b", "2")
    for live in (first, second, elsewhere):
        live.start()
    from_cell("a", "3")
    first.wait(60)
    second.wait(60)
    assert first.player.state == second.player.state == "stopped" and elsewhere.player.state == "running"


# The foreground


def test_in_the_foreground_an_interrupt_pauses_and_start_continues(lives):
    def interrupt(evaluation):
        if evaluation == 5:
            raise KeyboardInterrupt

    bowl, seen = Bowl(interrupt), []
    live = lives(bowl, "foreground")
    live.view.status.observe(lambda change: seen.append(change.new), "value")
    live.start()
    assert "Paused" in live.view.status.value and live.history[-1].index == 4
    assert any("interrupt the kernel to pause" in status for status in seen)
    bowl.before = lambda evaluation: None
    live.start()
    live.wait()
    assert "Finished" in live.view.status.value and torch.equal(live.image, finished_run().image)


def test_play_during_a_single_step_continues_to_the_end():
    player = Player(Bowl(steps=6, seconds=0.02))
    player.play(epochs=1, threaded=True)
    player.play(threaded=True)
    player.wait(20)
    assert player.state == "finished" and len(player.run.history) == 7


def test_steps_requested_during_a_step_are_taken_too():
    player = Player(Bowl(steps=6, seconds=0.05))
    for _ in range(3):
        player.play(epochs=1, threaded=True)
    player.wait(20)
    assert player.state == "paused" and len(player.run.history) == 4


def test_a_picker_clears_its_problem_if_the_path_is_its_image_again(tmp_path):
    save_image(torch.rand(1, 3, 40, 40), tmp_path / "mine.png")
    picker = ImagePicker(value=tmp_path / "mine.png")
    picker.path.value = str(tmp_path / "none.png")
    assert picker.problem.value
    picker.path.value = str(tmp_path / "mine.png")
    assert not picker.problem.value and picker.image == tmp_path / "mine.png"


def test_an_interrupt_in_the_first_evaluation_leaves_the_start_uncounted():
    def interrupt(evaluation):
        raise KeyboardInterrupt

    bowl = Bowl(interrupt)
    player = Player(bowl)
    player.play()
    assert player.state == "paused" and not player.run.history
    bowl.before = lambda evaluation: None
    player.play(epochs=1)
    assert player.state == "paused" and [r.index for r in player.run.history] == [0, 1]


def test_after_an_interrupt_before_there_is_a_run_it_can_be_started(lives):
    def interrupted():
        raise KeyboardInterrupt

    live = lives(interrupted, "foreground")
    live.start()
    assert live.image is None and not live.buttons["Start"].disabled
    live.player.make_run = Bowl()
    live.start()
    assert "Finished" in live.view.status.value


def test_waiting_can_be_interrupted_and_pauses_the_run(monkeypatch):
    player = Player(Bowl(steps=1000, seconds=0.01))
    player.play(threaded=True)
    until(lambda: player.run and player.run.history)
    join, calls = player.thread.join, []

    def interrupted_once(timeout):
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(timeout)

    monkeypatch.setattr(player.thread, "join", interrupted_once)
    player.wait(60)
    assert player.state == "paused"


MESSAGES = {
    "no kernel": ({}, False),
    "a page": ({"header": {"msg_type": "execute_request"}, "content": {"allow_stdin": True}}, True),
    "a program": ({"header": {"msg_type": "execute_request"}, "content": {"allow_stdin": False}}, False),
    "a click": ({"header": {"msg_type": "comm_msg"}, "content": {}}, True),
}


@pytest.mark.parametrize("sender", MESSAGES)
def test_only_a_page_outside_of_colab_is_interactive(monkeypatch, sender):
    message, answer = MESSAGES[sender]
    assert is_interactive(message) is answer
    monkeypatch.setitem(sys.modules, "google.colab", None)
    assert is_interactive(message) is False


# Errors


@pytest.mark.parametrize("mode", ["thread", "foreground"])
def test_an_error_appears_on_the_page_and_is_raised_by_wait_until_reset(lives, mode):
    def broken(evaluation):
        if evaluation == 4:
            raise RuntimeError("out of <memory>")

    bowl = Bowl(broken)
    live = lives(bowl, mode)
    live.start()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of <memory>"):
            live.wait(60)
    assert isinstance(live.error, RuntimeError)
    assert "RuntimeError: out of &lt;memory&gt;" in live.view.problem.value and "Failed" in live.view.status.value
    assert 'alt="The pastiche, after 3 epochs"' in live.view.picture.value and live.image is not None
    live.reset()
    live.wait(60)
    bowl.before = lambda evaluation: None
    live.start()
    live.wait(60)
    assert live.view.problem.value == "" and "Finished" in live.view.status.value


def test_an_error_of_make_run_appears_on_the_page(lives):
    live = lives(lambda: load_image("nowhere.jpg"))
    click(live, "Start")
    with pytest.raises(ImageError):
        live.wait(60)
    assert "ImageError: load_image(" in live.view.problem.value and "Failed" in live.view.status.value


def test_a_run_that_diverges_keeps_its_last_good_picture(lives):
    bowl = Bowl()
    bowl.style = lambda x, _: x.sum() * (float("nan") if len(live.history) == 3 else 1)
    live = lives(bowl, "foreground")
    live.start()
    with pytest.raises(DivergenceError):
        live.wait()
    assert live.image is not None and "diverged" in live.view.problem.value


# The display


def test_every_control_has_a_visible_label(lives):
    live = lives(Bowl(), "foreground")
    live.step()
    found = [*controls(live), *controls(ImagePicker())]
    assert len(found) == 5 + 2 + 3 and all(control.description for control in found)


def test_the_controls_of_two_pickers_and_a_panel_have_distinct_names(lives):
    live = lives(Bowl(), "foreground")
    live.step()
    names = [c.description for what in (live, ImagePicker("content"), ImagePicker("style")) for c in controls(what)]
    assert len(names) == len(set(names)) == 5 + 2 + 3 + 3


HISTORY = [
    Record(
        k,
        {"content": 100.0 / (k + 1), "style conv1_1": 0.0, "a <b>": 3.0},
        {"content": 10.0, "style conv1_1": 1.0, "a <b>": 1.0},
        1000.0 / (k + 1) + 3,
        k,
        (24, 32) if k < 300 else (48, 64),
    )
    for k in range(600)
]


def test_the_curves_are_valid_small_svg_with_all_names():
    svg = losses_svg(HISTORY, 1000)
    root = ElementTree.fromstring(svg)
    lines = list(root.iter("polyline"))
    assert len(lines) == 3 + 4 and all(len(e.get("points").split()) <= 152 for e in lines)
    names = [e.text for e in root.iter("text")]
    assert names.count("a <b>") == 2 and names.count("total") == 1 and "64 px" in names
    assert "At epoch 599: content 0.167, style conv1_1 0, a <b> 3, total 4.67" in root.get("aria-label")
    assert lines[1].get("points") == ""  # zero has no logarithm
    assert len(svg) < 40_000


def test_the_time_left_takes_larger_sizes_into_account():
    bowl = Objective({"b": Term(lambda x, _: x.sum())}, {"b": 1.0}, size=(16, 16))
    fine = Objective({"b": Term(lambda x, _: x.sum())}, {"b": 1.0}, size=(64, 64))
    run = optimize([(bowl, 10), (fine, 10)])
    history = [Record(k, {}, {}, 1.0, 0.5 * (k + 1), (16, 16)) for k in range(6)]
    assert seconds_left(run, history) == pytest.approx(0.5 * (5 + 4 * 10))
