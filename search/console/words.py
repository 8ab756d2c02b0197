"""The console's words: templates write English, `korean.json` holds the Korean; a test finds gaps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from search.console.visitors import Language

KOREAN: Mapping[str, str] = json.loads(Path(__file__).with_name("korean.json").read_text("utf-8"))
"""By the English."""


def translate(text: str, language: Language) -> str:
    """The text in a language; English where no Korean is known."""
    return KOREAN.get(text, text) if language == "ko" else text
