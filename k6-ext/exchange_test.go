package wrpc

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/encarno/encarno/k6-ext/http"
)

// While an end is told, requests may be started, by whoever is told or by others:
// nothing is locked meanwhile.
func TestRequestsStartWhileOthersEnd(t *testing.T) {
	client, err := openClient(fmt.Appendf(nil, `{"nats":{"url":%q,"prefix":"nobody"}}`, startNATS(t)))
	require.NoError(t, err)
	link := &link{client: client}
	ended := make(chan string, 10)
	start := func(then func()) {
		request := &http.Request{Method: "GET", Scheme: "http", Authority: "there", Target: "/", Timeout: 20 * time.Second}
		link.Start(request, func(outcome *http.Outcome) {
			then()
			ended <- outcome.Err.Code
		})
	}
	start(func() {
		for range 9 { // more than have been in flight before
			start(func() {})
		}
	})
	for range cap(ended) {
		select {
		case code := <-ended:
			require.Equal(t, "no_responders", code)
		case <-time.After(20 * time.Second):
			require.Fail(t, "they don't end")
		}
	}
}
