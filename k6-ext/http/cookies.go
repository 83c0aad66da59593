package http

import (
	"net/http"
	"net/http/cookiejar"
	"strings"

	"go.k6.io/k6/v2/lib/netext/httpext"
)

// setCookies adds the cookies of the params and the jar to the header.
func (hop *hop) setCookies(jar *cookiejar.Jar, given map[string]*httpext.HTTPRequestCookie) {
	httpext.SetRequestCookies(&http.Request{URL: hop.url, Header: hop.header}, jar, given)
}

// requestCookies returns the cookies in a request's header, in the form of responses.
func requestCookies(header http.Header) map[string][]*httpext.HTTPRequestCookie {
	shown := map[string][]*httpext.HTTPRequestCookie{}
	if len(header["Cookie"]) == 0 {
		return shown
	}
	for _, cookie := range (&http.Request{Header: header}).Cookies() {
		one := &httpext.HTTPRequestCookie{Name: cookie.Name, Value: cookie.Value}
		shown[cookie.Name] = append(shown[cookie.Name], one)
	}
	return shown
}

// answerCookies returns the cookies that an answer sets.
func answerCookies(header []Field) []*http.Cookie {
	var lines []string
	for _, field := range header {
		if strings.EqualFold(field.Name, "set-cookie") {
			lines = append(lines, field.Value)
		}
	}
	if lines == nil {
		return nil
	}
	return (&http.Response{Header: http.Header{"Set-Cookie": lines}}).Cookies()
}

func shownCookies(cookies []*http.Cookie) map[string][]*httpext.HTTPCookie {
	shown := make(map[string][]*httpext.HTTPCookie, len(cookies))
	for _, cookie := range cookies {
		shown[cookie.Name] = append(shown[cookie.Name], &httpext.HTTPCookie{
			Name:     cookie.Name,
			Value:    cookie.Value,
			Domain:   cookie.Domain,
			Path:     cookie.Path,
			HTTPOnly: cookie.HttpOnly,
			Secure:   cookie.Secure,
			MaxAge:   cookie.MaxAge,
			// Without a date, this is the same number as in k6/http.
			Expires: cookie.Expires.UnixNano() / 1_000_000,
		})
	}
	return shown
}
