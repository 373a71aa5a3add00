"""The requests of a provider file as TOML: what is sent, how the answer goes on, and where its values stand."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from budgetd.collect.headers import HeaderPlan
from budgetd.collect.keys import HeaderName, JsonTable, Name, PathText, PatternText, Scale, Table
from budgetd.collect.times import Encoding
from budgetd_rules.values import ValueType


class ValueTable(Table):
    """`path`, a JMESPath into the body, or `header`: the names to try, of which the first that is there counts.

    A list that a path makes keeps its nulls, which no list of numbers takes: `data[].amount` is unknown, and named,
    where one of the items has no amount. `data[?amount].amount` asks for those that have one.

    Of a header it is the whole, unless one or several of these say which part:
    - `item`: the place in a list with commas, from 0 on (`1, 15000`). What follows a semicolon there is left out.
    - `member` and `parameter` of a structured field (RFC 9651). `"hour";r=2800;t=1812`: the parameter `r` of the member
      `hour`. `limit=20, remaining=19`: the parameter `remaining`, or the member. `100;w=60`: the parameter `w`.
    - `pattern`: a regular expression with one group, for anything else. One that finds nothing is a malformed value.

    Numbers: `unlimited` lists those (and words) that mean no limit; the others are multiplied by `scale` (a text such
    as "0.01", or a number: exact either way) and with `negate` their sign is turned.
    Times: `encoding` where their looks alone may mislead.
    """

    path: PathText | None = None
    header: HeaderName | tuple[HeaderName, ...] | None = None
    item: Annotated[int, Field(ge=0, le=99)] | None = None
    member: str | None = None
    parameter: str | None = None
    pattern: PatternText | None = None
    type: ValueType
    encoding: Encoding = Encoding.AUTO
    unlimited: tuple[Decimal | str, ...] = ()
    scale: Scale = Decimal(1)
    negate: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.path is None) == (not self.header):
            raise ValueError("takes either a path or a header")
        if self.unlimited and self.type is not ValueType.NUMBER:
            raise ValueError("unlimited is for numbers")
        if self.factor is not None and self.type not in (ValueType.NUMBER, ValueType.NUMBERS):
            raise ValueError("scale and negate are for numbers")
        if self.encoding is not Encoding.AUTO and self.type is not ValueType.TIME:
            raise ValueError("encoding is for times")
        return self

    @model_validator(mode="after")
    def _is_one_part_of_a_header(self) -> Self:
        parts = [key for key in ("item", "member", "parameter", "pattern") if getattr(self, key) is not None]
        if parts and self.path is not None:
            raise ValueError(f"{parts[0]} is for headers")
        if parts and self.type is ValueType.NUMBERS:
            raise ValueError(f"{parts[0]} is one value, while numbers are the whole list of a header")
        if self.pattern is not None and len(parts) > 1:
            raise ValueError(f"pattern does not go together with {parts[0]}")
        return self

    @property
    def place(self) -> HeaderPlan | None:
        if self.header is None:
            return None
        names = (self.header,) if isinstance(self.header, str) else self.header
        return HeaderPlan(
            names=tuple(name.lower() for name in names),
            item=self.item,
            member=self.member,
            parameter=self.parameter,
            pattern=re.compile(self.pattern) if self.pattern is not None else None,
        )

    @property
    def factor(self) -> Decimal | None:
        factor = self.scale.copy_negate() if self.negate else self.scale
        return factor if factor != 1 else None


DottedName = Annotated[str, StringConstraints(pattern=r"^[\w-]+(\.[\w-]+)*$")]


class PagesTable(Table):
    """An answer that comes in pages: `items` is the dotted name of the list in the body (`data`, `data.rows`), or `@`
    where the body is the list. The lists of all pages become one, in the body of the first. A body that is a bare list,
    although `items` names a field, is all there is.

    How it goes on is one of these, until there is none (null, false, an empty text):
    - `link`, a JMESPath to the link to the next page: relative or absolute, and of the same origin.
    - `link_header = true`: that link is in the header Link, with `rel="next"` (RFC 8288).
    - `cursor`, a JMESPath to what the next page takes: under the name `query` in the URL's query, or under the dotted
      name `json` in the body of a POST (`variables.after`), where a number stays a number.
    - `number`, the name under which the query takes the page's number, counted from `first` (1) on.
    `more`, a JMESPath, is true while there is more, and false on the last page, if the vendor says so. Without it page
    numbers end with an empty list.

    After `most` pages (20) or 10,000 items it is no answer but a malformed one, as with a page that comes twice.
    """

    items: Annotated[str, StringConstraints(pattern=r"^(@|[\w-]+(\.[\w-]+)*)$")]
    link: PathText | None = None
    link_header: bool = False
    cursor: PathText | None = None
    number: str | None = None
    query: str | None = None
    body_json: DottedName | None = Field(default=None, alias="json")
    first: Annotated[int, Field(ge=0)] = 1
    more: PathText | None = None
    most: Annotated[int, Field(ge=2, le=100)] = 20

    @model_validator(mode="after")
    def _goes_on_in_one_way(self) -> Self:
        if [self.link, self.link_header or None, self.cursor, self.number].count(None) != 3:
            raise ValueError("takes one of link, link_header, cursor and number: how the answer goes on")
        if [self.cursor, self.query or self.body_json].count(None) == 1:
            raise ValueError("cursor and query (or json) go together: where the cursor stands, and what it is sent as")
        if self.query is not None and self.body_json is not None:
            raise ValueError("takes one of query and json: where the cursor is sent")
        if "first" in self.model_fields_set and self.number is None:
            raise ValueError("first is for page numbers")
        return self


class RequestTable(Table):
    """A GET of `path`, below the base URL, with a `query` and `headers` of its own: templates all three. What names a
    param that is not given is left out. A value of an earlier request may be named as well: this one is then sent after
    that one, if its answer has the value.

    `method = "POST"` is for APIs that are asked so; nothing that changes anything belongs here. `json` is its body,
    whose texts are templates. One that is a name alone and stands for a number (`{now_unix}`, `{year}`, a value) is
    sent as a number. Braces with white space between them are no name, so that GraphQL can be written down.

    `optional`: a vendor that has nothing to say there answers 404, 403, 204, `null` or `{}`, and that is no outage.
    `unwrap` names the fields of the body whose object some versions of an API send as JSON inside a text.
    `body = "none"` is for what is read from headers alone.
    `success`, a JMESPath, has to be true of the body of each 2xx, instead of the provider's.
    `undocumented`: its paths are guesses, so that what an answer does not have is no outage.
    `ignored` are the documented fields that are not read on purpose, those of a list as `items[].name`.
    """

    path: Annotated[str, StringConstraints(pattern=r"^[/{][^?#]*$")]
    method: Literal["GET", "POST"] = "GET"
    query: Mapping[str, str] = {}
    headers: Mapping[HeaderName, str] = {}
    body_json: JsonTable | None = Field(default=None, alias="json")
    optional: bool = False
    body: Literal["object", "list", "any", "none"] = "object"
    unwrap: tuple[str, ...] = ()
    undocumented: bool = False
    ignored: tuple[str, ...] = ()
    success: PathText | None = None
    pages: PagesTable | None = None
    values: Mapping[Name, ValueTable] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.body_json is not None and self.method != "POST":
            raise ValueError('json is the body of a POST: add method = "POST"')
        if self.pages and self.pages.body_json is not None:
            _check_place(self.pages.body_json, self.body_json)
        turning = (self.pages.query or self.pages.number) if self.pages else None
        if turning in self.query:
            raise ValueError(f"query.{turning} is what pages turns; leave it out here")
        return self


def _check_place(name: str, body: Mapping[str, object] | None) -> None:
    """That a cursor can be put there, in place of what stands there."""
    if body is None:
        raise ValueError(f"pages.json: {name} is a place in the body of a POST, and there is none: write json = {{}}")
    table: object = body
    for step in name.split(".")[:-1]:
        table = table.get(step, {}) if isinstance(table, Mapping) else None
    is_table = isinstance(table, Mapping)
    if not is_table:
        raise ValueError(f"pages.json: {name} leads through what is no table in json")


class ArgTable(Table):
    """What a person gives to an action. A `secret` one is not recorded."""

    help: str
    type: Literal["text", "number"] = "text"
    secret: bool = False


class ActionTable(Table):
    """What a person may start at the vendor's with `budgetd act`: a request whose templates name [params] and `args`.

    `shows` are the parts of the answer that the person wants to see: a label, and a JMESPath.
    """

    title: str
    method: Literal["POST"] = "POST"
    path: Annotated[str, StringConstraints(pattern=r"^[/{][^?#]*$")]
    body_json: JsonTable | None = Field(default=None, alias="json")
    args: Mapping[Name, ArgTable] = {}
    shows: Mapping[str, PathText] = {}
