package http

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sirupsen/logrus"
)

// redirect follows a redirect, by the rules of net/http's client and within k6's limit. It
// returns whether there is a next request.
func (call *call) redirect(outcome *Outcome) (bool, error) {
	last := call.now
	next := hop{method: last.method, bodiless: last.bodiless}
	switch outcome.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		next.bodiless = true
		if last.method != http.MethodGet && last.method != http.MethodHead {
			next.method = http.MethodGet
		}
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return false, nil
	}
	location := headerOf(outcome.Header, "location")
	if location == "" {
		return false, nil
	}
	written, err := url.Parse(location)
	if err != nil {
		return false, fmt.Errorf("failed to parse Location header %q: %w", location, err)
	}
	next.url = last.url.ResolveReference(written)
	next.text = next.url.String()
	if call.hops++; int64(call.hops) > call.redirects.Int64 {
		if !call.redirects.Valid {
			call.state.Logger.WithFields(logrus.Fields{"url": call.first.clean()}).Warnf(
				"Stopped after %d redirects and returned the redirection; pass { redirects: n }"+
					" in request params or set global maxRedirects to silence this", call.hops)
		}
		return false, nil
	}
	if err := checkURL(next.url, next.text); err != nil {
		return false, fmt.Errorf("redirected: %w", err)
	}
	if last.host != "" && last.host != last.url.Host && !written.IsAbs() {
		next.host = last.host
	}
	if last.url.Scheme == next.url.Scheme && last.url.Host == next.url.Host {
		next.user = last.user
	}
	call.response.URL = next.text
	call.emit(outcome, &last, nil, "")
	call.copyHeader(&next)
	if referer := refererOf(last.url, next.url, next.header.Get("Referer")); referer != "" {
		next.header.Set("Referer", referer)
	}
	if call.jar != nil {
		if cookies := answerCookies(outcome.Header); len(cookies) > 0 {
			call.jar.SetCookies(last.url, cookies)
		}
		next.header.Del("Cookie")
		next.setCookies(call.jar, call.cookies)
	}
	call.now = next
	return true, nil
}

// copyHeader copies the first request's header to the next one. It leaves out the fields of a
// body that isn't sent again, and secrets after a redirect to another host.
func (call *call) copyHeader(next *hop) {
	if next.url.Host != call.first.url.Host && !isWithin(next.url.Hostname(), call.first.url.Hostname()) {
		call.stripped = true
	}
	next.header = make(http.Header, len(call.first.header)+1)
	for name, values := range call.first.header {
		switch name {
		case "Authorization", "Www-Authenticate", "Cookie", "Cookie2", "Proxy-Authorization", "Proxy-Authenticate":
			if call.stripped {
				continue
			}
		case "Content-Encoding", "Content-Language", "Content-Location", "Content-Type":
			if next.bodiless {
				continue
			}
		}
		next.header[name] = values
	}
}

// isWithin returns whether a host is the other one or a subdomain of it. An address has no
// subdomains.
func isWithin(host, other string) bool {
	return host == other || !strings.ContainsAny(host, ":%") && strings.HasSuffix(host, "."+other)
}

// refererOf returns the header Referer: RFC 9110, section 10.1.3.
func refererOf(last, next *url.URL, given string) string {
	if last.Scheme == "https" && next.Scheme == "http" {
		return ""
	}
	if given != "" {
		return given
	}
	if last.User == nil {
		return last.String()
	}
	anonymous := *last
	anonymous.User = nil
	return anonymous.String()
}
