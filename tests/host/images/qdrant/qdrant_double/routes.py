"""What a route is: method and path, the access it needs, the function that answers, and how the answer is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .access import Access
from .node import Node
from .request import Request

Work = Callable[[], Any]
Handler = Callable[[Node, Request], Any]


class Kind(Enum):
    ANSWER = "the result, in JSON"
    TEXT = "plain text"
    WORK = "work that the client may wait for or not; whether it is allowed to have it done is a part of the work"
    UPLOAD = "work on a file; whether it is allowed is asked before the file is read"
    FILE = "a file; what is wrong is said in plain text"


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    access: Access
    handler: Handler
    kind: Kind = Kind.ANSWER
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path)))
