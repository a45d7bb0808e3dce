"""What people see of the results of Android's benchmark_model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...edge.console import print_table

_COLUMNS = (
    "file",
    "threads",
    "size",
    "load",
    "first",
    "mean",
    "std",
    "median",
    "p95",
    "runs",
    "memory grew by",
)


def print_tool_results(records: Sequence[dict[str, Any]]) -> None:
    """Print a table for each device of `ToolResult.to_record`'s objects, with what must be known about them.

    What the tool did not tell is a dash.
    """
    for device in dict.fromkeys(record["device"] for record in records):
        rows = [record for record in records if record["device"] == device]
        host = rows[0]["host"]
        machine = host["board"] or host["processor"] or host["architecture"]
        title = f"{device}: {machine}, {host['cores']} cores, {host['system']}, {rows[0]['tool']}"
        for remark in dict.fromkeys(remark for record in rows for remark in record["remarks"]):
            title += f"\n{remark}"
        print_table(title, _COLUMNS, [_row(record) for record in rows])


def _row(record: dict[str, Any]) -> list[str]:
    times = [record[key] for key in ("load_ms", "first_ms", "mean_ms", "std_ms", "median_ms", "p95_ms")]
    growth = record["memory_growth_mb"]
    return [
        Path(record["file"]).name,
        str(record["threads"]),
        f"{record['size_bytes'] / 1e6:.2f} MB",
        *("-" if time is None else f"{time:.2f} ms" for time in times),
        "-" if record["runs"] is None else str(record["runs"]),
        "-" if growth is None else f"{growth:.0f} MB",
    ]
