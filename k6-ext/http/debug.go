package http

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
)

// debugRequest logs a request if the option httpDebug is set.
func (call *call) debugRequest(request *Request) {
	if call.state.Options.HTTPDebug.String == "" {
		return
	}
	call.debugID = rand.Text()
	line := fmt.Sprintf("%s %s://%s%s", request.Method, request.Scheme, request.Authority, request.Target)
	call.debug("Request", line, request.Header, request.Body)
}

// debugOutcome logs the outcome of a request if the option httpDebug is set.
func (call *call) debugOutcome(outcome *Outcome) {
	if call.state.Options.HTTPDebug.String == "" {
		return
	}
	if outcome.Err != nil {
		call.debug("Error", outcome.Err.Error(), nil, "")
		return
	}
	call.debug("Response", statusText(outcome.Status), outcome.Header, textOf(outcome.Body))
}

func (call *call) debug(what, line string, header []Field, body string) {
	fields := logrus.Fields{
		"source": "http-debug", "vu": call.state.VUID, "iter": call.state.Iteration, "request_id": call.debugID,
	}
	for name, value := range call.tags.Tags.Map() {
		if _, taken := fields[name]; !taken {
			fields[name] = value
		}
	}
	var shown strings.Builder
	shown.WriteString(line + "\n")
	for _, field := range header {
		shown.WriteString(field.Name + ": " + field.Value + "\n")
	}
	if call.state.Options.HTTPDebug.String == "full" {
		shown.WriteString("\n" + body)
	}
	call.state.Logger.WithFields(fields).Infof("%s:\n%s\n", what, shown.String())
}
