"""Interruptions by SIGINT, SIGTERM and SIGHUP, which no library may swallow.

A signal raises KeyboardInterrupt wherever the program is. Inside some calls from C an exception is
dropped in silence, so training also asks after every update.
"""

import signal

_wanted = False


def install() -> None:
    """Makes these signals interrupt this process; forgets earlier interruptions.

    SIGINT and SIGHUP stay ignored where they are, as for a job in the background or under nohup.
    """
    global _wanted
    _wanted = False
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(signum, frame) -> None:
    global _wanted
    _wanted = True
    raise KeyboardInterrupt


def check() -> None:
    """Raises KeyboardInterrupt if a signal has asked for it, whatever became of that one."""
    if _wanted:
        raise KeyboardInterrupt
