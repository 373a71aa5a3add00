"""The layout of what is printed: the page, and tables in columns, or a block of lines a row if they are too wide."""

from datetime import datetime, tzinfo
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from budgetd_rules.values import Value
from budgetd_rules.wording import moment, show

_GAP: Final = 3
# Below this width, words in a column are broken until they are unreadable.
_NARROWEST: Final = 10


class Page:
    """What is printed on: in the reader's zone, at one instant."""

    def __init__(self, console: Console, zone: tzinfo, now: datetime) -> None:
        self.console, self.zone, self.now = console, zone, now

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def when(self, at: datetime | None) -> str:
        return moment(at, self.zone, self.now) if at else "never"

    def show(self, value: Value) -> str:
        return self.when(value) if isinstance(value, datetime) else show(value)


def make_table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_table(console: Console, table: Table) -> None:
    columns = [(str(column.header), [_text(cell) for cell in column.cells]) for column in table.columns]
    wanted = (
        max(cell_len(line) for text in (name, *map(str, cells)) for line in text.split("\n")) for name, cells in columns
    )
    least = sum(min(width, _NARROWEST) for width in wanted) + _GAP * (len(columns) - 1)
    if least <= console.width:
        console.print(table)
        return
    for row in zip(*(cells for _, cells in columns), strict=True):
        for (name, _), cell in zip(columns, row, strict=True):
            if cell:
                console.print(Text.assemble((f"{name}: ", "dim"), cell), soft_wrap=True)
        console.print()


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
