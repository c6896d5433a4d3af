"""Runs the emulator of AWS for as long as somebody holds the other end of standard input.

However the test or the sandbox that started this ends, also when it is killed: the operating system closes the pipe,
and the emulator goes with all the functions that it runs, which are in its process group.
"""

import os
import shutil
import signal
import sys
import threading


def end_with_the_one_who_started_us():
    sys.stdin.buffer.read()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_the_one_who_started_us, daemon=True).start()
sys.argv = ["ministack"]

from ministack.app import main  # noqa: E402  (it may take a second, and the watch is to stand before)

main()
