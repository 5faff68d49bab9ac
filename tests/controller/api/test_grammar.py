import pytest

from controller.api import grammar
from controller.api.grammar import Form

GOOD: dict[Form, tuple[str, ...]] = {
    grammar.WEIGHT: ("0", "1", "9", "10", "99", "100"),
    grammar.DURATION: ("1s", "10m", "24h", "99999s"),
    grammar.STEP: ("1", "100", "5/10m", "50/1h"),
    grammar.HEADER: ("X-Account", "x", "A" * 63, "Contents", "X-Forward", "Tea"),
    grammar.ACCOUNT: ("alice", "7", "Tom.K", "a@b.example", "a+b", "a~_-", "x" * 64, "alwayss"),
    grammar.ENDING: ("7", "00-04", "ffff", "00a0-00af"),
    grammar.COOKIE: ("beta-shop", "b", "_x", "9", "c" * 64),
    grammar.PAIR: ("beta=1", "a.b~c-d_e=F", f"{'n' * 64}={'v' * 128}"),
    grammar.REPLICAS: ("auto", "1", "9999", "1%", "99%", "100%"),
    grammar.PROMOTION: ("manual", "auto", "shift-then-roll", "in-place"),
    grammar.CHECK: (
        "error-rate",
        "latency<=1.5x",
        "error-rate>=0.25%",
        "latency<=-1x",
        "latency-500ms",
        "latency-2s<=1.2x",
        "restarts",
        "coverage>=95%",
    ),
    grammar.THRESHOLD: ("0", "-1", "999999999.999999", "01"),
    grammar.OBJECT_NAME: ("a", "shop", "shop-2", "0a", "n" * 63),
    grammar.REFUSAL: ("affinity", "recreate"),
    grammar.REVISION: ("4f9d1c02ab", "a", "r" * 63),
    grammar.ACTION: ("promote:4f9d", "retry:a", "abort", "pause", "continue", "abort:4f9d"),
    grammar.HEADER_VALUE: ("alice", "tom.k", "a:b/c~_-", "v" * 128),
    grammar.PATH: ("/", "/api", "/a.b_c-d/e/", "/" + "p" * 255),
    grammar.HOST: ("", "shop", "shop.example", "*.example", "a-b.c-d.example", "h" * 63),
    grammar.PORT_NAME: ("http", "a", "8080a", "a1-b2", "p" * 15),
}

BAD: dict[Form, tuple[str, ...]] = {
    grammar.WEIGHT: ("", "101", "1000", "-1", "+5", "05", "00", "5.0", "5%", "1e1", "five"),
    grammar.DURATION: ("", "0s", "10", "10 m", "1d", "1m30s", "01m", "100000s", "10M", "-1s"),
    grammar.STEP: ("", "0", "0/10m", "101", "5/", "/10m", "5/10m/10m", "5%/10m", "05"),
    grammar.HEADER: ("", "1-Account", "-a", "X_Account", "X Account", "X:A", "A" * 64),
    grammar.ACCOUNT: ("", ".a", "@a", "-a", "a/b", "a:b", "a*", "a b", "a,b", "x" * 65),
    grammar.ENDING: ("", "A", "FF", "00000", "0-", "-4", "0--4", "0-4-8", "0..4", "g"),
    grammar.COOKIE: ("", "Beta", "a.b", "a b", "a=b", "c" * 65),
    grammar.PAIR: ("", "beta", "beta=", "=1", "a=b=c", "a=b&c=d", "a=%41", "a=" + "v" * 129),
    grammar.REPLICAS: ("", "0", "01", "10000", "0%", "101%", "50 %", "Auto", "-1", "1.5"),
    grammar.PROMOTION: ("", "Auto", "automatic", "in_place", "inplace", "manual auto"),
    grammar.CHECK: (
        "",
        "errors",
        "latency<1x",
        "latency<=1",
        "latency<=x",
        "latency<=nan%",
        "latency<=infx",
        "latency<=1e3x",
        "latency <= 1x",
        "latency-500",
        "latency-05s",
        "Latency",
    ),
    grammar.THRESHOLD: ("", "+1", ".5", "1.", "1.0000000", "1234567890", "nan", "inf", "1e3"),
    grammar.OBJECT_NAME: ("", "Shop", "-a", "a-", "a.b", "other/shop", "a_b", "n" * 64),
    grammar.REFUSAL: ("", "Affinity", "all", "affinity recreate"),
    grammar.REVISION: ("", "4F9D", "a-b", "r" * 64),
    grammar.ACTION: (
        "",
        "promote",
        "retry",
        "promote:",
        "abort:",
        "Abort",
        "resume",
        "promote:4F",
        "promote: 4f9d",
        "promote:a:b",
        "pause:" + "r" * 64,
    ),
    grammar.HEADER_VALUE: ("", "a@b", "a+b", "a b", "a|b", "v" * 129),
    grammar.PATH: ("", "api", "/a b", "/a;b", "/a{b}", "/(.*)", "/a%20b", "/a?b", "/" + "p" * 256),
    grammar.HOST: (
        "Shop.example",
        "*",
        "*.",
        "*.*.example",
        "a.*.example",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a_b",
        "h" * 64,
        "a:80",
    ),
    grammar.PORT_NAME: ("", "80", "HTTP", "-a", "a-", "a_b", "p" * 16),
}


@pytest.mark.parametrize("form", grammar.FORMS, ids=lambda form: form.name)
def test_takes_what_the_form_allows(form: Form) -> None:
    assert [text for text in GOOD[form] if not form.fits(text)] == []


@pytest.mark.parametrize("form", grammar.FORMS, ids=lambda form: form.name)
def test_refuses_what_the_form_does_not_allow(form: Form) -> None:
    assert [text for text in BAD[form] if form.fits(text)] == []


STRAY = (
    "{}\n",
    "\n{}",
    "{}\r\n",
    "{}\t",
    "{}\x00",
    "{}\x7f",
    " {}",
    "{} ",
    "{}\u00a0",
    "{}\u0663",  # an Arabic digit, which `\d` takes without re.ASCII
    "{}\uff15",  # a full-width five
    "{}\u0430",  # a Cyrillic a
    "{}\u017f",  # a long s, which is an s to a search that ignores case
    "{}\u212a",  # the Kelvin sign
    "{}\ud800",
    "{}{{",
    "{}$",
    "{}|",
)


@pytest.mark.parametrize("form", grammar.FORMS, ids=lambda form: form.name)
def test_refuses_every_stray_character(form: Form) -> None:
    texts = [change.format(text) for change in STRAY for text in GOOD[form]]
    assert [text for text in texts if form.fits(text)] == []


@pytest.mark.parametrize(
    "header",
    [
        "Host",
        "host",
        "HOST",
        "Connection",
        "Content-Length",
        "content-type",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Authorization",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Real-IP",
        "Forwarded",
        "X-Original-URI",
    ],
)
def test_refuses_headers_that_proxies_use_themselves(header: str) -> None:
    assert not grammar.HEADER.fits(header)
    assert grammar.HEADER.denies(header)


@pytest.mark.parametrize("word", ["always", "never", "Always", "NEVER"])
def test_refuses_the_words_of_the_proxies_as_accounts(word: str) -> None:
    assert not grammar.ACCOUNT.fits(word)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("10m", 600),
        ("2h", 7200),
        ("168h", 604_800),
        ("10080m", 604_800),
        ("169h", None),
        ("10081m", None),
        ("99999h", None),
        ("99999s", 99_999),
        ("10", None),
    ],
)
def test_reads_durations_up_to_seven_days(text: str, seconds: int | None) -> None:
    assert grammar.seconds_of(text) == seconds


def test_a_host_ends_at_253_characters() -> None:
    labels = ["h" * 62] * 4
    assert grammar.is_safe_host(".".join([*labels, "x"]))
    assert not grammar.is_safe_host(".".join([*labels, "xx"]))
    assert not grammar.is_safe_host("a b")


def test_judges_what_was_read_by_the_same_table() -> None:
    assert grammar.is_safe_path("/api")
    assert not grammar.is_safe_path("/api\n")
    assert grammar.is_object_name("shop")
    assert not grammar.is_object_name("other/shop")


@pytest.mark.parametrize("port", [1, 80, 65_535, "http", "8080a"])
def test_takes_ports(port: object) -> None:
    assert grammar.is_port(port)


@pytest.mark.parametrize("port", [0, -1, 65_536, True, 80.0, None, "80", "", "http\n", "HTTP"])
def test_refuses_what_is_no_port(port: object) -> None:
    assert not grammar.is_port(port)


@pytest.mark.parametrize("control", ["\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9f"])
def test_sees_control_characters(control: str) -> None:
    assert grammar.has_control(f"a{control}b")
    assert not grammar.has_control("a b\u00e9")


def test_repeats_a_value_in_ascii_and_shortened() -> None:
    assert grammar.shown("5\n") == r"'5\n'"
    assert grammar.shown("\uff15") == r"'\uff15'"
    assert grammar.shown("x" * 60) == f"'{'x' * 60}'"
    assert grammar.shown("x" * 61) == f"'{'x' * 57}...'"
