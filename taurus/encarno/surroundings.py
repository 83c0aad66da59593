"""Mends bzt's console in a terminal, and its ending by a signal."""

import signal

from bzt import ManualShutdown
from bzt.modules import console


def prepare_surroundings() -> None:
    """Mends both. You may call it several times."""
    _mend_console()
    _end_on_signals()


def _mend_console() -> None:
    """bzt 1.17 doesn't find the terminal's screen in urwid 3.0.2 and later. It opens a window
    instead, and ends with "Interrupted by user" if there is no display."""
    if console.ConsoleScreen is not console.GUIScreen:
        return
    try:
        from urwid.display.curses import Screen
    except ImportError:
        return
    console.ConsoleScreen = Screen


def _end_on_signals() -> None:
    """Makes these signals shut bzt down like Ctrl-C. They would kill it without a message."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            try:
                signal.signal(number, _shut_down)
            except ValueError:
                return  # Only the main thread may set handlers.


def _shut_down(_number: int, _frame: object) -> None:
    raise ManualShutdown
