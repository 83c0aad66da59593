package wrpc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNobodyServesASubject(t *testing.T) {
	vu := newVU(t)
	vu.must(`const http = wrpc.http({nats: {url: "` + startNATS(t) + `", prefix: "nobody"}})`)
	vu.start()
	said := vu.must(`http.get("http://there/").error`).String()
	require.Contains(t, said, "nobody serves nobody.wrpc.0.0.1.wrpc:http/incoming-handler@0.1.0.handle on NATS")
}

// A script that guards itself as one for k6/http does sees that nobody answers.
func TestThresholdsOfK6SeeThatNobodyAnswers(t *testing.T) {
	for name, server := range map[string]string{"no receiver": startNATS(t), "no server": closedPort(t)} {
		for threshold, status := range map[string]int{
			`http_req_failed: ["rate<0.01"]`: 99, `http_reqs: ["count==3"]`: 0, `http_req_duration: ["p(95)>60000"]`: 99,
		} {
			t.Run(name+"/"+threshold, func(t *testing.T) {
				running := startFile(t, server, writeScript(t, `
					export const options = { iterations: 3, thresholds: {`+threshold+`} };
					export default function () { http.get("http://there/"); }`))
				require.Equal(t, status, running.wait(t, 60*time.Second), running.output.String())
			})
		}
	}
}

func TestTheOptionMetrics(t *testing.T) {
	vu := newVU(t)
	for code, said := range map[string]string{
		`wrpc.http({nats: {url: "a"}, metrics: "https"})`:             `metrics: "https" isn't known`,
		`wrpc.http({nats: {url: "a"}, metrics: ["http", 5]})`:         `metrics: "5" isn't known`,
		`wrpc.http({nats: {url: "a"}, metrics: []})`:                  "metrics: the list is empty",
		`wrpc.http({nats: {url: "a"}, metrics: {}})`:                  "metrics: ",
		`wrpc.http({nats: {url: "a"}, traceparent: 2})`:               "traceparent: the share",
		`wrpc.http({nats: {url: "a"}, traceparent: "1%"})`:            `traceparent: the share of calls that begin a trace is expected, from 0 to 1, not the string "1%"`,
		`wrpc.http({nats: {url: "a", prefx: 1}, metrics: "wrpc"})`:    "nats.prefx",
		`wrpc.blaster({nats: {url: "a"}, metrics: "wrpc"})`:           "metrics",
		`wrpc.http({tcp: {addr: "a"}, tags: {a: {}}, metrics: null})`: "tags.a",
	} {
		require.Contains(t, vu.mustFail("(() => {"+code+"})()"), said, code)
	}
	server := closedPort(t)
	vu.must(`const at = {nats: {url: "` + server + `"}}, tags = {of: "me"};
		const clients = [{...at}, {...at, metrics: "http"}, {...at, tags, metrics: ["wrpc"]}, {...at, metrics: ["http", "wrpc"]}]
			.map((options) => wrpc.http(options))`)
	vu.start()
	vu.must(`for (const http of clients) http.get("http://there/")`)
	require.Len(t, vu.emitted("http_reqs"), 3)
	require.Len(t, vu.emitted("wrpc_http_request"), 3)
	require.Equal(t, "me", tagOf(vu.emitted("wrpc_http_request")[1], "of"))
}
