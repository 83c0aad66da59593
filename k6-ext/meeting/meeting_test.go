package meeting

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOneMakesTheValueAndAllGetIt(t *testing.T) {
	turn, _, err := Once(t.Context(), t.Name())
	require.NoError(t, err)
	require.NotNil(t, turn)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			turn, value, err := Once(t.Context(), t.Name())
			require.NoError(t, err)
			require.Nil(t, turn)
			require.Equal(t, `{"a":1}`, value)
		})
	}
	require.NoError(t, turn.End(`{"a":1}`))
	group.Wait()

	turn, _, err = Once(t.Context(), "fails")
	require.NoError(t, err)
	turn.Fail("no luck")
	_, _, err = Once(t.Context(), "fails")
	require.EqualError(t, err, "no luck")

	_, _, err = Once(t.Context(), "waits")
	require.NoError(t, err)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = Once(cancelled, "waits")
	require.ErrorIs(t, err, context.Canceled)
}

func TestABarrierOpensWhenAllAreThere(t *testing.T) {
	var group sync.WaitGroup
	for range 7 {
		group.Go(func() { require.NoError(t, Barrier(t.Context(), t.Name(), 8)) })
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Barrier(cancelled, "alone", 2), context.Canceled)
	require.NoError(t, Barrier(t.Context(), t.Name(), 8))
	group.Wait()
	require.NoError(t, Barrier(t.Context(), t.Name(), 8), "later ones pass")
}

// agent serves one connection with these answers, and returns what it was asked.
func agent(t *testing.T, answers ...string) <-chan []string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	t.Setenv(variable, listener.Addr().String()+"/secret")
	asked := make(chan []string, 1)
	go func() {
		stream, err := listener.Accept()
		if err != nil {
			return
		}
		defer stream.Close()
		reader, lines := bufio.NewReader(stream), []string(nil)
		for _, answer := range answers {
			text, err := reader.ReadString('\n')
			if err != nil {
				break
			}
			lines = append(lines, text)
			if answer == "" {
				break
			}
			_, _ = stream.Write([]byte(answer + "\n"))
		}
		asked <- lines
	}()
	return asked
}

func TestVUsMeetThroughTheirAgent(t *testing.T) {
	asked := agent(t, `{"yours": true}`, `{"value": "[1]"}`)
	turn, _, err := Once(t.Context(), "name")
	require.NoError(t, err)
	require.NoError(t, turn.End("[1]"))
	require.Equal(t, []string{
		"{\"secret\":\"secret\",\"once\":\"name\"}\n", "{\"value\":\"[1]\"}\n",
	}, <-asked)

	asked = agent(t, `{"value": "5"}`)
	turn, value, err := Once(t.Context(), "name")
	require.NoError(t, err)
	require.Nil(t, turn)
	require.Equal(t, "5", value)
	<-asked

	agent(t, `{"error": "nobody made it"}`)
	_, _, err = Once(t.Context(), "name")
	require.EqualError(t, err, "nobody made it")

	asked = agent(t, `{}`)
	require.NoError(t, Barrier(t.Context(), "start", 3))
	require.Equal(t, []string{"{\"secret\":\"secret\",\"barrier\":\"start\",\"parties\":3}\n"}, <-asked)

	agent(t, "")
	require.ErrorIs(t, Barrier(t.Context(), "start", 3), errGone)
	agent(t, "nonsense")
	require.ErrorIs(t, Barrier(t.Context(), "start", 3), errGone)
	agent(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = Barrier(ctx, "start", 3)
	require.True(t, errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errGone), err)
}
