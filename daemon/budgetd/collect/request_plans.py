"""From the tables of a provider file to the plans of its requests. Checks the names in their templates."""

from typing import Final

from budgetd.collect.paths import compile_path
from budgetd.collect.plans import PagesPlan, RequestPlan, ValuePlan
from budgetd.collect.request_tables import PagesTable, RequestTable, ValueTable
from budgetd.collect.tables import ProviderTable
from budgetd.collect.templates import API_KEY, TIMES, is_braced, is_time, names_in, texts_in
from budgetd.collect.values import Reader
from budgetd.validation import did_you_mean
from budgetd_rules.values import ValueType

ITEM: Final = "item"


class RequestPlanner:
    """The `plans` of one file's requests, and their `values` by name. Adds what is wrong to `problems`."""

    def __init__(self, table: ProviderTable, problems: list[str]) -> None:
        self._table, self._problems = table, problems
        self._declared = {value: name for name, request in table.requests.items() for value in request.values}
        self.values: dict[str, ValuePlan] = {}
        for header, text in table.headers.items():
            self._check(f"headers.{header}", text)
        for key, text in table.auth.texts.items():
            self._check(f"auth.{key}", text, is_auth=True, is_needed=key == "basic")
        self.plans = tuple(self._plan_request(name, request) for name, request in table.requests.items())

    def _plan_request(self, name: str, request: RequestTable) -> RequestPlan:
        where = f"requests.{name}"
        templates = {f"query.{key}": text for key, text in request.query.items()}
        templates |= {f"headers.{key}": text for key, text in request.headers.items()}
        self._check(f"{where}.path", request.path, is_request=True, is_needed=True)
        for key, text in templates.items():
            self._check(f"{where}.{key}", text, is_request=True)
        in_body = list(texts_in(request.body_json))
        for text in in_body:
            self._check(f"{where}.json", text, is_request=True, is_json=True)
        names = {name for text in (request.path, *templates.values(), *in_body) for name in names_in(text)}
        success = request.success or self._table.success
        return RequestPlan(
            name=name,
            method=request.method,
            path=request.path,
            query={**request.query, **_first_page(request.pages)},
            headers=request.headers,
            json=request.body_json,
            times=frozenset(name for name in names if is_time(name)),
            needs={name: self.values[name].request for name in sorted(names) if name in self.values},
            optional=request.optional,
            body=request.body,
            unwrap=request.unwrap,
            undocumented=request.undocumented,
            ignored=request.ignored,
            success=compile_path(success) if success is not None else None,
            pages=_plan_pages(request.pages) if request.pages else None,
            values=tuple(self._plan_value(name, key, value) for key, value in request.values.items()),
        )

    def _plan_value(self, request: str, name: str, value: ValueTable) -> ValuePlan:
        where = f"requests.{request}.values.{name}"
        if name == ITEM:
            self._problems.append(f"{where}: item is what a list's item is called; choose another name")
        if name in self.values:
            self._problems.append(f"{where}: requests.{self.values[name].request} has a value of this name already")
        unlimited = frozenset(each.lower() if isinstance(each, str) else each for each in value.unlimited)
        self.values[name] = ValuePlan(
            name=name,
            request=request,
            path=compile_path(value.path) if value.path is not None else None,
            header=value.place,
            reader=Reader(type=value.type, encoding=value.encoding, unlimited=unlimited, factor=value.factor),
        )
        return self.values[name]

    # --- templates

    def _check(
        self,
        where: str,
        text: str,
        *,
        is_request: bool = False,
        is_auth: bool = False,
        is_needed: bool = False,
        is_json: bool = False,
    ) -> None:
        """`is_needed`: the text can't be left out if a param is not given. JSON may have braces of its own."""
        for name in names_in(text):
            fault = "" if is_auth and name == API_KEY else self._find_fault(name, is_request, is_needed)
            if fault:
                self._problems.append(f"{where}: {{{name}}} {fault}")
        if is_braced(text) and not is_json:
            self._problems.append(f"{where}: has a brace without a name in it")

    def _find_fault(self, name: str, is_request: bool, is_needed: bool) -> str:
        param = self._table.params.get(name)
        if is_request and is_time(name):
            return ""
        if is_request and name in self._declared:
            return "is both one of [params] and a value; rename one of them" if param else self._find_chain_fault(name)
        if param is None:
            return self._no_such_name(name, is_request)
        is_given = param.required or param.default is not None or not is_needed
        return "" if is_given else f"may be missing: params.{name} has to be required, or to have a default"

    def _find_chain_fault(self, name: str) -> str:
        value = self.values.get(name)
        if value is None:
            return f"is a value of requests.{self._declared[name]}, whose answer is not there yet"
        if value.reader.type not in (ValueType.TEXT, ValueType.NUMBER):
            return f"is {value.reader.type.noun}, and only text and whole numbers can be sent"
        return ""

    def _no_such_name(self, name: str, is_request: bool) -> str:
        if name == API_KEY:
            return "has its place in auth alone"
        if is_time(name) or name in self._declared:
            what = "a time" if is_time(name) else "a value"
            return f"is {what}, and has its place in requests alone"
        known = [*self._table.params, *(self.values if is_request else ()), *(TIMES if is_request else ())]
        what = "neither one of [params], nor a value, nor a time" if is_request else "not one of [params]"
        return f"is {what}{did_you_mean(name, known)}"


def _first_page(pages: PagesTable | None) -> dict[str, str]:
    return {pages.number: str(pages.first)} if pages and pages.number is not None else {}


def _plan_pages(pages: PagesTable) -> PagesPlan:
    place = pages.link if pages.link is not None else pages.cursor
    return PagesPlan(
        items=tuple(pages.items.split(".")) if pages.items != "@" else (),
        place=compile_path(place) if place is not None else None,
        in_header=pages.link_header,
        json=tuple(pages.body_json.split(".")) if pages.body_json is not None else (),
        query=pages.query,
        number=pages.number,
        first=pages.first,
        more=compile_path(pages.more) if pages.more is not None else None,
        most=pages.most,
    )
