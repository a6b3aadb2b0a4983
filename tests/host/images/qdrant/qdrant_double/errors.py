"""What the server answers when it refuses."""

from __future__ import annotations


class ApiError(Exception):
    """An answer with an error status; `plain` is text, everything else the JSON envelope with `status.error`."""

    def __init__(self, status: int, message: str, *, plain: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.plain = plain


class RefusedByEngineError(Exception):
    """The engine did not accept the data of a request: a wrong dimension, an id that is none."""


def bad_input(message: str) -> ApiError:
    return ApiError(400, f"Wrong input: {message}")


def not_found(message: str) -> ApiError:
    return ApiError(404, f"Not found: {message}")


def forbidden(message: str) -> ApiError:
    return ApiError(403, f"Forbidden: {message}")


def unauthorized(message: str) -> ApiError:
    return ApiError(401, message, plain=True)
