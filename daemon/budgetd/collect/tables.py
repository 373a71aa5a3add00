"""A provider file as TOML: the tables and keys that it may hold, each checked by itself.

The docstrings below are the reference of the format. Whether the tables fit each other (an expression's names, a kind's
fields, the names in braces) is `assembly`'s to check. What stands in braces in a template, `{name}`, is one of
[params]; in requests also a time (`templates` lists them) or a value.
"""

import re
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from budgetd.collect.headers import HeaderPlan
from budgetd.collect.keys import (
    BaseUrl,
    CauseName,
    Evidence,
    HeaderName,
    JsonTable,
    MeterName,
    Name,
    ParamName,
    PathText,
    PatternText,
    ProviderName,
    Scale,
)
from budgetd.collect.templates import API_KEY, names_in
from budgetd.collect.times import Encoding
from budgetd.durations import Duration
from budgetd_rules.meters import Kind
from budgetd_rules.values import ValueType


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AuthTable(Table):
    """How requests carry the key: one or several of the forms below, templates all of them, of which at least one has
    `{api_key}`. Besides it they may name params, such as a second, secret one.

    - `header` and `value`: one header, such as `Authorization` and `Bearer {api_key}`.
    - `headers`: several.
    - `basic`: user and password with a colon between them, which we send as Basic authentication does.
    - `query`: parts of the URL's query. They are shown nowhere.
    """

    header: HeaderName | None = None
    value: str | None = None
    headers: dict[HeaderName, str] = {}
    basic: str | None = None
    query: dict[str, str] = {}

    @model_validator(mode="after")
    def _carries_the_key(self) -> Self:
        if (self.header is None) != (self.value is None):
            raise ValueError("header and value go together")
        names = [name.lower() for name in self.headers]
        names += [self.header.lower()] if self.header is not None else []
        names += ["authorization"] if self.basic is not None else []
        if len(set(names)) < len(names):
            raise ValueError("gives one header twice")
        if not any(API_KEY in names_in(text) for text in self.texts.values()):
            raise ValueError(f"nothing of it holds {{{API_KEY}}}, which stands for the account's key")
        return self

    @property
    def all_headers(self) -> dict[str, str]:
        return self.headers | ({self.header: self.value} if self.header is not None and self.value is not None else {})

    @property
    def texts(self) -> dict[str, str]:
        """All templates, by their keys."""
        alone = {"value": self.value, "basic": self.basic}
        return (
            {key: text for key, text in alone.items() if text is not None}
            | {f"headers.{name}": text for name, text in self.headers.items()}
            | {f"query.{name}": text for name, text in self.query.items()}
        )


class ParamTable(Table):
    """What an account gives besides its key. Neither required nor with a default: what names it is then left out.

    `secret`: it is given as a key is ({ env, file, credential }), and shown nowhere.
    """

    help: str
    default: str | None = None
    required: bool = False
    secret: bool = False

    @model_validator(mode="after")
    def _is_required_or_has_a_default(self) -> Self:
        if self.required and self.default is not None:
            raise ValueError("is required or has a default, not both")
        if self.secret and self.default is not None:
            raise ValueError("is secret, so it has no default")
        return self


class ValueTable(Table):
    """`path` into the body, or `header`: the names to try, of which the first that is there counts.

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


class PagesTable(Table):
    """An answer that comes in pages: `items` is the dotted name of the list in the body (`data`, `data.rows`), or `@`
    where the body is the list. The lists of all pages become one, in the body of the first. A body that is a bare list,
    although `items` names a field, is all there is.

    How it goes on is one of these, until there is none (null, false, an empty text):
    - `link`, a JMESPath to the link to the next page: relative or absolute, and of the same origin.
    - `cursor`, a JMESPath to what the URL's query takes under the name `query` for the next page.
    - `number`, the name under which the query takes the page's number, counted from `first` (1) on.
    `more`, a JMESPath, is true while there is more, and false on the last page, if the vendor says so. Without it page
    numbers end with an empty list.

    After `most` pages (20) or 10,000 items it is no answer but a malformed one, as with a page that comes twice.
    """

    items: Annotated[str, StringConstraints(pattern=r"^(@|[\w-]+(\.[\w-]+)*)$")]
    link: PathText | None = None
    cursor: PathText | None = None
    number: str | None = None
    query: str | None = None
    first: Annotated[int, Field(ge=0)] = 1
    more: PathText | None = None
    most: Annotated[int, Field(ge=2, le=100)] = 20

    @model_validator(mode="after")
    def _goes_on_in_one_way(self) -> Self:
        if [self.link, self.cursor, self.number].count(None) != 2:
            raise ValueError("takes one of link, cursor and number: how the answer goes on")
        if (self.cursor is None) != (self.query is None):
            raise ValueError("cursor and query go together: where the cursor stands, and what the query calls it")
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

    `optional`: a vendor that has nothing to say there answers 404, 403, `null` or `{}`, and that is no outage.
    `unwrap` names the fields of the body whose object some versions of an API send as JSON inside a text.
    `body = "none"` is for what is read from headers alone.
    `success`, a JMESPath, has to be true of the body of each 2xx, instead of the provider's.
    """

    path: Annotated[str, StringConstraints(pattern=r"^[/{][^?#]*$")]
    method: Literal["GET", "POST"] = "GET"
    query: dict[str, str] = {}
    headers: dict[HeaderName, str] = {}
    body_json: JsonTable | None = Field(default=None, alias="json")
    optional: bool = False
    body: Literal["object", "list", "any", "none"] = "object"
    unwrap: tuple[str, ...] = ()
    success: PathText | None = None
    pages: PagesTable | None = None
    values: dict[Name, ValueTable] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.body_json is not None and self.method != "POST":
            raise ValueError('json is the body of a POST: add method = "POST"')
        turning = (self.pages.query or self.pages.number) if self.pages else None
        if turning in self.query:
            raise ValueError(f"query.{turning} is what pages turns; leave it out here")
        return self


class WithinTable(Table):
    """`time` is a JMESPath into an item, to a time of the last so many days (`last`), or the item does not count."""

    time: PathText
    last: Duration
    encoding: Encoding = Encoding.AUTO


class MeterTable(Table):
    """The keys that are not named here are the kind's fields: expressions over the values. While `when` is false the
    vendor does not have the meter.

    `each` fans out: a request's name, a dot, and a JMESPath to a list; one meter for each of its items, named by `key`,
    a JMESPath into the item. Parts of the item are `item.name` in the expressions: a number, or what the field takes
    where it stands alone. `each` may point to an object as well, `{name: value}`, if the key is made of `key`: its
    items are then `{key, value}`. `within` narrows the list to the items of the last days.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    kind: Kind
    unit: str = ""
    window: Literal["fixed", "rolling"] = "fixed"
    each: str | None = None
    key: PathText | None = None
    within: WithinTable | None = None
    when: str | None = None

    @model_validator(mode="after")
    def _fans_out_by_a_key(self) -> Self:
        if self.kind is Kind.CONNECTION:
            raise ValueError("kind: connection is budgetd's own")
        if (self.each is None) != (self.key is None):
            raise ValueError("each and key go together: the list, and what names one of its items")
        if self.within is not None and self.each is None:
            raise ValueError("within is for lists, and needs each and key")
        return self

    @property
    def fields(self) -> dict[str, str]:
        return self.__pydantic_extra__


class ProviderTable(Table):
    """`evidence` is how sure we are of all this: `confirmed` by the vendor's own documents, or `secondary`.

    `success` is a JMESPath that has to be true of the body of each 2xx: else the request failed, a vendor_error, unless
    one of `causes` says better. These are conditions on the body, as JMESPath, that say why a request failed better
    than its status does. `detail` are the places where a body explains an error.
    """

    DETAIL: ClassVar = ("error.message", "detail", "message", "errorMessage", "title", "error")

    name: ProviderName
    title: str
    docs: str
    evidence: Evidence
    base_url: BaseUrl
    auth: AuthTable
    headers: dict[HeaderName, str] = {}
    key_hint: str = ""
    interval: Duration | None = None
    min_interval: Duration | None = None
    params: dict[ParamName, ParamTable] = {}
    success: PathText | None = None
    causes: dict[CauseName, PathText] = {}
    detail: tuple[PathText, ...] = DETAIL
    request_id: HeaderName = "X-Request-Id"
    identity: str | None = None
    requests: dict[Name, RequestTable]
    meters: dict[MeterName, MeterTable]
