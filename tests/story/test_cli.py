"""The command line: what it writes, what it prints, and how it fails."""

import csv
import inspect
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from nstlab import __main__ as cli
from nstlab.base.files.sample_images import IMAGES
from nstlab.command_line.commands import stylize_from
from nstlab.command_line.parser import PHOTOREALIZE_STEPS, parser
from nstlab.control.photographs import photograph
from nstlab.control.textures import texture_run
from nstlab.images import load_image, save_image
from nstlab.optimizers import OPTIMIZERS, Adam
from nstlab.photorealism import STEPS, photorealize_run
from nstlab.preparation.colors import COLORS
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.transfer import stylize_run
from nstlab.vgg import NETWORKS, POOLINGS, VGG

SMALL = ["--size", "96", "--steps", "2"]


def test_stylize_writes_picture_table_and_plot_and_says_so(tmp_path, capsys):
    out, table, plot = tmp_path / "p.png", tmp_path / "l.csv", tmp_path / "new" / "l.png"
    code = cli.main(
        [
            "stylize",
            "horses",
            "great_wave",
            "-o",
            str(out),
            "--losses",
            str(table),
            "--plot",
            str(plot),
            *SMALL,
        ]
    )
    assert code == 0 and load_image(out).shape == (1, 3, 62, 96) and load_image(plot).shape[3] > 500
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [r["epoch"] for r in rows] == [str(k) for k in range(len(rows))] and len(rows) == 5
    assert float(rows[-1]["total"]) < float(rows[0]["total"])
    captured = capsys.readouterr()
    assert str(out) in captured.out and str(table) in captured.out and str(plot) in captured.out
    assert "epoch" in captured.err and "style" in captured.err


def test_options_reach_the_run(tmp_path):
    picture = tmp_path / "start.png"
    Image.new("RGB", (64, 48)).save(picture)
    options = (
        "--size 128 --steps 5 --content-weight 7 --style-weight 2 --pooling max --optimizer adam --device cpu "
        f"--precision bfloat16 --tile 64 --one-size --exact --network vgg16 --start {picture}"
    )
    run = stylize_from(parser().parse_args(["stylize", "horses", "great_wave", "-o", "x.png", *options.split()]))
    (objective,) = run.objectives
    assert (run.steps, max(objective.size)) == (5, 128)
    assert objective.weights == {"content": 7.0, "style": 2.0} and objective.terms["content"].alpha == 1.0
    assert (objective.vgg.network, objective.vgg.pooling) == ("vgg16", "max")
    assert (objective.precision, objective.tile) == ("bfloat16", 64)
    assert isinstance(run.points.points, Adam) and next(run).image.max() == 0


def test_the_seed_of_an_option_draws_the_noise():
    def noise(seed: str) -> torch.Tensor:
        arguments = ["stylize", "horses", "great_wave", "-o", "x.png", "--size", "64", "--seed", seed]
        return next(stylize_from(parser().parse_args(arguments))).image

    assert torch.equal(noise("3"), noise("3")) and not torch.equal(noise("3"), noise("4"))


def test_exact_prints_what_relative_weights_are_as_alpha_and_beta(tmp_path, capsys):
    out = str(tmp_path / "p.png")
    exact = ["--exact", "--one-size", "--size", "64", "--steps", "0", "--content-weight", "1e-3"]
    assert cli.main(["stylize", "horses", "great_wave", "-o", out, *exact]) == 0
    said = capsys.readouterr().out
    alpha, *beta = (float(x) for x in re.findall(r"(?<=alpha = )[\d.e+-]+\d|(?<=_1 )[\d.e+-]+\d", said))
    content, style = (load_image(name, size=64) for name in ("horses", "great_wave"))
    terms = [style_transfer_objective(VGG(), content, style, exact=exact).terms for exact in (False, True)]
    assert alpha == pytest.approx(float(terms[0]["content"].alpha), rel=1e-2)
    assert beta == pytest.approx([5 * float(w) for w in terms[0]["style"].w.values()], rel=1e-2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stylize", "horses"], "STYLE"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--size", "big"], "--size"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--pooling", "mean"], "mean"),
        (["stylize", "horses", "no_such_picture", "-o", "x.png"], "no_such_picture"),
        (["stylize", "horses", "great_wave", "-o", "x.xyz"], ".xyz"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--plot", "x.xyz"], "--plot x.xyz"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--losses", "x.txt"], "--losses x.txt"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--size", "8"], "size=8"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--steps", "-3"], "steps"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--start", "nowhere.png"], "nowhere.png"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--device", "abacus"], "abacus"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--weights", "none.pth"], "none.pth"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--plot", "new/../x.png"], "x.png: that is --output, too"),
        (["stylize", "a_file.png", "great_wave", "-o", "a_file.png"], "a_file.png: that is CONTENT, too"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--start", "x.png"], "that is START, too"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--plot", "x.pgf"], "--plot x.pgf"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--seed", str(2**70)], "seed=1180591620717411303424"),
        (["stylize", "horses", "great_wave", "-o", "a_file/x.png"], "--output a_file/x.png"),
        (["stylize", "horses", "great_wave", "-o", "x.png", "--losses", "a_file/new/x.csv"], "a_file"),
        (["photorealize", "horses", "horses", "-o", "x.png", "--steps", "-1"], "steps=-1"),
        (["paint"], "paint"),
        ([], "COMMAND"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").touch()
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert code == 2 and says in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert list(tmp_path.iterdir()) == [tmp_path / "a_file"]


def test_ctrl_c_saves_what_there_is_and_says_so(tmp_path, capsys):
    def interrupt(bar, step):
        if step.index == 3:
            raise KeyboardInterrupt

    out = tmp_path / "p.png"
    assert cli.main(["stylize", "horses", "great_wave", "-o", str(out), *SMALL], watch=interrupt) == 130
    assert out.exists() and "interrupted after 3 of 4 epochs" in capsys.readouterr().out


def test_a_diverged_run_saves_the_last_good_image_and_exits_with_1(tmp_path, capsys):
    out, explosive = tmp_path / "p.png", ["--method", "descent", "--weight", "1", "--step", "1"]
    assert cli.main(["photorealize", "hills_autumn", "hills_autumn", "-o", str(out), *explosive]) == 1
    assert out.exists() and "diverged" in capsys.readouterr().err


def test_samples_are_listed_with_author_and_licence(capsys):
    assert cli.main(["samples"]) == 0
    listed = capsys.readouterr().out
    assert "starry_night" in listed and "Vincent van Gogh" in listed and "CC-BY-4.0" in listed


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "nstlab", "samples"], capture_output=True, text=True, check=True)
    assert "chenonceau_river" in done.stdout


def test_several_styles_regions_and_colors_from_the_command_line(tmp_path):
    labels = tmp_path / "labels.png"
    halves = np.zeros((36, 64, 3), np.uint8)
    halves[:, 40:] = 255
    Image.fromarray(halves).save(labels)
    command = f"stylize horses great_wave night_cafe --size 64 --steps 1 -o {tmp_path / 'out.png'}"
    run = stylize_from(parser().parse_args(f"{command} --style-mix 3 1 --style-scale 0.5 --color match".split()))
    assert max(run.objectives[-1].images["style"].shape[2:]) == 32
    halves_of = f"{command} --content-regions {labels}"
    with pytest.raises(ValueError, match="masks of the content image have 64 x 36 pixels"):
        stylize_from(parser().parse_args(halves_of.split()))
    Image.fromarray(halves).resize((64, 42)).save(labels)
    run = stylize_from(parser().parse_args(halves_of.split()))
    assert [len(A) for A in run.objectives[-1].terms["style"].A.values()] == [2] * 5
    one_style = f"stylize horses great_wave --size 64 --steps 1 -o {tmp_path / 'out.png'}"
    both = f"{one_style} --content-regions {labels} --style-regions {labels} --total-variation-weight 2 --exact"
    assert cli.main(both.split()) == 0 and (tmp_path / "out.png").exists()
    assert cli.main(f"{one_style} --style-regions {labels}".split()) == 2
    assert cli.main(f"{one_style} --content-regions {labels} -o {labels}".split()) == 2


def test_photograph_writes_preview_stages_and_result(tmp_path, capsys):
    labels = [str(IMAGES / "labels" / f"hills_{season}.png") for season in ("summer", "autumn")]
    out, preview, stages = tmp_path / "out.png", tmp_path / "preview.png", tmp_path / "stages"
    command = f"photograph hills_summer hills_autumn --size 96 -o {out}"
    regions = f"--content-regions {labels[0]} --style-regions {labels[1]}"
    assert cli.main(f"{command} {regions} --preview {preview} --stages {stages}".split()) == 0
    assert load_image(out).shape == (1, 3, 72, 96) and preview.exists()
    assert [path.name for path in sorted(stages.iterdir())] == [
        "1_color_match.png", "2_preview.png", "3_approach_1.png", "4_solve.png", "5_contrast.png", "6_photograph.png",
    ]  # fmt: skip
    assert f"wrote {preview}" in capsys.readouterr().out
    assert cli.main(f"{command} --content-regions {labels[0]}".split()) == 2
    assert "needs --style-regions" in capsys.readouterr().err
    assert cli.main(f"{command} {regions} --preview {out}".split()) == 2


def test_texture_and_film(tmp_path, capsys):
    out, film, sample = tmp_path / "texture.png", tmp_path / "growing.gif", tmp_path / "sample.png"
    save_image(load_image("texture_citrus", size=64), sample)
    command = f"texture {sample} -o {out} --steps 1 --size 64 80 --tileable --film {film}"
    assert cli.main(command.split()) == 0
    assert load_image(out).shape == (1, 3, 64, 80) and f"wrote {out}, {film}" in capsys.readouterr().out
    with Image.open(film) as pictures:
        assert pictures.n_frames == 2 and pictures.size == (80, 64)
    assert cli.main(f"stylize horses great_wave -o {out} --film {tmp_path / 'growing.avi'}".split()) == 2
    assert "--film" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("stylize a b", stylize_run),
        ("photorealize a b", photorealize_run),
        ("photograph a b", photograph),
        ("texture a", texture_run),
    ],
)
def test_defaults_are_those_of_the_library(command, function):
    options = vars(parser().parse_args([*command.split(), "-o", "p.png"]))
    options["tile"] = options.get("tile") or "auto"
    for name, parameter in inspect.signature(function).parameters.items():
        if name in options and parameter.default is not parameter.empty:
            assert options[name] in (parameter.default, [parameter.default]), name


def test_choices_are_those_of_the_library():
    for option, choices in (
        ("stylize a b --color", COLORS),
        ("stylize a b --network", NETWORKS),
        ("stylize a b --pooling", POOLINGS),
        ("stylize a b --optimizer", OPTIMIZERS),
        ("photorealize a b --method", STEPS),
    ):
        for choice in choices:
            parser().parse_args([*option.split(), choice, "-o", "p.png"])
    assert PHOTOREALIZE_STEPS == STEPS


def test_what_the_terminal_cannot_show_is_escaped():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}  # as a code page of Windows that lacks a letter
    done = subprocess.run([sys.executable, "-m", "nstlab", "samples"], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "") and r"Ch\xe2teau de Chenonceau" in done.stdout
