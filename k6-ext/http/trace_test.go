package http

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAShareOfRequestsBeginsTraces(t *testing.T) {
	var mutex sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		got = append(got, request.Header.Get("Traceparent"))
		if request.URL.Path == "/to" {
			http.Redirect(answer, request, "/there", http.StatusFound)
		}
	}))
	defer server.Close()
	run := func(share float64, code string) *script {
		got = nil
		script := configured(t, to(t, server.URL), func(config *Config) { config.Traced = share })
		_, err := script.run(code, server.URL)
		require.NoError(t, err)
		return script
	}

	script := run(1, `http.get(url + "/to"); http.get(url + "/", { headers: { traceparent: "00-1-2-00" } });`)
	require.Len(t, got, 3)
	require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`, got[0])
	require.Equal(t, got[0], got[1], "a redirect goes on with its trace")
	require.Equal(t, "00-1-2-00", got[2])
	var known []string
	for _, sample := range script.emitted()["http_reqs"] {
		known = append(known, sample.Metadata["trace_id"])
	}
	trace := strings.Split(got[0], "-")[1]
	require.Equal(t, []string{trace, trace, ""}, known)

	script = run(0.25, `for (let n = 0; n < 400; n++) http.get(url + "/");`)
	begun := 0
	for _, traceparent := range got {
		if traceparent != "" {
			begun++
		}
	}
	require.InDelta(t, 100, begun, 70) // eight standard deviations
	require.Len(t, script.emitted()["http_reqs"], 400)

	run(0, `http.get(url + "/");`)
	require.Equal(t, []string{""}, got)
}
