"""pydantic's errors as readable lines."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, ValidationError

from budgetd.validation import TAG, did_you_mean, key_path, problem_lines, toml_problem


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)


class _Round(_Table):
    radius: int


class _Square(_Table):
    side: int = Field(description="how long, in metres")


class _Item(_Table):
    size: int = 0
    colour: Literal["red", "green"] = "red"
    weight: Annotated[Decimal, Field(strict=False, ge=0, le=10)] = Decimal(0)
    code: Annotated[str, StringConstraints(pattern="^[a-z]+$", min_length=1, max_length=3)] = "a"


class _Shelf(_Table):
    title: str = ""
    items: Annotated[tuple[_Item, ...], Field(strict=False)] = ()
    sizes: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (1,)
    by_name: Mapping[str, _Item] = {}
    on_sale: bool = Field(default=False, alias="on-sale")
    shape: (
        Annotated[
            Annotated[_Round, Tag(f"{TAG}round")] | Annotated[_Square, Tag(f"{TAG}square")],
            Discriminator(lambda value: f"{TAG}round" if "radius" in value else f"{TAG}square"),
        ]
        | None
    ) = None


class _Shop(_Table):
    shelf: _Shelf | None = None
    shelves: Mapping[str, _Shelf] = {}


def _problems(text: str) -> list[str]:
    with pytest.raises(ValidationError) as error:
        _Shop.model_validate(tomllib.loads(text, parse_float=Decimal))
    return problem_lines(error.value, _Shop, "shop.toml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("shelff = 1", "shelff: unknown key; did you mean shelf?", id="an unknown key at the top"),
        pytest.param("zzz = 1", "zzz: unknown key; known: shelf, shelves", id="a key that is like none"),
        pytest.param(
            '"a\\nb" = 1', '"a\\nb": unknown key; known: shelf, shelves', id="a key with a line break stays on one line"
        ),
        pytest.param(
            f"{'k' * 100} = 1", f"{'k' * 100}: unknown key; known: shelf, shelves", id="a bare key is shown whole"
        ),
        pytest.param("shelf.titel = ''", "shelf.titel: unknown key; did you mean title?", id="a key of a table"),
        pytest.param(
            "shelf.onsale = true", "shelf.onsale: unknown key; did you mean on-sale?", id="an alias is what is offered"
        ),
        pytest.param(
            "shelves.title.itmes = []",
            "shelves.title.itmes: unknown key; did you mean items?",
            id="below a name that is a key elsewhere",
        ),
        pytest.param(
            "shelves.a.by_name.b.sise = 1",
            "shelves.a.by_name.b.sise: unknown key; did you mean size?",
            id="two mappings deep",
        ),
        pytest.param(
            "shelf.items = [{}, {sise = 1}]",
            "shelf.items#2.sise: unknown key; did you mean size?",
            id="the second of a list is #2",
        ),
        pytest.param(
            "shelf.sizes = [1, 'b']", "shelf.sizes#2: expected a whole number, not text", id="text for a number"
        ),
        pytest.param("shelf.sizes = []", "shelf.sizes: is empty; give at least one", id="an empty list"),
        pytest.param(
            "shelf.sizes = 3", "shelf.sizes: expected a list in brackets, not a number", id="a number for a list"
        ),
        pytest.param(
            "[shelf.items]",
            "shelf.items: expected a list of tables, not one table: write [[shelf.items]], in double brackets",
            id="single brackets for double ones",
        ),
        pytest.param(
            "[[shelf]]",
            "shelf: expected a table, not a list; its keys are title, items, sizes, by_name, on-sale, shape",
            id="double brackets for single ones",
        ),
        pytest.param(
            "shelf = 2026-01-01",
            "shelf: expected a table, not a date or time; its keys are title, items, sizes, by_name, on-sale, shape",
            id="a date for a table",
        ),
        pytest.param("shelf.title = 3", "shelf.title: expected text in quotes, not a number", id="a number for text"),
        pytest.param("shelf.title = 0.5", "shelf.title: expected text in quotes, not a number", id="a decimal"),
        pytest.param("shelf.title = true", "shelf.title: expected text in quotes, not true or false", id="a bool"),
        pytest.param("shelf.title = {}", "shelf.title: expected text in quotes, not a table", id="a table for text"),
        pytest.param(
            "shelf.on-sale = 'yes'",
            "shelf.on-sale: expected true or false, without quotes, not text",
            id="text for true or false",
        ),
        pytest.param(
            "shelf.on-sale = ' '",
            "shelf.on-sale: expected true or false, without quotes, not an empty text",
            id="blank",
        ),
        pytest.param(
            "shelves = 1",
            "shelves: expected tables of their own, [shelves.NAME] each, not a number",
            id="a number for a mapping",
        ),
        pytest.param(
            "shelf.items = [{colour = 'rad'}]",
            'shelf.items#1.colour: there is no "rad" here; did you mean red?',
            id="a word that is none of the list",
        ),
        pytest.param(
            "shelf.items = [{colour = 7}]",
            "shelf.items#1.colour: expected one of red, green, not a number",
            id="no word at all",
        ),
        pytest.param("shelf.items = [{weight = 11}]", "shelf.items#1.weight: must be at most 10", id="too much"),
        pytest.param("shelf.items = [{weight = -1}]", "shelf.items#1.weight: must be at least 0", id="too little"),
        pytest.param(
            "shelf.items = [{weight = nan}]",
            "shelf.items#1.weight: must be finite",
            id="no number",
        ),
        pytest.param(
            "shelf.items = [{weight = []}]", "shelf.items#1.weight: expected a number, not a list", id="a list"
        ),
        pytest.param("shelf.items = [{code = ''}]", "shelf.items#1.code: is empty", id="an empty text"),
        pytest.param("shelf.items = [{code = 'abcd'}]", "shelf.items#1.code: is longer than 3 characters", id="long"),
        pytest.param(
            "shelf.items = [{code = '1'}]", "shelf.items#1.code: does not have the form ^[a-z]+$", id="a form"
        ),
        pytest.param("shelf.shape = {}", "shelf.shape.side: is missing: how long, in metres", id="a key is missing"),
        pytest.param(
            "shelf.shape = {radius = 1, side = 2}",
            "shelf.shape.side: does not go together with the table's other keys",
            id="keys of two forms of a table",
        ),
        pytest.param(
            "shelf.shape = {radius = 1, sidee = 2}",
            "shelf.shape.sidee: unknown key; did you mean side?",
            id="an unknown key in a table of several forms",
        ),
    ],
)
def test_a_problem_is_one_line(text: str, problem: str) -> None:
    assert _problems(text) == [f"shop.toml: {problem}"]


def test_a_value_is_shown_only_where_it_is_one_of_a_list() -> None:
    lines = _problems(
        'shelves = "CANARY"\n[shelf]\non-sale = "CANARY"\nsizes = ["CANARY"]\n[shelf.shape]\nside = "CANARY"'
    )
    assert len(lines) == 4
    assert "CANARY" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        pytest.param([], "", id="the file itself"),
        pytest.param(["accounts", "voice-1"], "accounts.voice-1", id="bare keys"),
        pytest.param(["routes", 0, "match"], "routes#1.match", id="a place in a list counts from one"),
        pytest.param(["rules", "a b"], 'rules."a b"', id="a key with a space is quoted"),
        pytest.param(["ключ"], '"ключ"', id="a key in letters of its own"),
        pytest.param(["\x1b[2J"], '"\\u001b[2J"', id="what a terminal would obey is escaped"),
        pytest.param(["a " * 50], f'"{"a " * 30}…"', id="a long key is cut"),
    ],
)
def test_key_paths(keys: list[str | int], text: str) -> None:
    assert key_path(keys) == text


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        pytest.param("cekuro", ["cekura", "cargo"], "; did you mean cekura?", id="close to one"),
        pytest.param("API_KEY", ["api_key"], "; did you mean api_key?", id="the same in capitals"),
        pytest.param("zzz", ["b", "a"], "; known: a, b", id="close to none of a few"),
        pytest.param("zzz", [str(number) for number in range(13)], "", id="close to none of many"),
        pytest.param("zzz", [], "", id="there are none"),
    ],
)
def test_did_you_mean(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint
    assert did_you_mean(name, known, "see there") == (hint or "; see there")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a = 1\na = 2\n", "line 2, column 6: the key just before is written twice", id="a key twice"),
        pytest.param("a = 1\na = 2", "the end: the key just before is written twice", id="a key twice, at the end"),
        pytest.param("[a.b]\n[a.b]\n", "line 2, column 5: a.b is written twice", id="a table twice"),
        pytest.param("a = {b=1, b=2}", "line 1, column 14: b is written twice", id="twice in braces"),
        pytest.param(
            "a = 5m",
            "line 1, column 6: Expected newline or end of document after a statement; text stands in quotes",
            id="a duration without quotes",
        ),
        pytest.param("a = sk-1", "line 1, column 5: Invalid value; text stands in quotes", id="text without quotes"),
        pytest.param(
            "a = {b=1,\nc=2}",
            "line 1, column 10: Invalid initial character for a key part; "
            "a table in braces is written on one line, or as a [table]",
            id="braces over two lines",
        ),
    ],
)
def test_toml_problems(text: str, problem: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as error:
        tomllib.loads(text)
    assert toml_problem(error.value) == problem
