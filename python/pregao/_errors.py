"""What the package raises, and what it warns of. Each message names the remedy."""

from __future__ import annotations


class PregaoError(Exception):
    """Base of all errors of this package."""


class NoLakeError(PregaoError):
    """There is no lake at that place."""


class RecordError(PregaoError):
    """A publication record is damaged, missing in the history, or of another version."""


class NotPublishedError(PregaoError):
    """Nothing is published of the requested days."""


class MissingDaysError(NotPublishedError):
    """Some of the requested business days are not published, and the lake was opened with `missing="error"`."""


class PublishedFileError(PregaoError):
    """A published file is missing or differs from its record."""


class PregaoWarning(UserWarning):
    """Base of all warnings of this package."""


class MissingDaysWarning(PregaoWarning):
    """Some of the requested business days are not published."""


class NoRowsWarning(PregaoWarning):
    """A requested instrument has no rows in the requested days."""


class UnmatchedWarning(PregaoWarning):
    """Rows of an as-of join have no partner within the tolerance."""


class RecentMomentWarning(PregaoWarning):
    """A moment has only just passed: a record with an earlier time may still be written."""
