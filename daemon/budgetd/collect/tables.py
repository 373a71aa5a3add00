"""A provider file as TOML: the tables and keys that it may hold, each checked by itself.

The docstrings here and in `request_tables` are the reference of the format. Whether the tables fit each other (an
expression's names, a kind's fields, the names in braces) is `assembly`'s to check. What stands in braces in a template,
`{name}`, is one of [params]; in requests also a time (`templates` lists them) or a value.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from budgetd.collect.keys import (
    BaseUrl,
    CauseName,
    Evidence,
    HeaderName,
    MeterName,
    Name,
    ParamName,
    PathText,
    ProviderName,
    Table,
)
from budgetd.collect.request_tables import ActionTable, RequestTable
from budgetd.collect.templates import API_KEY, names_in
from budgetd.collect.times import Encoding
from budgetd.durations import Duration
from budgetd_rules.kinds import Kind


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
    headers: Mapping[HeaderName, str] = {}
    basic: str | None = None
    query: Mapping[str, str] = {}

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
        one = {self.header: self.value} if self.header is not None and self.value is not None else {}
        return {**self.headers, **one}

    @property
    def texts(self) -> dict[str, str]:
        """All templates, by their keys."""
        alone = {"value": self.value, "basic": self.basic}
        return (
            {key: text for key, text in alone.items() if text is not None}
            | {f"headers.{name}": text for name, text in self.headers.items()}
            | {f"query.{name}": text for name, text in self.query.items()}
        )


class RateTable(Table):
    """So many requests in any such span, `{ requests = 30, per = "1m" }`: to one host, for all accounts together."""

    requests: Annotated[int, Field(ge=1)]
    per: Duration


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


class WithinTable(Table):
    """`time` is a JMESPath into an item, to a time (of this `encoding`) that lies in the last days (`last = "30d"`), or
    the item does not count. Where it can't be read nobody knows, and that is an outage.
    """

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

    `group`: one meter for all items that share a key. `item.name` is then the list of their numbers, for sum, count,
    min and max. Where it stands alone it is what all of them agree on, else unknown; of times it is the latest.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    kind: Kind
    unit: str = ""
    window: Literal["fixed", "rolling"] = "fixed"
    each: str | None = None
    key: PathText | None = None
    within: WithinTable | None = None
    group: bool = False
    when: str | None = None

    @model_validator(mode="after")
    def _fans_out_by_a_key(self) -> Self:
        if self.kind is Kind.CONNECTION:
            raise ValueError("kind: connection is budgetd's own")
        if (self.each is None) != (self.key is None):
            raise ValueError("each and key go together: the list, and what names one of its items")
        for name in ("within", "group"):
            if getattr(self, name) and self.each is None:
                raise ValueError(f"{name} is for lists, and needs each and key")
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
    headers: Mapping[HeaderName, str] = {}
    key_hint: str = ""
    interval: Duration | None = None
    min_interval: Duration | None = None
    rate_limit: RateTable | None = None
    params: Mapping[ParamName, ParamTable] = {}
    success: PathText | None = None
    causes: Mapping[CauseName, PathText] = {}
    detail: tuple[PathText, ...] = DETAIL
    request_id: HeaderName = "X-Request-Id"
    identity: Name | None = None
    requests: dict[Name, RequestTable]
    meters: dict[MeterName, MeterTable]
    actions: Mapping[Name, ActionTable] = {}
