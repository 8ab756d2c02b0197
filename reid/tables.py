"""Small tables that people edit: comma-separated text with a header, as a spreadsheet exports it.

Owns encodings, headers and what is said of a broken line. Knows no column's meaning.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from reid.errors import InputError

_ENCODINGS = ("utf-8-sig", "cp949")  # the second is what a Korean Excel exports


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), *, others: bool = False
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a comma-separated file with a header, in UTF-8 (with or without mark) or cp949.

    Args:
        path: of the file.
        required, optional: names of columns.
        others: take a table with further columns, which are left out of the rows.

    Returns:
        (line number, column -> text without surrounding blanks in composed Unicode) for each row that is
        not blank; every required and optional column is present, absent ones as "".

    Raises:
        InputError: the file cannot be read or decoded, the header is not the expected one, or a row has
            more or fewer fields than the header.
    """
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        for fields in reader:
            texts = [unicodedata.normalize("NFC", field).strip() for field in fields]
            if not any(texts):
                continue
            if header is None:
                header = _checked_header(path, texts, required, optional, others)
            elif len(texts) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: expected {len(header)} fields"
                    f" ({', '.join(header)}), got {len(texts)}; put quotes around a text with a comma"
                )
            else:
                given = dict(zip(header, texts, strict=True))
                rows.append((reader.line_num, {name: given.get(name, "") for name in (*required, *optional)}))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: expected comma-separated text ({error})") from None
    if header is None:
        raise InputError(f"{path}: expected a header line ({','.join(required)}), got an empty file")
    return rows


def _read_text(path: Path) -> str:
    try:
        # A pipe or device never ends.
        data = path.read_bytes() if path.is_file() or not path.exists() else None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from None
    if data is None:
        raise InputError(f"{path}: expected a file, there is a folder, pipe or device of that name")
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path}: expected text in UTF-8 or cp949; save it as 'CSV UTF-8' and try again")


def _checked_header(
    path: Path, names: list[str], required: Sequence[str], optional: Sequence[str], others: bool
) -> list[str]:
    missing = [name for name in required if name not in names]
    unknown = [name for name in names if name not in (*required, *optional) and not others]
    if missing or unknown or len(set(names)) != len(names):
        raise InputError(
            f"{path}, line 1: expected the columns {','.join(required)}"
            + (f" (optional: {','.join(optional)})" if optional else "")
            + f", got {','.join(names)}"
        )
    return names
