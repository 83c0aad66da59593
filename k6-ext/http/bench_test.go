package http

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/metrics"
)

// at once, and nothing of a network: what is left is the cost of a request in Go.
type atOnce struct{}

func (atOnce) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", Request: request, Body: io.NopCloser(strings.NewReader("200")),
		Header: http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"3"}, "Server": {"one"}},
	}, nil
}

var answered = failing{Outcome{
	Status: 200, Body: []byte("200"), Timing: Timing{1, -1, 2, 3, 4},
	Header: []Field{{"content-type", "text/plain"}, {"content-length", "3"}, {"server", "one"}},
}}

func BenchmarkGet(b *testing.B) {
	t := &testing.T{}
	k6 := ofK6(t)
	k6.VU.State().Transport = atOnce{}
	for name, script := range map[string]*script{
		"k6":         k6,
		"ours":       over(t, answered),
		"ours, http": with(t, answered, Families{HTTP: true}),
		"ours, wrpc": with(t, answered, Families{WRPC: true}),
	} {
		b.Run(name, func(b *testing.B) {
			samples := make(chan metrics.SampleContainer, 1000)
			script.VU.State().Samples = samples
			go func() {
				for range samples {
				}
			}()
			defer close(samples)
			_, err := script.VU.Runtime().RunString(`function one() { http.get("http://localhost:8000/status/200").body; }`)
			require.NoError(b, err)
			one := script.VU.Runtime().Get("one")
			var call func() error
			require.NoError(b, script.VU.Runtime().ExportTo(one, &call))
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
