"""The cost of the display: the share of a live run's time that it takes, its frames per second, the delay of Stop.

    python tests/benchmarks/bench_live.py [SIZE] [STEPS]

It runs in a Jupyter kernel, so that every message of the widgets is encoded and sent. It prints one line for each:

    share    time in `LiveRun.refresh` (status, JPEG, curves, messages) as a share of the playing thread's time, wall
             clock and CPU
    profile  the functions that take most of that time, by cProfile
    frames   pictures sent per second
    stop     seconds from the call of `stop()` to the end of the thread, and for one epoch
"""

import sys

from jupyter_client.manager import start_new_kernel

IN_THE_KERNEL = """
import cProfile, io, pstats, time
from nstlab.transfer import stylize_run
from nstlab.notebook.run_panel import LiveRun

live = LiveRun(lambda: stylize_run("chenonceau_river", "starry_night", size={size}, steps={steps}))
refresh, profile, spent, frames = live.refresh, cProfile.Profile(), [0.0, 0.0], []
live.view.picture.observe(lambda change: frames.append(time.perf_counter()), "value")

def measured_refresh():
    if PROFILED:
        profile.enable()
    wall, cpu = time.perf_counter(), time.thread_time()
    refresh()
    spent[0] += time.perf_counter() - wall
    spent[1] += time.thread_time() - cpu
    if PROFILED:
        profile.disable()

def measured(epochs):
    wall, cpu = time.perf_counter(), time.thread_time()
    live.player.play(epochs)
    return time.perf_counter() - wall, time.thread_time() - cpu

live.player.watch = measured_refresh
PROFILED = False
live.player.play(epochs=3)  # filters, targets, the first picture
spent[:] = [0.0, 0.0]
frames.clear()
half = (live.player.run.steps - 3) // 2
wall, cpu = measured(half)
print(f"share    {{spent[0] / wall:.1%}} of {{wall:.1f}} s by the wall clock, ", end="")
print(f"{{spent[1] / cpu:.1%}} of {{cpu:.1f}} s of CPU time")
pace = (len(frames) - 1) / (frames[-1] - frames[0])
print(f"frames   {{pace:.1f}} a second, {{len(frames)}} in all; {{half / wall:.1f}} epochs a second")
PROFILED = True
live.player.play(half - 5)
PROFILED = False
text = io.StringIO()
pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats("nstlab|ipykernel|PIL", 12)
print("profile" + text.getvalue().split("percall filename:lineno(function)")[1].rstrip())
live.reset()
live.player.watch = refresh
live.start()
while len(live.history) < 20:
    time.sleep(0.05)
began = time.perf_counter()
live.stop()
live.wait()
ended = time.perf_counter()
epoch = live.history[-1].seconds - live.history[-2].seconds
print(f"stop     {{ended - began:.3f}} s, thread: {{live.player.threaded}}; an epoch takes {{epoch:.3f}} s")
"""


def main(size: int = 256, steps: int = 40) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:

        def show(message: dict) -> None:
            if message["msg_type"] == "stream":
                print(message["content"]["text"], end="")
            elif message["msg_type"] == "error":
                print("\n".join(message["content"]["traceback"]))

        code = IN_THE_KERNEL.format(size=size, steps=steps)
        client.execute_interactive(code, allow_stdin=True, output_hook=show, timeout=900)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
