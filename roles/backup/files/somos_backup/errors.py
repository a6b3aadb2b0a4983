"""What can go wrong, told apart by who can mend it."""

from __future__ import annotations


class BackupError(Exception):
    """A job or a destination failed. The message says what, on what, why, and what to do next."""


class PassingError(BackupError):
    """It may be gone in a minute: worth another try."""


class ConfigError(Exception):
    """The configuration or the command line is wrong; nothing was begun."""


class BusyError(Exception):
    """Another run has the lock."""
