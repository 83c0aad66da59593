package http

import (
	"context"
	"errors"
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"
)

// batchEnd is the end of a request of a batch. It has no outcome if the request wasn't sent.
type batchEnd struct {
	at      int
	outcome *Outcome
}

// batch implements batch(requests). The requests of an array or an object are made at once, as
// far as the test's batch and batchPerHost allow.
func (client *Client) batch(jsCall sobek.FunctionCall) sobek.Value {
	state := client.stateFor()
	runtime := client.vu.Runtime()
	if len(jsCall.Arguments) == 0 {
		common.Throw(runtime, errors.New("no argument was provided to http.batch()"))
	} else if len(jsCall.Arguments) > 1 {
		common.Throw(runtime, errors.New("http.batch() accepts only an array or an object of requests"))
	}
	requests, ok := jsCall.Argument(0).(*sobek.Object)
	if !ok || requests.ClassName() != "Array" && requests.ClassName() != "Object" {
		common.Throw(runtime, fmt.Errorf("invalid http.batch() argument type %T", jsCall.Argument(0).Export()))
	}
	keys := requests.Keys()
	calls := make([]*call, 0, len(keys))
	responses := make([]*Response, len(keys))
	var failure error
	for at, key := range keys {
		call, err := client.entry(state, key, requests.Get(key))
		if err != nil {
			responses[at] = client.failed(err)
			failure = err
			break
		}
		calls = append(calls, call)
	}
	switch {
	case failure == nil:
		failure = client.together(client.vu.Context(), state, calls, responses)
		if failure != nil {
			common.Throw(runtime, failure)
		}
	case state.Options.Throw.Bool:
		common.Throw(runtime, failure)
	default:
		state.Logger.WithField("error", failure).Warn("A batch request failed")
	}
	if requests.ClassName() == "Array" {
		values := make([]any, len(responses))
		for at, response := range responses {
			values[at] = response
		}
		return runtime.NewArray(values...)
	}
	result := runtime.NewObject()
	for at, key := range keys {
		_ = result.Set(key, responses[at]) // can't fail on a new plain object
	}
	return result
}

func (client *Client) entry(state *lib.State, key string, entry sobek.Value) (*call, error) {
	given, err := batchEntry(key, entry)
	if err != nil {
		return nil, err
	}
	return client.parse(state, given)
}

// together makes the calls, and returns the first error to throw.
func (client *Client) together(ctx context.Context, state *lib.State, calls []*call, responses []*Response) error {
	// The channel has room for all, because reporting an end must not block.
	ends := make(chan batchEnd, len(calls))
	limits := newLimits(int(state.Options.Batch.Int64), int(state.Options.BatchPerHost.Int64))
	start := func(at int, request *Request) {
		if request == nil {
			ends <- batchEnd{at, nil}
			return
		}
		client.exchanger.Start(request, func(outcome *Outcome) { ends <- batchEnd{at, outcome} })
	}
	waiting := make([]int, len(calls))
	for at := range calls {
		waiting[at] = at
	}
	done := ctx.Done()
	var first error
	for left := len(calls); left > 0; {
		still := waiting[:0]
		for position, at := range waiting {
			if limits.full() {
				still = append(still, waiting[position:]...)
				break
			}
			if !limits.take(calls[at].host()) {
				still = append(still, at)
				continue
			}
			if state.RPSLimit != nil {
				// Wait fails if the iteration is over. Then the request ends at once.
				_ = state.RPSLimit.Wait(ctx)
			}
			start(at, calls[at].begin())
		}
		waiting = still
		if ctx.Err() != nil {
			client.exchanger.Cancel()
		}
		select {
		case end := <-ends:
			call := calls[end.at]
			if end.outcome != nil {
				if next := call.step(end.outcome); next != nil {
					start(end.at, next)
					continue
				}
			}
			limits.give(call.host())
			left--
			response, err := call.result()
			responses[end.at] = response
			if first == nil {
				first = err
			}
		case <-done:
			client.exchanger.Cancel()
			done = nil
		}
	}
	return first
}

// limits are the most requests of a batch in flight; 0 means no limit.
type limits struct {
	all, each int
	inFlight  int
	byHost    map[string]int
}

func newLimits(all, each int) *limits {
	return &limits{all: all, each: each, byHost: map[string]int{}}
}

func (limits *limits) full() bool { return limits.all > 0 && limits.inFlight >= limits.all }

func (limits *limits) take(host string) bool {
	if limits.each > 0 && limits.byHost[host] >= limits.each {
		return false
	}
	limits.inFlight++
	limits.byHost[host]++
	return true
}

func (limits *limits) give(host string) {
	limits.inFlight--
	limits.byHost[host]--
}

// host returns the host that counts for batchPerHost.
func (call *call) host() string { return call.named.GetURL().Host }
