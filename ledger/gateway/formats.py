"""The formats that an answer may have, with their media types: all of them write to the answer and to nothing else."""

from __future__ import annotations

_TSV = "text/tab-separated-values; charset=UTF-8"
_CSV = "text/csv; charset=UTF-8; header=absent"
_CSV_NAMES = "text/csv; charset=UTF-8; header=present"
_JSON = "application/json; charset=UTF-8"
_LINES = "application/x-ndjson; charset=UTF-8"
_TEXT = "text/plain; charset=UTF-8"
_BYTES = "application/octet-stream"

MEDIA_TYPES = {
    **dict.fromkeys(("TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw"), _TSV),
    **dict.fromkeys(("TabSeparatedWithNames", "TSVWithNames"), _TSV),
    **dict.fromkeys(("TabSeparatedWithNamesAndTypes", "TSVWithNamesAndTypes"), _TSV),
    "CSV": _CSV,
    "CSVWithNames": _CSV_NAMES,
    "CSVWithNamesAndTypes": _CSV_NAMES,
    **dict.fromkeys(("JSON", "JSONCompact", "JSONStrings", "JSONColumns", "JSONColumnsWithMetadata"), _JSON),
    **dict.fromkeys(("JSONEachRow", "JSONLines", "NDJSON", "JSONStringsEachRow", "JSONCompactEachRow"), _LINES),
    **dict.fromkeys(("JSONCompactEachRowWithNames", "JSONCompactEachRowWithNamesAndTypes"), _LINES),
    **dict.fromkeys(("JSONCompactStringsEachRow", "JSONCompactStringsEachRowWithNamesAndTypes"), _LINES),
    **dict.fromkeys(("Pretty", "PrettyCompact", "PrettyNoEscapes", "PrettySpace", "Vertical", "Values"), _TEXT),
    **dict.fromkeys(("Markdown", "Null"), _TEXT),
    "XML": "application/xml; charset=UTF-8",
    **dict.fromkeys(("Native", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes"), _BYTES),
    **dict.fromkeys(("Arrow", "ArrowStream", "Parquet", "ORC", "Avro", "MsgPack", "BSONEachRow"), _BYTES),
}
DEFAULT = "TabSeparated"
