"""A provider file as TOML: the tables and keys that it may hold, each checked by itself.

Whether they fit each other (an expression's names, a kind's fields) is `provider`'s to check.
"""

import re
from decimal import Decimal
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator

from budgetd.collect.paths import compile_path
from budgetd.collect.times import Encoding
from budgetd.durations import Duration
from budgetd.http import Request
from budgetd_rules.meters import Kind
from budgetd_rules.polls import CONNECTION, Cause
from budgetd_rules.values import ValueType

API_KEY: Final = "{api_key}"
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def _check_path(text: str) -> str:
    compile_path(text)
    return text


def _check_base_url(text: str) -> str:
    Request(url=text)
    if "?" in text or "#" in text or "@" in text:
        raise ValueError("takes neither a query nor a user: only https://host, and a path where all paths are below it")
    return text.rstrip("/")


def _check_meter_name(name: str) -> str:
    if name == CONNECTION:
        raise ValueError("is the name of a meter that every account has: choose another")
    return name


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
MeterName = Annotated[Name, AfterValidator(_check_meter_name)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
PathText = Annotated[str, AfterValidator(_check_path)]
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AuthTable(Table):
    """The one header that carries the key."""

    header: HeaderName
    value: str

    @model_validator(mode="after")
    def _carries_the_key(self) -> Self:
        if set(PLACEHOLDER.findall(self.value)) != {"api_key"}:
            raise ValueError(f"its value holds {API_KEY}, and no other name in braces")
        return self


class ParamTable(Table):
    """What an account gives besides its key. Neither required nor with a default: what names it is then left out."""

    help: str
    default: str | None = None
    required: bool = False

    @model_validator(mode="after")
    def _is_required_or_has_a_default(self) -> Self:
        if self.required and self.default is not None:
            raise ValueError("is required or has a default, not both")
        return self


class ValueTable(Table):
    """`path` into the body, or `header`: the names to try, of which the first that is there counts."""

    path: PathText | None = None
    header: HeaderName | tuple[HeaderName, ...] | None = None
    type: ValueType
    encoding: Encoding = Encoding.AUTO
    unlimited: tuple[Decimal | str, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.path is None) == (not self.header):
            raise ValueError("takes either a path or a header")
        if self.unlimited and self.type is not ValueType.NUMBER:
            raise ValueError("unlimited is for numbers")
        if self.encoding is not Encoding.AUTO and self.type is not ValueType.TIME:
            raise ValueError("encoding is for times")
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        names = (self.header,) if isinstance(self.header, str) else self.header or ()
        return tuple(name.lower() for name in names)


class RequestTable(Table):
    """`optional`: a vendor that has nothing to say there answers 404, 403, `null` or `{}`, and that is no outage.
    `unwrap` names the fields of the body whose object some versions of an API send as JSON inside a text.
    `body = "none"` is for what is read from headers alone.
    """

    path: Annotated[str, StringConstraints(pattern=r"^[/{]")]
    method: Literal["GET"] = "GET"
    query: dict[str, str] = {}
    optional: bool = False
    body: Literal["object", "list", "any", "none"] = "object"
    unwrap: tuple[str, ...] = ()
    values: dict[Name, ValueTable] = {}


class MeterTable(Table):
    """The keys that are not named here are the kind's fields: expressions over the values."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    kind: Kind
    unit: str = ""
    window: Literal["fixed", "rolling"] = "fixed"
    each: str | None = None
    key: PathText | None = None
    when: str | None = None

    @model_validator(mode="after")
    def _fans_out_by_a_key(self) -> Self:
        if self.kind is Kind.CONNECTION:
            raise ValueError("kind: connection is budgetd's own")
        if (self.each is None) != (self.key is None):
            raise ValueError("each and key go together: the list, and what names one of its items")
        return self

    @property
    def fields(self) -> dict[str, str]:
        return self.__pydantic_extra__


class ProviderTable(Table):
    """`causes` are conditions on the body, as JMESPath, that say why a request failed better than its status does.
    `detail` are the places where a body explains an error.
    """

    DETAIL: ClassVar = ("error.message", "detail", "message", "errorMessage", "title", "error")

    name: ProviderName
    title: str
    docs: str
    base_url: BaseUrl
    auth: AuthTable
    headers: dict[HeaderName, str] = {}
    key_hint: str = ""
    interval: Duration | None = None
    min_interval: Duration | None = None
    params: dict[Name, ParamTable] = {}
    causes: dict[Cause, PathText] = {}
    detail: tuple[PathText, ...] = DETAIL
    request_id: HeaderName = "X-Request-Id"
    identity: str | None = None
    requests: dict[Name, RequestTable]
    meters: dict[MeterName, MeterTable]
