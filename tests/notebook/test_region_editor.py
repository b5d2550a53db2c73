"""The region editor, by clicks, by boxes and buttons, and by calls."""

import re

import pytest
import torch

from nstlab.control.region_edits import dropped, merged, swapped
from nstlab.notebook.region_editor import RegionEditor
from nstlab.preparation.regions import Regions

NAMES = ("sky", "trees", "clouds")


def stripes(*bounds):
    """Masks of upright stripes that end at these columns, 48 wide."""
    masks = torch.zeros(len(bounds), 1, 32, 48)
    for r, (begin, end) in enumerate(zip((0, *bounds), bounds, strict=False)):
        masks[r, ..., begin:end] = 1
    return masks


@pytest.fixture
def editor():
    """Sky, trees and clouds from left to right; in the style image a gap without a region is at the right end."""
    regions = Regions(stripes(8, 32, 48), stripes(12, 24, 36), NAMES)
    return RegionEditor(torch.rand(1, 3, 32, 48), torch.rand(1, 3, 64, 96), regions)


def click(editor, side, x, y=0.5):
    """What the page sends when an image is clicked."""
    editor.pictures[side]._handle_custom_msg({"x": x, "y": y}, [])


def press(editor, name):
    assert not editor.buttons[name].disabled
    editor.buttons[name].click()


def enabled(editor):
    return {name for name, button in editor.buttons.items() if not button.disabled}


def test_a_click_selects_the_region_at_its_place_in_either_image_and_a_second_click_takes_it_back(editor):
    click(editor, "content", 0.5)
    click(editor, "style", 0.1)
    assert [box.value for box in editor.boxes] == [True, True, False]
    click(editor, "content", 0.99, 1.0)
    click(editor, "content", 0.2)
    assert [box.value for box in editor.boxes] == [True, False, True]


def test_a_click_where_no_region_is_selects_none(editor):
    click(editor, "style", 0.9)
    assert editor.selected == []


def test_the_selected_regions_are_outlined_and_named_in_the_alternative_text(editor):
    before = editor.pictures["style"].html
    editor.boxes[1].value = True
    after = editor.pictures["style"].html
    assert before != after and 'alt="The style image in the colors of its regions. Selected: trees."' in after
    editor.boxes[1].value = False
    assert editor.pictures["style"].html == before


def test_every_region_has_a_box_with_its_name_and_both_shares(editor):
    assert [box.description for box in editor.boxes] == [
        "sky: 17% of the content, 25% of the style",
        "trees: 50% of the content, 25% of the style",
        "clouds: 33% of the content, 25% of the style",
    ]


def test_merge_joins_the_selected_regions_in_both_images(editor):
    editor.boxes[0].value = editor.boxes[2].value = True
    press(editor, "Merge")
    assert editor.regions.names == ("sky + clouds", "trees")
    assert torch.equal(editor.regions.content[1], stripes(8, 32, 48)[1])
    assert torch.equal(editor.regions.style[0], stripes(12, 24, 36)[[0, 2]].sum(0))
    assert len(editor.boxes) == len(editor.rows.children) == 2 and editor.selected == []


def test_swap_exchanges_style_partners_and_leaves_the_content(editor):
    editor.boxes[0].value = editor.boxes[1].value = True
    press(editor, "Swap")
    assert editor.regions.names == NAMES and torch.equal(editor.regions.content, stripes(8, 32, 48))
    assert torch.equal(editor.regions.style, stripes(12, 24, 36)[[1, 0, 2]])


def test_drop_gives_the_content_to_a_neighbor_and_learns_nothing_from_the_style(editor):
    editor.boxes[0].value = True
    press(editor, "Drop")
    assert editor.regions.names == ("trees", "clouds")
    assert torch.equal(editor.regions.content, stripes(32, 48)) and not editor.regions.style[..., :12].any()


def test_several_are_dropped_at_once_also_if_they_are_neighbors(editor):
    editor.select("sky", "trees")
    editor.drop()
    assert editor.regions.names == ("clouds",) and editor.regions.content.min() == 1
    assert torch.equal(editor.regions.style[0], stripes(12, 24, 36)[2])


def test_undo_goes_back_one_change_at_a_time_and_takes_back_a_reset_too(editor):
    first = editor.regions
    editor.select("sky", "trees")
    press(editor, "Merge")
    second = editor.regions
    editor.select("clouds")
    press(editor, "Drop")
    press(editor, "Reset")
    assert editor.regions is first
    press(editor, "Undo")
    assert editor.regions.names == ("sky + trees",)
    press(editor, "Undo")
    assert editor.regions is second
    press(editor, "Undo")
    assert editor.regions is first and not enabled(editor)
    editor.undo()
    editor.reset()
    assert editor.regions is first and len(editor.past) == 1


def test_only_buttons_with_an_effect_are_enabled(editor):
    expected = {(): set(), ("sky",): {"Drop"}, NAMES[:2]: {"Merge", "Drop", "Swap"}, NAMES: {"Merge"}}
    for names, buttons in expected.items():
        editor.select(*names)
        assert enabled(editor) == buttons
    assert all(button.description and button.tooltip for button in editor.buttons.values())


@pytest.mark.parametrize(
    "names, action, message",
    [
        (["sky"], "merge", "merge: sky is selected; select two regions or more."),
        ([], "drop", "drop: nothing is selected; select one region or more, but not all."),
        (NAMES, "drop", "drop: sky, trees, clouds is selected; select one region or more, but not all."),
        (NAMES, "swap", "swap: sky, trees, clouds is selected; select two regions."),
    ],
)
def test_a_selection_that_does_not_fit_is_told_and_changes_nothing(editor, names, action, message):
    before = editor.regions
    editor.select(*names)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(editor, action)()
    assert editor.regions is before and [NAMES[r] for r in editor.selected] == list(names)


def test_an_unknown_name_is_told_with_the_known_ones(editor):
    editor.select("sky")
    with pytest.raises(ValueError, match="no region is named 'sea'; there are: sky, trees, clouds"):
        editor.select("trees", "sea")
    assert editor.selected == [0]


def test_the_edited_regions_can_be_observed(editor):
    seen = []
    editor.observe(lambda change: seen.append(change.new.names), "regions")
    editor.select("sky", "trees")
    editor.merge()
    assert seen == [("sky + trees", "clouds")]


def test_replaced_rows_are_closed(editor):
    replaced = [*editor.rows.children, *editor.boxes]
    editor.select("sky", "trees")
    editor.merge()
    assert all(widget.comm is None for widget in replaced)


def test_regions_without_style_masks_or_of_another_shape_are_refused():
    image = torch.rand(1, 3, 32, 48)
    with pytest.raises(ValueError, match="RegionEditor: the regions have no masks of the style image"):
        RegionEditor(image, image, Regions(stripes(24, 48)))
    with pytest.raises(ValueError, match="the masks of the style image have 48 x 32 pixels, the image 48 x 48"):
        RegionEditor(image, torch.rand(1, 3, 48, 48), Regions(stripes(24, 48), stripes(24, 48)))


def test_the_longest_border_counts_not_the_largest_neighbor():
    """A square in the corner touches a small region below along 16 pixels, and a large one at its right along 8."""
    content = torch.zeros(3, 1, 32, 48)
    content[0, ..., :8, :16], content[1, ..., 8:12, :16] = 1, 1
    content[2] = 1 - content[:2].sum(0)
    joined = dropped(Regions(content, content, NAMES), 0)
    assert joined.names == ("trees", "clouds")
    assert torch.equal(joined.content[0], content[:2].sum(0)) and torch.equal(joined.style, content[1:])


def test_edits_leave_the_regions_they_are_given_as_they_were():
    regions = Regions(stripes(8, 32, 48), stripes(12, 24, 36), NAMES)
    merged(regions, [0, 1]), dropped(regions, 1), swapped(regions, 0, 2)
    assert torch.equal(regions.content, stripes(8, 32, 48)) and torch.equal(regions.style, stripes(12, 24, 36))
    assert regions.names == NAMES


def test_regions_with_a_style_image_each_are_merged_and_dropped_in_the_content():
    regions = Regions(stripes(8, 32, 48), names=NAMES)
    assert merged(regions, [1, 2]).style is None and dropped(regions, 2).names == NAMES[:2]
