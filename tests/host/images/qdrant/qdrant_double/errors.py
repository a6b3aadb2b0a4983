"""What the server answers when it refuses. The prefixes are those of its `StorageError` (v1.19)."""

from __future__ import annotations


class ApiError(Exception):
    """An answer with an error status; `plain` is text, everything else the JSON envelope with `status.error`."""

    def __init__(self, status: int, message: str, *, plain: bool = False, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.plain = plain
        self.retry_after = retry_after

    def as_text(self) -> ApiError:
        """The same refusal as the routes give it that answer with files: without the JSON around it."""
        return ApiError(self.status, self.message, plain=True)


class RefusedByEngineError(Exception):
    """The engine did not accept the data of a request: a wrong dimension, an id that is none."""


def refused_by_engine(error: RefusedByEngineError) -> ApiError:
    """The engine names its own failures; everything else is what it was given."""
    kind, _, reason = str(error).partition("Service runtime error: ")
    return service_error(reason) if reason and not kind else bad_input(str(error))


def bad_input(message: str) -> ApiError:
    return ApiError(400, f"Wrong input: {message}")


def bad_request(message: str) -> ApiError:
    return ApiError(400, f"Bad request: {message}")


def malformed(where: str, message: str) -> ApiError:
    """A request that cannot be read: `where` is `JSON body`, `query parameters` or `path parameters`."""
    return ApiError(400, f"{'Format' if where == 'JSON body' else 'Deserialize'} error in {where}: {message}")


def invalid(where: str, message: str) -> ApiError:
    """A request that can be read but breaks a rule."""
    return ApiError(422, f"Validation error in {where}: [{message}]")


def not_found(message: str) -> ApiError:
    return ApiError(404, f"Not found: {message}")


def forbidden(message: str) -> ApiError:
    return ApiError(403, f"Forbidden: {message}")


def unauthorized(message: str) -> ApiError:
    return ApiError(401, message, plain=True)


def service_error(message: str) -> ApiError:
    return ApiError(500, f"Service internal error: {message}")


def io_error(message: object) -> ApiError:
    return service_error(f"File IO error: {message}")
