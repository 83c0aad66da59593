package http

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
	"gopkg.in/guregu/null.v3"
)

// A run or an iteration that ends takes its requests along. Of a run, they leave no
// samples; of an iteration whose script threw, each is counted.
func TestTheEndGivesRequestsUp(t *testing.T) {
	tests := map[string]struct {
		code  string
		count int
	}{
		"get":   {`http.get("http://a/"); return "ended";`, 1},
		"async": {`await Promise.all([1, 2, 3].map(() => http.asyncRequest("GET", "http://a/"))); return "ended";`, 3},
		"batch": {`http.batch(["http://a/", "http://b/", "http://c/"]); return "ended";`, 3},
		"throw": {`try { await http.asyncRequest("GET", "http://a/", null, { throw: true }); } catch { return "ended"; }`, 1},
	}
	for name, test := range tests {
		for _, isOfRun := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", of the run: ", isOfRun), func(t *testing.T) {
				exchanger := &holding{begun: make(chan struct{}, 3)}
				script := over(t, exchanger)
				run, end := context.WithCancel(script.VU.CtxField)
				defer end()
				script.VU.CtxField, script.CancelContext = context.WithCancel(run)
				if !isOfRun {
					end = script.CancelContext
				}
				go func() {
					for range test.count {
						<-exchanger.begun
					}
					end()
				}()
				seen, err := script.run(test.code, "")
				require.NoError(t, err)
				require.Equal(t, `"ended"`, seen)
				emitted := script.emitted()["wrpc_http_request"]
				if isOfRun {
					require.Empty(t, emitted)
				} else {
					require.Len(t, emitted, test.count)
				}
				require.NotContains(t, script.log.String(), "Request Failed", "nobody cares any more")
			})
		}
	}
}

// k6 goes on with what is queued after the script threw: a redirect isn't followed then,
// and what was not sent isn't counted.
func TestNothingIsSentOnceTheIterationHasEnded(t *testing.T) {
	var requests []*Request
	script := over(t, redirecting{noting{&requests}})
	_, err := script.RunOnEventLoop(`http.asyncRequest("GET", "http://a/").then(() => { throw "settled before the end" })`)
	require.ErrorContains(t, err, "settled before the end", "it would be followed for ever")
	before := len(requests)
	require.Equal(t, 11, before, "ten redirects")
	script.emitted()
	var code = `http.asyncRequest("GET", "http://a/"); end(); throw new Error("on purpose")`
	require.NoError(t, script.VU.Runtime().Set("end", script.CancelContext))
	_, err = script.RunOnEventLoop(code)
	require.ErrorContains(t, err, "on purpose")
	require.Len(t, requests, before+1)
	require.Len(t, script.emitted()["wrpc_http_request"], 1)
}

func TestTheLimitOfRequestsASecondHolds(t *testing.T) {
	for name, code := range map[string]string{
		"get":   `for (let n = 0; n < 5; n++) http.get("http://a/");`,
		"async": `await Promise.all([1, 2, 3, 4, 5].map(() => http.asyncRequest("GET", "http://a/")));`,
		"batch": `http.batch([1, 2, 3, 4, 5].map(() => "http://a/"));`,
	} {
		t.Run(name, func(t *testing.T) {
			script := over(t, failing{Outcome{Status: 200}})
			script.VU.State().RPSLimit = rate.NewLimiter(100, 1)
			begun := time.Now()
			_, err := script.run(code, "")
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(begun), 35*time.Millisecond, "4 of 5 wait for 10 ms each")
			require.Len(t, script.emitted()["wrpc_http_request"], 5)
		})
	}
}

func TestAFailedRequestRejectsWhereItWouldThrow(t *testing.T) {
	script := over(t, failing{Outcome{Err: &Error{"no_responders", "nobody"}}})
	const code = `try { return (await http.asyncRequest("GET", "http://a/")).error; } catch (error) { return String(error); }`
	seen, err := script.run(code, "")
	require.NoError(t, err)
	require.Equal(t, `"no_responders: nobody"`, seen)
	script.VU.State().Options.Throw = null.BoolFrom(true)
	seen, err = script.run(code, "")
	require.NoError(t, err)
	require.Contains(t, seen, `no_responders: nobody`)
	require.Contains(t, seen, `Get \"http://a/\"`)
}

// Phases are the library's: what was not reached counts for the phase before it.
func TestTimings(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		timing Timing
		seen   string
	}{
		{Timing{1 * ms, -1, 3 * ms, 6 * ms, 10 * ms}, `[1,0,5,4,9]`},
		{Timing{1 * ms, -1, -1, 6 * ms, 10 * ms}, `[1,0,5,4,9]`},
		{Timing{1 * ms, -1, -1, -1, 10 * ms}, `[1,0,9,0,9]`},
		{Timing{-1, -1, -1, -1, 10 * ms}, `[10,0,0,0,0]`},
		// A body that follows is sent until then, or until the answer begins.
		{Timing{1 * ms, 4 * ms, 3 * ms, 6 * ms, 10 * ms}, `[1,3,2,4,9]`},
		{Timing{1 * ms, 8 * ms, 3 * ms, 6 * ms, 10 * ms}, `[1,5,0,4,9]`},
		{Timing{1 * ms, 10 * ms, 3 * ms, -1, 10 * ms}, `[1,9,0,0,9]`},
	} {
		outcome := Outcome{Status: 200, Timing: test.timing}
		if test.timing.Head < 0 {
			outcome.Err = &Error{"timeout", "late"}
		}
		script := over(t, failing{outcome})
		seen, err := script.run(`const t = http.get("http://a/").timings;
			return [t.blocked, t.sending, t.waiting, t.receiving, t.duration];`, "")
		require.NoError(t, err)
		require.Equal(t, test.seen, seen)
		var sending float64
		require.NoError(t, json.Unmarshal([]byte(strings.Split(seen, ",")[1]), &sending))
		emitted := script.emitted()
		require.Len(t, emitted["http_req_sending"], 1)
		require.Equal(t, sending, emitted["http_req_sending"][0].Value)
		require.Equal(t, test.timing.Sent >= 0, len(emitted["wrpc_http_queued"]) == 1)
		require.Equal(t, test.timing.Accepted >= 0, len(emitted["wrpc_http_accepted"]) == 1)
	}
}
