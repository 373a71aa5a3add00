"""Paginated answers: all pages are requested and joined, and an incomplete list is no answer."""

import asyncio
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.collect.answers import Reply
from budgetd.collect.links import find_next
from budgetd.collect.pages import Pages
from budgetd.collect.plans import PagesPlan
from budgetd.collect.poll import poll
from budgetd.collect.provider import Provider, load_provider
from budgetd.collect.request_plans import _plan_pages
from budgetd.collect.request_tables import PagesTable
from budgetd.collect.sources import make_source
from budgetd.collect.texts import hide
from budgetd.collect.values import MalformedError
from budgetd.credentials import Secret
from budgetd.http import Client, RequestFailedError
from budgetd_rules.polls import Cause, Poll
from collecting import HEAD, KEY, NOW, answer, details, fields, read, write_provider

REST = """
costs = { path = "data[].cost", type = "numbers" }
total = { path = "total", type = "number" }
left = { header = "X-Left", type = "number" }
[meters.costs]
kind = "spend"
amount = "sum(costs)"
limit = "total"
[meters.calls]
kind = "quota"
remaining = "left"
"""
LINK = '{ items = "data", link = "links.next" }'
CURSOR = '{ items = "data", cursor = "next", query = "page", more = "has_more", most = 4 }'
NUMBER = '{ items = "data", number = "page" }'
HEADER = '{ items = "data", link_header = true }'
POSTED = '{ items = "data", cursor = "next", json = "page.after" }'


def make(folder: Path, pages: str, rest: str = REST) -> Provider:
    post = 'method = "POST"\njson = { page = { size = 2 }, since = "{month_start_date}" }\n' if "json" in pages else ""
    text = HEAD.replace('path = "/info"', f'path = "/info"\nbody = "any"\n{post}pages = {pages}')
    return load_provider(write_provider(folder, text + rest))


def page(*costs: int, **rest: object) -> Reply:
    return answer({"data": [{"cost": cost} for cost in costs], "total": 100, **rest}, headers={"X-Left": "7"})


def linked(*costs: int, link: str | None) -> Reply:
    return answer({"data": [{"cost": cost} for cost in costs], "total": 100}, headers={"X-Left": "7", **link_to(link)})


def link_to(link: str | None) -> dict[str, str]:
    return {} if link is None else {"Link": link}


SUM = 15
WHOLE: dict[str, tuple[str, Sequence[Reply]]] = {
    "links": (LINK, [page(1, 2, links={"next": "/info?p=2"}), page(3, 4, links={"next": "?p=3"}), page(5, links={})]),
    "one page": (LINK, [page(1, 2, 3, 4, 5)]),
    "a link that is false": (LINK, [page(15, links={"next": False})]),
    "a link that is empty": (LINK, [page(15, links={"next": ""})]),
    "cursors": (CURSOR, [page(1, 2, has_more=True, next="a"), page(3, 4, 5, has_more=False, next=None)]),
    "cursors that are numbers": (CURSOR, [page(7, has_more=True, next=2), page(8, has_more=False)]),
    "a cursor on the last page": (CURSOR, [page(7, has_more=True, next="a"), page(8, has_more=False, next="b")]),
    "a cursor, and nothing said of more": (CURSOR, [page(7, next="a"), page(8)]),
    "links in a header": (
        HEADER,
        [
            linked(1, 2, link='</info?p=2>; rel="next", </info?p=3>; rel="last"'),
            linked(3, link='</info?p=1>; rel="first", </info?p=3>; rel="next"'),
            linked(4, 5, link='</info?p=1>; rel="first"'),
        ],
    ),
    "no links in a header": (HEADER, [linked(15, link=None)]),
    "links in a header, and what says that there are more": (
        '{ items = "data", link_header = true, more = "has_more" }',
        [
            answer({"data": [{"cost": 7}], "total": 100, "has_more": True}, headers=link_to("</2>; rel=next")),
            answer({"data": [{"cost": 8}], "has_more": False}, headers={"X-Left": "7", **link_to("</3>; rel=next")}),
        ],
    ),
    "cursors in the body that is sent": (POSTED, [page(7, next="a"), page(8, next=None)]),
    "an empty page in the middle": (CURSOR, [page(7, next="a"), page(next="b"), page(8)]),
    "numbers until an empty list": (NUMBER, [page(1, 2), page(3, 4, 5), page()]),
    "numbers while there is more": (
        '{ items = "data", number = "page", more = "has_more" }',
        [page(7, has_more=True), page(8, has_more=False)],
    ),
    "numbers until nothing says that there is more": (
        '{ items = "data", number = "page", more = "has_more" }',
        [page(7, has_more=True), page(8)],
    ),
}


@pytest.mark.parametrize(("pages", "outcomes"), WHOLE.values(), ids=WHOLE.keys())
def test_all_pages_are_one(tmp_path: Path, pages: str, outcomes: Sequence[Reply]) -> None:
    seen = read(make(tmp_path, pages), info=outcomes)
    assert seen.outages == ()
    assert fields(seen, "costs") == {"amount": SUM, "limit": 100}
    assert fields(seen, "calls") == {"remaining": 7}
    assert seen.answered == {"costs", "calls"}


MORE = page(1, has_more=True, next="a")
BROKEN: dict[str, tuple[str, Sequence[Reply], str]] = {
    "a page that fails": (CURSOR, [MORE, answer("", 500)], "vendor_error: HTTP 500"),
    "a page that does not come": (
        CURSOR,
        [MORE, RequestFailedError(Cause.UNREACHABLE, "no whole answer within 30s")],
        "unreachable: no whole answer",
    ),
    "a page that is none": (CURSOR, [MORE, answer("<html>")], "malformed: HTTP 200: expected JSON, got a page of HTML"),
    "a page of another shape": (CURSOR, [MORE, answer({"rows": []})], "malformed: pages: one of them has no list"),
    "a first page of null": (
        CURSOR,
        [answer({"data": None, "next": "a"})],
        "malformed: pages: one of them has no list",
    ),
    "a last page of null": (CURSOR, [MORE, answer({"data": None})], "malformed: pages: one of them has no list"),
    "numbers until null": (NUMBER, [page(1), answer({"data": None})], "malformed: pages: one of them has no list"),
    "more, and no list": (CURSOR, [answer({"next": "a"})], "malformed: pages: one of them has no list"),
    "items that are no list": (
        CURSOR,
        [MORE, answer({"data": {"cost": 1}})],
        "malformed: pages: expected a list, got an object",
    ),
    "more, and nothing says where": (
        CURSOR,
        [page(1, has_more=True)],
        "malformed: pages: there are more of them, and nothing says where",
    ),
    "more is no truth": (
        CURSOR,
        [page(1, has_more="yes")],
        "malformed: pages: whether there are more: expected true or false, got the text 'yes'",
    ),
    "a cursor of no kind": (
        CURSOR,
        [page(1, next={"a": 1})],
        "malformed: pages: where the next one is: expected text, got an object",
    ),
    "a cursor that comes again": (
        CURSOR,
        [page(1, next="a"), page(1, next="b"), page(1, next="a")],
        "malformed: pages: the next one is one that has come already",
    ),
    "a link to itself": (
        LINK,
        [page(1, links={"next": "/info?p=2"})] * 2,
        "malformed: pages: the next one is one that has come already",
    ),
    "more, and no link in the header": (
        '{ items = "data", link_header = true, more = "has_more" }',
        [page(1, has_more=True)],
        "malformed: pages: there are more of them, and nothing says where",
    ),
    "a header that is none": (
        HEADER,
        [linked(1, link="/info?p=2")],
        "malformed: pages: the header Link is no list of links",
    ),
    "a link in a header to itself": (
        HEADER,
        [linked(1, link="</info?p=2>; rel=next")] * 2,
        "malformed: pages: the next one is one that has come already",
    ),
    "a cursor in the body that comes again": (
        POSTED,
        [page(1, next=2)] * 2,
        "malformed: pages: the next one is one that has come already",
    ),
    "too many": (CURSOR, [page(1, next=name) for name in "abcd"], "malformed: pages: there are more than 4"),
    "a vendor that counts no pages": (NUMBER, [page(1)] * 20, "malformed: pages: there are more than 20"),
    "too many items": (
        NUMBER,
        [page(*range(6000))] * 2,
        "malformed: pages: there are more than 10,000 items in them",
    ),
}


@pytest.mark.parametrize(("pages", "outcomes", "outage"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_whole_is_no_answer(tmp_path: Path, pages: str, outcomes: Sequence[Reply], outage: str) -> None:
    seen = read(make(tmp_path, pages), info=outcomes)
    assert len(seen.outages) == 1
    assert details(seen)[0].startswith(f"info {outage}")
    assert "costs" not in {reading.key.meter for reading in seen.readings}
    assert seen.answered == frozenset()


def test_a_pause_is_asked_for_by_any_page(tmp_path: Path) -> None:
    seen = read(make(tmp_path, CURSOR), info=[MORE, answer("", 429, {"Retry-After": "30"})])
    assert seen.retry_after is not None
    assert seen.retry_after.total_seconds() == 30


def test_a_later_page_can_not_be_absent(tmp_path: Path) -> None:
    text = HEAD.replace('path = "/info"', f'path = "/info"\noptional = true\npages = {CURSOR}') + REST
    provider = load_provider(write_provider(tmp_path, text))
    assert details(read(provider, info=[MORE, answer("", 404)])) == ["info not_found: HTTP 404"]
    assert read(provider, info=[answer("", 404)]).outages == ()


BARE = """
costs = { path = "[].cost || data[].cost", type = "numbers" }
[meters.costs]
kind = "spend"
amount = "sum(costs)"
"""


@pytest.mark.parametrize(
    ("pages", "outcomes"),
    [
        pytest.param('{ items = "@", number = "page" }', [[7], [8], []], id="lists"),
        pytest.param('{ items = "data", cursor = "next", query = "page" }', [[7, 8]], id="a list instead of a page"),
        pytest.param('{ items = "data", number = "page" }', [[7, 8]], id="a list instead of numbered pages"),
        pytest.param('{ items = "data", link_header = true }', [[7, 8]], id="a list instead of linked pages"),
    ],
)
def test_a_body_may_be_the_list(tmp_path: Path, pages: str, outcomes: Sequence[Sequence[int]]) -> None:
    bodies = [answer([{"cost": cost} for cost in one]) for one in outcomes]
    seen = read(make(tmp_path, pages, BARE), info=bodies)
    assert seen.outages == ()
    assert fields(seen, "costs") == {"amount": SUM}


@pytest.mark.parametrize("items", ["@", "data"])
def test_a_body_that_is_the_list_may_go_on_in_its_header(tmp_path: Path, items: str) -> None:
    first = answer([{"cost": 7}], headers=link_to("</info?page=2>; rel=next"))
    seen = read(
        make(tmp_path, f'{{ items = "{items}", link_header = true }}', BARE), info=[first, answer([{"cost": 8}])]
    )
    assert seen.outages == ()
    assert fields(seen, "costs") == {"amount": SUM}


LINKS = {
    "one": ('<https://a.example/?p=2>; rel="next"', "https://a.example/?p=2"),
    "a token": ("</2>; rel=next", "/2"),
    "in single quotes": ("</2>; rel='next'", "/2"),
    "in capitals": ("</2>; REL=NEXT", "/2"),
    "of two relations": ('</2>; rel="last next"', "/2"),
    "with blanks": (' , </2> ;\t rel = "next" ; , ', "/2"),
    "a URL with a semicolon and a comma": ("</?a=1,2;b=3>; rel=next", "/?a=1,2;b=3"),
    "a text with signs": ('</2>; title="a; rel=\\"prev\\", <b>"; rel="next"', "/2"),
    "a parameter without a value": ("</2>; crossorigin; rel=next", "/2"),
    "the second": ("</1>; rel=prev,</3>; rel=next", "/3"),
    "twice the same": ("</2>; rel=next, </2>; rel=next", "/2"),
    "the first rel counts": ("</2>; rel=prev; rel=next", None),
    "next of another document": ('</2>; rel=next; anchor="/other"', None),
    "nearly next": ('</2>; rel="next-archive"', None),
    "none": ("</1>; rel=first", None),
    "without parameters": ("</1>", None),
    "an empty header": ("", None),
    "empty members": (" , ,", None),
}


@pytest.mark.parametrize(("header", "target"), LINKS.values(), ids=LINKS.keys())
def test_the_next_link_of_a_header(header: str, target: str | None) -> None:
    assert find_next(header) == target


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("/2; rel=next", id="no brackets"),
        pytest.param("</2; rel=next", id="a bracket that is open"),
        pytest.param('</2>; rel="next', id="a quote that is open"),
        pytest.param("</2> rel=next", id="no semicolon"),
        pytest.param("</1>; rel=first </2>; rel=next", id="no comma"),
        pytest.param("</1>; rel=first</2>; rel=next", id="nothing between"),
        pytest.param("</2>; =next", id="no name"),
        pytest.param("</1>; rel=first, garbage", id="something else behind it"),
    ],
)
def test_what_is_no_list_of_links_is_refused(header: str) -> None:
    with pytest.raises(MalformedError, match="the header Link is no list of links"):
        find_next(header)


def test_several_next_pages_are_none() -> None:
    with pytest.raises(MalformedError, match="the header Link names several next pages"):
        find_next("</2>; rel=next, </3>; rel=next")


@given(st.text(st.sampled_from('<>;,="\\ /anextrl'), max_size=40))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        target = find_next(header)
    except MalformedError:
        return
    assert target is None or f"<{target}>" in header.replace(" ", "")


TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='<>"\\'), max_size=8)


@given(
    before=st.lists(st.tuples(TEXTS, TEXTS), max_size=3),
    target=TEXTS,
    after=st.lists(st.tuples(TEXTS, TEXTS), max_size=3),
)
def test_the_next_link_is_found_among_all_others(
    before: list[tuple[str, str]], target: str, after: list[tuple[str, str]]
) -> None:
    def write(url: str, text: str) -> str:
        return f'<{url}>; title="{text}"; rel="prev {text.replace("next", "")}"'

    links = [write(*one) for one in before] + [f'<{target}>; rel="next"'] + [write(*one) for one in after]
    assert find_next(", ".join(links)) == target


# --- what is sent


def ask(
    provider: Provider, vendor: Callable[[httpx.Request], httpx.Response], base_url: str | None = None
) -> tuple[Poll, list[httpx.Request]]:
    sent: list[httpx.Request] = []

    def transport(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return vendor(request)

    source = make_source("acme", provider, Secret(KEY), base_url=base_url)
    return asyncio.run(poll(source, Client(httpx.MockTransport(transport)), NOW)), sent


def in_turn(*bodies: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    left = iter(bodies)
    return lambda _request: httpx.Response(200, json=next(left))


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("/info?page=2&x=a%20b", "https://api.acme.example/info?page=2&x=a%20b"),
        ("?page=2", "https://api.acme.example/info?page=2"),
        ("more", "https://api.acme.example/more"),
        ("https://api.acme.example/v2", "https://api.acme.example/v2"),
        ("https://API.acme.example:443/v2", "https://api.acme.example/v2"),
    ],
)
def test_a_link_is_followed_within_the_origin(tmp_path: Path, link: str, url: str) -> None:
    seen, sent = ask(make(tmp_path, LINK), in_turn({"data": [], "total": 1, "links": {"next": link}}, {"data": []}))
    assert seen.outages == ()
    assert [str(request.url) for request in sent] == ["https://api.acme.example/info", url]
    assert sent[1].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (
            f"https://other.example/info?key={KEY}",
            "its next page is at https://other.example, and the key goes",
        ),
        ("//other.example/info", "its next page is at https://other.example, and the key"),
        ("http://api.acme.example/info", "its next page is at http://api.acme.example, and the key"),
        ("https://api.acme.example:444/info", "its next page is at https://api.acme.example:444, and the key"),
        ("https://api.acme.example@other.example/", "its next page is at https://other.example, and the key"),
        ("https://api.acme.example\\@other.example/", ""),
        ("javascript:alert(1)", "its next page is at "),
        ("https://[::1", "the link to its next page is no URL"),
        ("https://api.acme.example/\x00", "the link to its next page is no URL"),
    ],
)
def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path, link: str, why: str) -> None:
    seen, sent = ask(make(tmp_path, LINK), in_turn({"data": [], "total": 1, "links": {"next": link}}, {"data": []}))
    assert {request.url.host for request in sent} == {"api.acme.example"}
    assert KEY not in repr(seen)
    if why:
        assert len(sent) == 1
        assert details(seen)[0].startswith(f"info malformed: {why}")


def test_a_key_in_the_query_goes_to_every_page(tmp_path: Path) -> None:
    auth = '{ query = { api_key = "{api_key}" } }'
    text = HEAD.replace('{ header = "Authorization", value = "Bearer {api_key}" }', auth)
    text = text.replace('path = "/info"', f'path = "/info"\nquery = {{ size = "2" }}\npages = {LINK}')
    provider = load_provider(write_provider(tmp_path, text + REST))
    links = ["/info?page=2&tag=a&tag=b", "/info?api_key=***&page=3", None]
    seen, sent = ask(provider, in_turn(*({"data": [], "total": 1, "links": {"next": link}} for link in links)))
    assert seen.outages == ()
    assert [request.url.params.multi_items() for request in sent] == [
        [("size", "2"), ("api_key", KEY)],
        [("page", "2"), ("tag", "a"), ("tag", "b"), ("api_key", KEY)],
        [("api_key", KEY), ("page", "3")],
    ]


def test_cursors_and_numbers_change_the_query_alone(tmp_path: Path) -> None:
    pages = '{ items = "data", number = "page", first = 0, more = "more" }'
    text = HEAD.replace('"/info"', f'"/info"\nquery = {{ since = "{{month_start_date}}", a = "b" }}\npages = {pages}')
    provider = load_provider(write_provider(tmp_path, text + REST))
    _, sent = ask(provider, in_turn({"data": [], "total": 1, "more": True}, {"data": []}))
    assert [dict(request.url.params) for request in sent] == [
        {"since": "2026-05-01", "a": "b", "page": "0"},
        {"since": "2026-05-01", "a": "b", "page": "1"},
    ]
    provider = make(tmp_path, CURSOR)
    _, sent = ask(provider, in_turn({"data": [], "total": 1, "next": "a&b=c"}, {"data": []}))
    assert [dict(request.url.params) for request in sent] == [{}, {"page": "a&b=c"}]


def test_a_link_in_a_header_is_followed_within_the_origin_alone(tmp_path: Path) -> None:
    def vendor(request: httpx.Request) -> httpx.Response:
        links = {"/info": "/info/2", "/info/2": "https://other.example/info/3"}
        return httpx.Response(
            200, json={"data": [], "total": 1}, headers={"Link": f"<{links[request.url.path]}>; rel=next"}
        )

    seen, sent = ask(make(tmp_path, HEADER), vendor)
    assert [str(request.url) for request in sent] == [
        "https://api.acme.example/info",
        "https://api.acme.example/info/2",
    ]
    assert details(seen)[0].startswith("info malformed: its next page is at https://other.example, and the key goes")
    assert seen.readings == ()


@pytest.mark.parametrize(
    ("place", "bodies"),
    [
        pytest.param("page.after", [{"page": {"size": 2}}, {"page": {"size": 2, "after": "a"}}], id="beside others"),
        pytest.param("page.size", [{"page": {"size": 2}}, {"page": {"size": "a"}}], id="in place of the first"),
        pytest.param("cursor", [{"page": {"size": 2}}, {"page": {"size": 2}, "cursor": "a"}], id="at the top"),
        pytest.param(
            "a.b.c", [{"page": {"size": 2}}, {"page": {"size": 2}, "a": {"b": {"c": "a"}}}], id="in new tables"
        ),
    ],
)
def test_a_cursor_goes_into_the_body(tmp_path: Path, place: str, bodies: list[dict[str, Any]]) -> None:
    provider = make(tmp_path, POSTED.replace("page.after", place))
    seen, sent = ask(provider, in_turn({"data": [], "total": 1, "next": "a"}, {"data": []}))
    assert seen.outages == ()
    assert [json.loads(request.content) for request in sent] == [{**body, "since": "2026-05-01"} for body in bodies]
    assert {(request.method, str(request.url)) for request in sent} == {("POST", "https://api.acme.example/info")}


def test_a_cursor_that_is_a_number_stays_one_in_the_body(tmp_path: Path) -> None:
    _, sent = ask(
        make(tmp_path, POSTED), in_turn({"data": [], "total": 1, "next": 2}, {"data": [], "next": 0}, {"data": []})
    )
    assert [json.loads(request.content)["page"].get("after") for request in sent] == [None, 2, 0]


# --- however it is cut


def plan(**keys: object) -> PagesPlan:
    return _plan_pages(PagesTable.model_validate(keys))


WAYS = {
    "link": plan(items="a.data", link="a.next"),
    "header": plan(items="a.data", link_header=True),
    "json": plan(items="a.data", cursor="a.next", json="page"),
    "cursor": plan(items="a.data", cursor="a.next", query="page"),
    "number": plan(items="a.data", number="page", more="a.more"),
}


@pytest.mark.parametrize("way", WAYS)
@given(parts=st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=19))
def test_a_list_cut_anywhere_is_the_list(way: str, parts: list[list[int]]) -> None:
    pages = Pages(plan=WAYS[way], redact=hide(KEY))
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        link = {} if is_last else {"link": f"<n{number}>; rel=next"}
        next_ = None if is_last else f"n{number}"
        turn = pages.add({"a": {"data": part, "next": next_, "more": not is_last}, "b": 1}, link)
        assert (turn is None) == is_last
    whole = [item for part in parts for item in part]
    assert pages.bind({"a": {"data": parts[0], "next": "n0"}, "b": 1}) == {"a": {"data": whole, "next": "n0"}, "b": 1}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers().map(Decimal) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "data", "next", "more"]), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("way", WAYS)
@given(documents=st.lists(ANYTHING, min_size=1, max_size=4))
def test_any_answer_is_a_page_or_refused(way: str, documents: list[object]) -> None:
    pages = Pages(plan=WAYS[way], redact=hide(KEY))
    for document in documents:
        try:
            turn = pages.add(document, {"link": "</2>; rel=next"} if document else {})
        except MalformedError:
            return
        if turn is None:
            break
    pages.bind(documents[0])
