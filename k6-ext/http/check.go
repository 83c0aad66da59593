package http

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// check returns why the script's request can't be sent, or nil. k6/http notices these errors
// when it sends, so here, too, the request fails and nothing is thrown.
func (call *call) check() *Error {
	first := &call.first
	if first.method != "" && !isToken(first.method) {
		return invalid("the method %q must be a token such as GET", first.method)
	}
	if err := checkURL(first.url, call.named.URL); err != nil {
		return invalid("%s", err)
	}
	for name, values := range first.header {
		if !isToken(name) {
			return invalid("%q can't be a header's name", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return invalid("the value of the header %s has a line break or another control character", name)
			}
		}
	}
	if first.host != "" {
		if _, err := authority(first.host); err != nil {
			return invalid("the header Host: %s", err)
		}
	}
	if call.timeout <= 0 {
		return &Error{timedOut, "the timeout isn't above 0"}
	}
	return nil
}

func invalid(format string, arguments ...any) *Error {
	return &Error{InvalidRequest, fmt.Sprintf(format, arguments...)}
}

// urlBytesMax is the longest URL that all receivers and browsers accept.
const urlBytesMax = 65_000

// checkURL returns an error if no request can be sent to the URL.
func checkURL(parsed *url.URL, written string) error {
	switch {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return fmt.Errorf("the URL %q begins neither with http:// nor with https://", written)
	case parsed.Host == "":
		return fmt.Errorf("the URL %q has no host", written)
	}
	if _, err := authority(parsed.Host); err != nil {
		return fmt.Errorf("the URL %q: %w", written, err)
	}
	if length := len(parsed.Scheme) + len(parsed.Host) + len(target(parsed)); length > urlBytesMax {
		return fmt.Errorf("the URL is longer than %d bytes: it begins with %q", urlBytesMax, written[:min(len(written), 100)])
	}
	return nil
}

// authority returns the host, with a port if there is one, for a request: in ASCII, and without
// the zone of an IPv6 address.
func authority(host string) (string, error) {
	if zone := strings.IndexByte(host, '%'); zone >= 0 {
		if end := strings.IndexByte(host, ']'); end > zone {
			host = host[:zone] + host[end:]
		}
	}
	ascii, err := httpguts.PunycodeHostPort(host)
	if err != nil || !httpguts.ValidHostHeader(ascii) || strings.ContainsRune(ascii, '%') {
		return "", fmt.Errorf("%q can't be a host", host)
	}
	return ascii, nil
}

// target returns a URL's path and query for a request line. Characters that aren't allowed there
// are percent-encoded as in browsers. k6/http sends some of them in a query as they are, which
// not every server accepts.
func target(address *url.URL) string {
	written := address.RequestURI()
	if strings.IndexFunc(written, isEncoded) < 0 {
		return written
	}
	var encoded strings.Builder
	for at := 0; at < len(written); {
		char, size := utf8.DecodeRuneInString(written[at:])
		if isEncoded(char) {
			for _, octet := range []byte(written[at : at+size]) {
				fmt.Fprintf(&encoded, "%%%02X", octet)
			}
		} else {
			encoded.WriteString(written[at : at+size])
		}
		at += size
	}
	return encoded.String()
}

// isEncoded returns whether a character must be encoded. utf8.RuneError stands for bytes that
// aren't text.
func isEncoded(char rune) bool {
	switch char {
	case ' ', '"', '<', '>', '#', utf8.RuneError:
		return true
	}
	return unicode.IsControl(char)
}
