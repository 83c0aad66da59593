package iteration

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/metrics"
)

// What ends an iteration's calls must not end those of the next one.
func TestTheEndOfAnIterationIsOverBeforeTheNextOne(t *testing.T) {
	var isGivenUp atomic.Bool
	promises := Promises{GiveUp: func() {
		time.Sleep(20 * time.Millisecond) // the goroutine that gives up is slow
		isGivenUp.Store(true)
	}}
	for range 2 {
		isGivenUp.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		promises.Begin(ctx)
		promises.Begin(ctx)
		cancel()
		promises.End()
		promises.End()
		require.True(t, isGivenUp.Load())
	}
}

func TestPromisesThatAreSettledInTimeAreNotGivenUp(t *testing.T) {
	promises := Promises{GiveUp: func() { t.Error("given up") }}
	ctx, cancel := context.WithCancel(t.Context())
	promises.Begin(ctx)
	promises.End()
	cancel()
}

// The contexts are made as k6 makes them.
func TestWhichSamplesAreEmitted(t *testing.T) {
	for name, test := range map[string]struct {
		ends        string // which context does
		isCancelled bool   // the call
		isEmitted   bool
	}{
		"in time":                        {"", false, true},
		"given up, in time":              {"", true, true},
		"the script threw":               {"iteration", true, true},
		"the script threw, call done":    {"iteration", false, true},
		"the run is over":                {"run", true, false},
		"the run is over, but call done": {"run", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			run, endRun := context.WithTimeout(t.Context(), time.Hour)
			defer endRun()
			iteration, endIteration := context.WithCancel(run)
			defer endIteration()
			switch test.ends {
			case "run":
				endRun()
			case "iteration":
				endIteration()
			}
			output := make(chan metrics.SampleContainer, 1)
			Push(iteration, output, metrics.Samples{}, test.isCancelled)
			require.Equal(t, test.isEmitted, len(output) == 1)
		})
	}
}

// A context of another make than k6's says nothing: then as k6's own modules do.
func TestAContextThatSaysNothing(t *testing.T) {
	require.True(t, isRunOver(context.Background()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	require.False(t, isRunOver(ctx))
}
