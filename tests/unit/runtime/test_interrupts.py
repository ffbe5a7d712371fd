"""Signals that interrupt the main thread as Ctrl-C does."""

import os
import signal

import pytest

from centralcloud.runtime.process.shutdown import SignalledInterrupt, interrupted_by


def test_a_signal_interrupts_and_the_handler_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with pytest.raises(SignalledInterrupt) as raised, interrupted_by(signal.SIGHUP, signal.SIGTERM):
        signal.raise_signal(signal.SIGHUP)
    assert raised.value.exit_code == 129
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_signal_that_the_process_ignores_stays_ignored() -> None:
    """As SIGHUP under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_by(signal.SIGHUP):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
