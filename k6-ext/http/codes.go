package http

import (
	"strings"

	"go.k6.io/k6/v2/lib/netext/httpext"
)

// invalidResponse is the code of an answer that breaks the rules of HTTP.
const invalidResponse = "invalid_response"

// handlerError is the code of a component that answered with an error instead of
// a response.
const handlerError = "handler_error"

// k6Error gives the error the number that k6/http has for the same thing.
func k6Error(failure *Error) error {
	// k6's type of codes isn't exported: only a constant becomes one.
	switch failure.Code {
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

// isToken is RFC 9110, section 5.6.2.
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

// isFieldValue is RFC 9110, section 5.5.
func isFieldValue(value string) bool {
	return !strings.ContainsAny(value, "\x00\r\n")
}
