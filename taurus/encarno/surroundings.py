"""What bzt leaves undone for a run in a terminal, and for one that is ended by a signal."""

import signal

from bzt import ManualShutdown
from bzt.modules import console


def prepare_surroundings() -> None:
    """Both of them; once more does no harm."""
    _mend_console()
    _end_on_signals()


def _mend_console() -> None:
    """bzt 1.17 looks for urwid's screen where urwid 3.0.2 and later don't have it, takes
    a window instead, and ends with "Interrupted by user" where there is no display."""
    if console.ConsoleScreen is not console.GUIScreen:
        return
    try:
        from urwid.display.curses import Screen
    except ImportError:
        return
    console.ConsoleScreen = Screen


def _end_on_signals() -> None:
    """The program bzt dies of these without a word; now it shuts down, as it does after Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            try:
                signal.signal(number, _shut_down)
            except ValueError:
                return  # Only the main thread may do that.


def _shut_down(_number: int, _frame: object) -> None:
    raise ManualShutdown
