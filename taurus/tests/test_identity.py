"""Cookies and authorization that a scenario gives."""

import pytest
from bzt import TaurusConfigError
from conftest import one

BASIC = b"\r\nAuthorization: Basic bWU6c2VjcmV0\r\n"


def test_cookies_go_where_they_belong(translate):
    def sent(url, **cookie):
        cookie = {"name": "a", "value": "1", "domain": "h"} | cookie
        return b"\r\nCookie: a=1\r\n" in one(translate, url, cookies=[cookie])[1]

    assert sent("/x") and sent("http://H/") and sent("/x/y", path="/x") and sent("/x?q", path="/x")
    assert not sent("http://other/") and not sent("http://sub.h/") and not sent("/xy", path="/x")
    assert sent("http://sub.h/", domain=".h") and not sent("http://subh/", domain=".h")
    assert sent("https://h/", secure=True) and not sent("/", secure=True)


def test_several_cookies_are_one_header(translate):
    cookies = [{"name": name, "value": name * 2, "domain": "h"} for name in "ab"]
    assert b"\r\nCookie: a=aa; b=bb\r\n" in one(translate, "/", cookies=cookies)[1]
    own = {"url": "/", "headers": {"cookie": "c=1"}}
    payload = one(translate, own, cookies=cookies)[1]
    assert b"\r\ncookie: c=1\r\n" in payload and b"Cookie: " not in payload


def test_authorization_in_each_form(translate, notes):
    entry = {"url": "http://h:81/a", "name": "me", "password": "secret", "mechanism": "basic"}
    for form in (entry, [entry], {"clear": True, "list": [entry]}):
        assert BASIC in one(translate, "/a/b", authorization=form)[1]
        assert BASIC not in one(translate, "/b", authorization=form)[1]
        assert BASIC not in one(translate, "http://other/a", authorization=form)[1]
    entry["domain"] = "h"
    assert BASIC in one(translate, "/b", authorization=entry | {"url": None})[1]
    assert not notes.said


def test_what_isnt_basic_is_told(translate, notes):
    entry = {"url": "http://x:y@h:81/", "name": "me", "password": "secret"}
    assert BASIC in one(translate, "/", authorization=entry)[1]
    for mechanism in ("digest", "kerberos"):
        asked = entry | {"mechanism": mechanism}
        assert b"Authorization" not in one(translate, "/", authorization=asked)[1]
    for word in ("never Digest", "no DIGEST", "no KERBEROS"):
        assert any(word in text for text in notes.said), word
    assert not any("secret" in text or "x:y" in text for text in notes.said)


@pytest.mark.parametrize(
    ("scenario", "named"),
    [
        ({"cookies": [{"name": "a", "value": "secret"}]}, "'a' has no domain"),
        ({"cookies": {"a": "secret"}}, "cookies: write a list"),
        ({"authorization": {"name": "me", "password": "secret"}}, "url or domain"),
        ({"authorization": "secret"}, "authorization: write"),
    ],
)
def test_mistakes_are_named_without_their_values(translate, scenario, named):
    with pytest.raises(TaurusConfigError, match=named) as error:
        one(translate, "/", **scenario)
    assert "secret" not in str(error.value)
