"""The command line: `python -m nstlab`, installed as `nstlab`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nstlab.command_line.at_once import AT_ONCE
from nstlab.command_line.interruptions import Interruptions, say, say_nothing_was_written

if TYPE_CHECKING:
    from nstlab.command_line.carrying_out import Watch


def main(arguments: Sequence[str] | None = None, watch: Watch | None = None) -> int:
    """Carry out one command; `watch` is called with the progress bar and every step.

    Gives 0, 1 after a divergence, 2 for bad input, 130 after Ctrl-C, 143 and 129 after SIGTERM and SIGHUP.
    """
    with Interruptions() as interruptions:
        try:
            return execute(arguments, interruptions, watch)
        except KeyboardInterrupt:
            say_nothing_was_written()
            return interruptions.exit_code


def execute(arguments: Sequence[str] | None, interruptions: Interruptions, watch: Watch | None) -> int:
    """`main` without the interruptions before the first epoch. PyTorch is imported only for commands that run."""
    with interruptions.leaving():
        from nstlab.command_line.parser import parser

        options = parser().parse_args(arguments)
        if options.command not in AT_ONCE:
            from nstlab.command_line.carrying_out import carry_out
    try:
        if options.command in AT_ONCE:
            return AT_ONCE[options.command](options)
        return carry_out(options, interruptions, watch)
    except KeyboardInterrupt:
        if options.command in AT_ONCE:  # there are no epochs to speak of
            return interruptions.exit_code
        raise
    except ArithmeticError as error:  # DivergenceError
        say(f"nstlab: {error}", sys.stderr)
        return 1
    except (ValueError, OSError) as error:  # ImageError and WeightsError are ValueErrors
        say(f"nstlab: {error}", sys.stderr)
        return 2 if interruptions.number is None else interruptions.exit_code


if __name__ == "__main__":
    sys.exit(main())
