"""Who acts: a person known by an account or by the operating system. Knows no permission."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import Literal

Way = Literal["command line", "console", "api", "system"]


@dataclass(frozen=True)
class Actor:
    """Who did something, and by which way.

    Attributes:
        name: of the account; on the command line that of the operating system's user.
        way: how it was asked.
        address: of the machine that asked over the network; empty on the command line.
    """

    name: str
    way: Way
    address: str = ""

    @classmethod
    def system(cls) -> Actor:
        """Nobody: the program itself."""
        return cls("", "system")

    @classmethod
    def of_this_process(cls) -> Actor:
        """The user this process belongs to, as the operating system knows them."""
        number = os.getuid()
        try:
            return cls(pwd.getpwuid(number).pw_name, "command line")
        except KeyError:
            return cls(f"uid {number}", "command line")
