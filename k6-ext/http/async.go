package http

import (
	"context"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"
)

// asyncRequest implements asyncRequest(method, url, body, params). Nothing blocks: the event
// loop continues after the end of each request.
func (client *Client) asyncRequest(jsCall sobek.FunctionCall) sobek.Value {
	state := client.stateFor()
	runtime := client.vu.Runtime()
	parsed, err := client.parse(state, ofRequest(jsCall))
	promise, resolve, reject := runtime.NewPromise()
	settle := func(response *Response, err error) error {
		if err != nil {
			return reject(err)
		}
		return resolve(response)
	}
	if err != nil {
		response, err := client.unparsed(state, err)
		// Settling a new promise can't fail.
		_ = settle(response, err)
		return runtime.ToValue(promise)
	}
	ctx := client.vu.Context()
	client.promises.Begin(ctx)
	client.whenAllowed(ctx, state, func(err error) error {
		if err != nil {
			client.promises.End()
			return settle(nil, err)
		}
		return client.follow(ctx, parsed, parsed.begin(), settle)
	})
	return runtime.ToValue(promise)
}

// follow sends a request and the requests that follow from it, each from the event loop.
func (client *Client) follow(
	ctx context.Context, call *call, request *Request, settle func(*Response, error) error,
) error {
	if request != nil && ctx.Err() != nil {
		// k6 runs queued functions even after the script threw.
		call.giveUp()
		request = nil
	}
	if request == nil {
		client.promises.End()
		return settle(call.result())
	}
	enqueue := client.vu.RegisterCallback()
	client.exchanger.Start(request, func(outcome *Outcome) {
		enqueue(func() error { return client.follow(ctx, call, call.step(outcome), settle) })
	})
	if ctx.Err() != nil {
		// The requests may have been cancelled before this one was sent.
		client.exchanger.Cancel()
	}
	return nil
}

// whenAllowed calls goOn at once, or from the event loop when the test's limit of requests per
// second allows it.
func (client *Client) whenAllowed(ctx context.Context, state *lib.State, goOn func(error) error) {
	if state.RPSLimit == nil {
		_ = goOn(nil) // settles nothing yet
		return
	}
	wait := state.RPSLimit.Reserve().Delay()
	if wait == 0 {
		_ = goOn(nil)
		return
	}
	enqueue := client.vu.RegisterCallback()
	waited, stop := context.WithTimeout(ctx, wait)
	context.AfterFunc(waited, func() {
		enqueue(func() error {
			stop()
			return goOn(ctx.Err())
		})
	})
}
