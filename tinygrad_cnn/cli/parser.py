"""What can be typed after ``tinygrad-cnn``, and help that teaches it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..errors import TinygradCnnError

__all__ = ["main"]

_ABOUT = """\
Differentiate, explain and verify convolutional networks, on NumPy.

Start here:
  tinygrad-cnn demo                                 a ConvNet on real digits, two minutes
  tinygrad-cnn train --data digits --out run        train one yourself and keep the best
  tinygrad-cnn predict run/model.npz                what it says about images it never saw
  tinygrad-cnn summary lenet5 --input 1,28,28       layers, sizes and parameters
  tinygrad-cnn check digits                         are its gradients right?
  tinygrad-cnn grade layers.py                      are the hand-written layers in a file?
  tinygrad-cnn play                                 train on a page, and watch it learn
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 after a failed check, or 2 after a mistake."""
    arguments = _parser().parse_args(argv)
    from . import commands, demo  # the help shall not wait for what only the commands need

    run = {**vars(commands), "demo": demo.demo}[arguments.command]
    try:
        return int(run(arguments))
    except (TinygradCnnError, OSError) as error:
        print(f"tinygrad-cnn {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinygrad-cnn", description=_ABOUT, formatter_class=_Help, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (
        _add_demo,
        _add_train,
        _add_predict,
        _add_summary,
        _add_check,
        _add_grade,
        _add_play,
    ):
        add(commands)
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Paragraphs as they are written, and the default of every option that has a value."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        plain = action.default is None or action.default is False
        return action.help if plain else super()._get_help_string(action)


def _version() -> str:
    from .. import __version__

    return f"tinygrad-cnn {__version__}"


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(commands: Commands, name: str, text: str, more: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=f"{text}\n\n{more}", formatter_class=_Help
    )


def _add_demo(commands: Commands) -> None:
    command = _command(
        commands,
        "demo",
        "train a ConvNet on real digits and look inside it",
        "Defines a small ConvNet in the style of LeNet, shows its layers, trains it on the\n"
        "bundled 8x8 digits, tests it on the fifth that it never saw, compares its autograd\n"
        "gradients with hand-derived ones and with central differences, and draws its graph.",
    )
    command.add_argument("--out", default="demo", help="folder for what it writes")
    command.add_argument("--epochs", type=_positive, default=20, help="passes over the images")
    command.add_argument("--seed", type=_seed, default=0, help="of weights and order")


def _add_train(commands: Commands) -> None:
    command = _command(
        commands,
        "train",
        "train a model and keep its best weights",
        "The best weights by validation accuracy go to OUT/model.npz, one line of figures for\n"
        "each epoch to OUT/log.jsonl. Ctrl-C ends the run and keeps the best weights so far.\n\n"
        "  tinygrad-cnn train --data mnist --root DIR --model lenet5 --epochs 3\n"
        "  tinygrad-cnn train --data path/to/folder/of/classes --size 32,32 --model convnetjs",
    )
    _add_data(command)
    command.add_argument(
        "--size", type=_sizes("height", "width"), default=None, metavar="HEIGHT,WIDTH",
        help="resize the images of a folder, which may then differ in size",
    )  # fmt: skip
    _add_model_option(command)
    command.add_argument("--epochs", type=_positive, default=10, help="passes over the images")
    command.add_argument("--batch-size", type=_positive, default=64, help="images in a step")
    command.add_argument("--lr", type=float, default=0.002, help="peak learning rate of Adam")
    command.add_argument("--seed", type=_seed, default=0, help="of weights, order and dropout")
    command.add_argument("--out", default="run", help="folder for weights and log")


def _add_predict(commands: Commands) -> None:
    command = _command(
        commands,
        "predict",
        "classify images with trained weights",
        "Image files are turned grey or coloured and scaled to what the model was trained on\n"
        "(needs the extra 'images'). Without files it goes through the test images of the data\n"
        "set that the model was trained on and prints the accuracy.",
    )
    command.add_argument("weights", help="a model.npz that 'train' or 'demo' wrote")
    command.add_argument("images", nargs="*", help="image files")
    command.add_argument(
        "--root", default=None, help="folder of the data set; else $TINYGRAD_CNN_DATA"
    )
    command.add_argument("--top", type=_positive, default=3, help="classes to print for each image")


def _add_summary(commands: Commands) -> None:
    command = _command(
        commands,
        "summary",
        "layers, output sizes, memory, parameters, work and receptive fields of a model",
        "MODEL is a name or a model.npz that 'train' wrote.\n\n"
        "  tinygrad-cnn summary lenet5 --input 1,28,28",
    )
    command.add_argument("model", help=f"one of {_model_names()}, or a file of weights")
    command.add_argument(
        "--input", type=_sizes("channels", "height", "width"), default=None,
        metavar="CHANNELS,HEIGHT,WIDTH", help="the shape of one input",
    )  # fmt: skip
    command.add_argument(
        "--depth", type=_positive, default=None, help="how many names of a path to show"
    )
    command.add_argument("--time", action="store_true", help="measure the time of each layer")


def _add_check(commands: Commands) -> None:
    command = _command(
        commands,
        "check",
        "compare a model's gradients with central differences",
        "In float64, on a few images, for a sample of the elements of every parameter. The exit\n"
        "status is 1 if one differs.",
    )
    command.add_argument("model", help=f"one of {_model_names()}, or a file of weights")
    command.add_argument("--sample", type=_positive, default=20, help="elements per parameter")
    command.add_argument("--seed", type=_seed, default=0, help="of weights, images and sample")


def _add_grade(commands: Commands) -> None:
    command = _command(
        commands,
        "grade",
        "grade layers, losses and optimiser steps written by hand",
        "Finds functions such as affine_forward and affine_backward in the file, calls them in\n"
        "processes of their own under limits of time and memory, and compares. The processes are\n"
        "no jail: docs/grading.md. The exit status is 1 if points were lost.\n\n"
        "  tinygrad-cnn grade layers.py --hints 3\n"
        "  tinygrad-cnn grade layers.py --spec homework2.toml --json grades.json",
    )
    command.add_argument("submission", help="a Python file")
    command.add_argument("--spec", default=None, help="a TOML file: questions, points, limits")
    command.add_argument("--json", default=None, help="also write the result to this file")
    command.add_argument(
        "--hints", type=int, choices=(1, 2, 3), default=None,
        help="1: which part fails; 2: also why; 3: also the mathematics and the fix",
    )  # fmt: skip


def _add_play(commands: Commands) -> None:
    command = _command(
        commands,
        "play",
        "train on a page in the browser, and watch it learn",
        "Choose data, write a layer pattern or pick an architecture, press Train; draw a digit\n"
        "and see it classified. The page is served to this machine alone, at an address with a\n"
        "token; Ctrl-C ends it. MNIST and others are offered where their files are. For a model\n"
        "of your own: tinygrad_cnn.play(model, data), in Python. Needs the extra 'play'.",
    )
    command.add_argument(
        "--root", default=None, help="where the data sets lie; else $TINYGRAD_CNN_DATA"
    )
    command.add_argument("--port", type=_port, default=0, help="0 takes a free one")
    command.add_argument("--no-browser", action="store_true", help="print the address only")


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data",
        default="digits",
        help="digits, mnist, fashion-mnist, cifar10, or a folder with a subfolder for each class",
    )
    command.add_argument(
        "--root",
        default=None,
        help="where the files lie or shall be downloaded; else $TINYGRAD_CNN_DATA",
    )
    command.add_argument("--download", action="store_true", help="fetch missing files (extra data)")


def _add_model_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default="digits", help=f"one of {_model_names()}")


def _model_names() -> str:
    from ..models import model_names

    return ", ".join(model_names())


def _positive(text: str) -> int:
    return _whole(text, 1)


def _seed(text: str) -> int:
    return _whole(text, 0)


def _port(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer from {least} up")
    return int(text)


def _sizes(*names: str) -> Callable[[str], tuple[int, ...]]:
    """What reads one positive integer for each name, with commas between."""

    def read(text: str) -> tuple[int, ...]:
        try:
            sizes = tuple(_positive(part) for part in text.split(","))
        except argparse.ArgumentTypeError:
            sizes = ()
        if len(sizes) != len(names):
            raise argparse.ArgumentTypeError(
                f"{text!r}: expected {','.join(names)}, such as {','.join(['32'] * len(names))}"
            )
        return sizes

    return read
