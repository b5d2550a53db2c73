"""Serve notebooks/app.ipynb on this machine only: `make app`.

    python tools/serve_app.py [--name HOST ...] [options of voila]

The server listens on the loopback interface, and answers only requests whose Host is local or a HOST, and whose Origin,
if there is one, is the same. So no other page that is open in the browser can reach it, by a name of its own that it
lets point to this machine (DNS rebinding) either. Voila does not check this by itself.
"""

import argparse
import sys
from pathlib import Path

from voila.app import Voila

APP = Path(__file__).parents[1] / "notebooks" / "app.ipynb"
MAX_MESSAGE = 256_000_000  # bytes; tornado's own limit of 10 MiB would cut the connection at the upload of a photograph


def main(arguments: list[str]) -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--name", action="append", default=["localhost"], metavar="HOST", help="of a proxy with a login in front of it"
    )
    chosen, of_voila = parser.parse_known_args(arguments)
    settings = {
        "allow_remote_access": False,
        "allow_origin": "",
        "local_hostnames": chosen.name,
        "websocket_max_message_size": MAX_MESSAGE,
    }
    ours = ["--Voila.ip=127.0.0.1", f"--Voila.tornado_settings={settings}"]
    ours += ["--VoilaConfiguration.file_denylist=.*"]  # no file next to the notebook: these requests are not checked
    Voila.launch_instance([str(APP), *of_voila, *ours])


if __name__ == "__main__":
    main(sys.argv[1:])
