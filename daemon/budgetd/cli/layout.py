"""How tables lie on the page: in columns, or, where the terminal is too narrow for that, each row as lines."""

from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP: Final = 3
# A column narrower than this, and than what is in it, breaks words until nobody can read them.
_NARROWEST: Final = 10


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
