"""Interruptions by SIGINT and SIGTERM, which no library may swallow.

A signal raises KeyboardInterrupt wherever the program is. Inside some calls from C an exception is
dropped in silence, so training also asks after every update.
"""

import signal

_wanted = False


def install() -> None:
    """Makes both signals interrupt this process, unless SIGINT is ignored; forgets earlier ones."""
    global _wanted
    _wanted = False
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as for a job in the background
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(signum, frame) -> None:
    global _wanted
    _wanted = True
    raise KeyboardInterrupt


def check() -> None:
    """Raises KeyboardInterrupt if a signal has asked for it, whatever became of that one."""
    if _wanted:
        raise KeyboardInterrupt
