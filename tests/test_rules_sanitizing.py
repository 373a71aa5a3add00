"""What vendors and configs supply is made harmless, and stays so in all three formats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.formats import Block, Code, Format, Link, Row, escaped, write
from budgetd_rules.messages import Message
from budgetd_rules.sanitizing import addressed, condition, harmless, web_link
from nasty import TEXTS, assert_html, assert_markdown, assert_plain, message_of


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("USD", "USD", id="plain text stays"),
        pytest.param("Größe 100 € 日本", "Größe 100 € 日本", id="other alphabets stay"),
        pytest.param("rate_limit/pro-1.5", "rate_limit/pro-1.5", id="names stay"),
        pytest.param("a\r\nBcc: all", "a Bcc: all", id="line breaks"),
        pytest.param("a\u2028b\u2029c\x0bd\x85e", "a b c d e", id="other line breaks"),
        pytest.param("a\x00b\x1b[31mc\x7fd", "a b (31mc d", id="control characters"),
        pytest.param("a\u202eb\u2066c\u200ed\u061ce", "a b c d e", id="reversed text"),
        pytest.param("a\u200bb\ufeffc\u2060d\u00ade", "a b c d e", id="what is not seen"),
        pytest.param("a\U000e0041b\ue000c", "a b c", id="tags and private characters"),
        pytest.param("a\ud800b", "a b", id="half a character"),
        pytest.param("<b>x</b>", "‹b›x‹/b›", id="HTML"),
        pytest.param("<!channel> <@U123>", "‹!channel› ‹＠U123›", id="Slack's mentions"),
        pytest.param("@channel", "＠channel", id="a mention"),
        pytest.param("[pay](http://evil.example)", "(pay)(http: //evil.example)", id="a link"),
        pytest.param("<http://evil.example|pay>", "‹http: //evil.example¦pay›", id="Slack's link"),
        pytest.param("`x` *y*", "'x' ∗y∗", id="code and bold"),
        pytest.param("_x_ __y__ past_due a_ _b", "＿x＿ ＿＿y＿＿ past_due a＿ ＿b", id="underscores at a word's edge"),
        pytest.param("~~gone~~", "∼∼gone∼∼", id="struck out"),
        pytest.param("www.evil.example WWW.x", "www .evil.example WWW .x", id="a link without a scheme"),
        pytest.param("https://", "https: //", id="what would be a link with what follows"),
        pytest.param("  a \t  b  ", "a b", id="spaces"),
        pytest.param("\n", "", id="nothing is left"),
        pytest.param("x" * 120, "x" * 120, id="long"),
        pytest.param("x" * 121, "x" * 119 + "…", id="too long"),
        pytest.param("x" * 1_000_000, "x" * 119 + "…", id="far too long"),
    ],
)
def test_a_vendor_s_text_is_made_harmless(text: str, line: str) -> None:
    assert harmless(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("voice@acme.example", "voice@acme.example", id="a mail address"),
        pytest.param(
            "Jo <jo.x+y@acme.example>, z@b.example", "Jo ‹jo.x+y@acme.example›, z@b.example", id="with a name"
        ),
        pytest.param("@jo", "＠jo", id="a mention"),
        pytest.param("ask @jo or x@jo", "ask ＠jo or x＠jo", id="no domain"),
        pytest.param("x@everyone.example a@HERE.com", "x＠everyone.example a＠HERE.com", id="everyone"),
        pytest.param("x@123456789.example", "x＠123456789.example", id="somebody's number"),
        pytest.param("a@163.com", "a@163.com", id="a short number is a domain"),
        pytest.param("call #ops, then wait", "call #ops, then wait", id="plain text stays"),
    ],
)
def test_a_config_s_text_keeps_its_mail_addresses(text: str, line: str) -> None:
    assert addressed(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("remaining < 100", "remaining < 100", id="as it is"),
        pytest.param("a<b and b>=c", "a < b and b >= c", id="room around comparisons"),
        pytest.param("2*used>limit*3", "2 * used > limit * 3", id="room around products"),
        pytest.param("plan in ['<!here>', \"it's\"]", "plan in ['‹!here›', \"it's\"]", id="texts are harmless"),
        pytest.param("a < 1\n  or b < 2", "a < 1 or b < 2", id="one line"),
        pytest.param("status != 'a*b<c'", "status != 'a∗b‹c'", id="no room within a text"),
    ],
)
def test_a_condition(text: str, line: str) -> None:
    assert condition(text) == line


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param("https://a.example/b?c=1&d=2#e", "https://a.example/b?c=1&d=2#e", id="https"),
        pytest.param("HTTP://a.example", "HTTP://a.example", id="http"),
        pytest.param("https://[::1]:8080/x", "https://[::1]:8080/x", id="a port"),
        pytest.param("https://a.example/@jo/*x*", "https://a.example/%40jo/%2Ax%2A", id="mentions and emphasis"),
        pytest.param('https://a.example/"><b>|`', "https://a.example/%22%3E%3Cb%3E%7C%60", id="what ends a link"),
        pytest.param("https://a.example/a b", "https://a.example/a%20b", id="a space"),
        pytest.param("https://bank.example@evil.example/", None, id="a hidden host"),
        pytest.param("https://bank.example\\@evil.example/", None, id="a hidden host, by a backslash"),
        pytest.param("javascript:alert(1)", None, id="a script"),
        pytest.param("ftp://a.example", None, id="another scheme"),
        pytest.param("ask Jo", None, id="no address"),
        pytest.param("https://", None, id="nothing"),
        pytest.param("see https://a.example", None, id="more than an address"),
    ],
)
def test_a_link_of_the_config(text: str, url: str | None) -> None:
    assert web_link(text) == url


@given(st.text(st.characters(), max_size=200))
def test_what_is_harmless_stays_so(text: str) -> None:
    assert harmless(harmless(text)) == harmless(text)
    assert len(harmless(text)) <= 120


# --- in three formats

BLOCKS = [
    Block(
        (Row("5 < 6", (", a [b] & c",)), Row("Ack:", (" ", Code("x < 1"))), Row("", (Link("https://a.example/?b&c"),)))
    ),
    Block((Row("#1"),)),
]


@pytest.mark.parametrize(
    ("to", "text"),
    [
        (Format.TEXT, "5 < 6, a [b] & c\nAck: x < 1\nhttps://a.example/?b&c\n\n#1"),
        (
            Format.MARKDOWN,
            "**5 \\< 6**, a \\[b\\] & c  \n**Ack:** `x < 1`  \n<https://a.example/?b&c>\n\n**\\#1**",
        ),
        (
            Format.HTML,
            (
                "<p><b>5 &lt; 6</b>, a [b] &amp; c<br/><b>Ack:</b> <tt>x &lt; 1</tt><br/>"
                '<a href="https://a.example/?b&amp;c">https://a.example/?b&amp;c</a></p>\n<p><b>#1</b></p>'
            ),
        ),
    ],
)
def test_formats(to: Format, text: str) -> None:
    assert write(BLOCKS, to) == text


@pytest.mark.parametrize(
    ("text", "to", "line"),
    [
        ("a-b #1 (x_y) 5.", Format.MARKDOWN, "a-b #1 (x_y) 5."),
        ("# a", Format.MARKDOWN, "\\# a"),
        ("- a", Format.MARKDOWN, "\\- a"),
        ("-5", Format.MARKDOWN, "-5"),
        ("<'&\">", Format.HTML, "&lt;&#x27;&amp;&quot;&gt;"),
        ("<", Format.TEXT, "<"),
    ],
)
def test_a_text_escaped(text: str, to: Format, line: str) -> None:
    assert escaped(text, to) == line


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_becomes_markup(text: str, several: bool) -> None:
    assert_no_markup(message_of(text, several=several), message_of("x", several=several))


def assert_no_markup(message: Message, plain: Message) -> None:
    assert_plain(message.title)
    assert_plain(message.body)
    assert message.body.count("\n") == plain.body.count("\n")
    assert_markdown(write(message.blocks, Format.MARKDOWN), write(plain.blocks, Format.MARKDOWN))
    assert_html(write(message.blocks, Format.HTML), write(plain.blocks, Format.HTML))


@given(st.text(st.characters(), min_size=1, max_size=80).filter(harmless))
def test_no_text_at_all_becomes_markup(text: str) -> None:
    assert_no_markup(message_of(text), message_of("x"))
