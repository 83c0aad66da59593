package http

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"go.k6.io/k6/v2/lib/netext/httpext"
)

// InvalidRequest is the only code for a script's request that can't be sent. It isn't in the
// library's list, because such a request is refused before it becomes a call.
const InvalidRequest = "invalid_request"

// Codes of the library's list that this package uses.
const (
	invalidResponse = "invalid_response" // the answer breaks the rules of HTTP
	handlerError    = "handler_error"    // the component returned an error instead of an answer
	cancelled       = "cancelled"        // the test or the iteration ended
	timedOut        = "timeout"
)

// IsOfTransport returns whether the transport or the receiver caused an error with this code,
// and not the component, the script, or the end of the iteration.
func IsOfTransport(code string) bool {
	switch code {
	case "", cancelled, "guest_trap", "guest_limit", handlerError, InvalidRequest, invalidResponse:
		return false
	}
	return true
}

// k6Error returns the error with the number and the text that k6/http has for it.
func k6Error(failure *Error) error {
	// k6's type of codes isn't exported, so each code must be a constant.
	switch failure.Code {
	case timedOut:
		return httpext.NewK6Error(1050, "request timeout", failure)
	case "unresolved_host":
		return httpext.NewK6Error(1101, failure.Error(), failure)
	case "connection_refused":
		return httpext.NewK6Error(1212, failure.Error(), failure)
	case "connection_lost":
		return httpext.NewK6Error(1220, failure.Error(), failure)
	case "tls_failure":
		return httpext.NewK6Error(1300, failure.Error(), failure)
	default:
		return httpext.NewK6Error(1000, failure.Error(), failure)
	}
}

// codeOf returns the number and the text of an error for a response.
func codeOf(err error) (int, string) {
	if known, ok := errors.AsType[httpext.K6Error](err); ok {
		return int(known.Code), known.Message
	}
	return 1000, err.Error()
}

// isToken returns whether a name is a token: RFC 9110, section 5.6.2.
func isToken(name string) bool {
	for _, char := range []byte(name) {
		switch {
		case 'a' <= char && char <= 'z', 'A' <= char && char <= 'Z', '0' <= char && char <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", char) >= 0:
		default:
			return false
		}
	}
	return name != ""
}

// isFieldValue returns whether a header may have this value: RFC 9110, section 5.5.
func isFieldValue(value string) bool {
	return !strings.ContainsAny(value, "\x00\r\n")
}

// check returns an error if the peer's answer breaks the rules of HTTP.
func (outcome *Outcome) check() *Error {
	if outcome.Err != nil {
		return outcome.Err
	}
	if outcome.Status < 200 || outcome.Status > 999 {
		return &Error{invalidResponse, fmt.Sprintf("the answer has the status %d", outcome.Status)}
	}
	for at := range outcome.Header {
		field := &outcome.Header[at]
		if !isToken(field.Name) || !isFieldValue(field.Value) {
			return &Error{invalidResponse, fmt.Sprintf("the answer's header %q isn't one", field.Name)}
		}
		// Blanks around a value aren't part of it: RFC 9110, section 5.5.
		field.Value = textproto.TrimString(field.Value)
	}
	return nil
}
