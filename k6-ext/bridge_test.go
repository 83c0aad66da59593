package wrpc

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/encarno/encarno/k6-ext/http"
)

// Nobody reads the ends of calls any more: those in flight fail, and those that come.
func TestCallsFailWhenTheirEndsAreNotRead(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	bridge, err := openBridge()
	require.NoError(t, err)
	client, err := bridge.openClient(fmt.Appendf(nil, `{"nats":{"url":%q,"prefix":"test"}}`, server))
	require.NoError(t, err)
	link := &link{client: client}
	slow := &packet{waitMS: 60_000, timeout: time.Minute}
	request := &http.Request{Method: "GET", Scheme: "http", Authority: "there", Target: "/", Timeout: time.Minute}
	ended := make(chan string, 3)
	begun := make(chan struct{})
	notify := func(call *call) { ended <- call.completion.errorCode + ": " + call.completion.errorText }
	require.NoError(t, client.submit(packetID{}, slow, notify))
	go func() {
		close(begun)
		how, err := client.blast(context.Background(), packetID{}, slow)
		ended <- fmt.Sprint(how.errorCode, ": ", how.errorText, err)
	}()
	<-begun
	time.Sleep(50 * time.Millisecond) // into the call; it fails all the same if it begins later
	require.NoError(t, bridge.event.Close())
	for range 2 {
		select {
		case said := <-ended:
			require.Contains(t, said, "the ends of calls can't be read any more")
		case <-time.After(20 * time.Second):
			require.Fail(t, "a call doesn't end")
		}
	}
	_, err = client.blast(context.Background(), packetID{}, slow)
	require.ErrorContains(t, err, "can't be read any more")
	require.ErrorContains(t, client.submit(packetID{}, slow, notify), "can't be read any more")
	require.Equal(t, internal, link.Wait(context.Background(), request).Err.Code)
	link.Start(request, func(outcome *http.Outcome) { ended <- outcome.Err.Code })
	require.Equal(t, internal, <-ended)
}

// What comes for a call that has ended is dropped: the next one of the same tag doesn't
// get it.
func TestAnEndIsToldOnce(t *testing.T) {
	bridge := &bridge{}
	client := &client{bridge: bridge}
	var told []string
	notify := func(call *call) {
		told = append(told, call.completion.errorText)
		client.give(call)
	}
	first, err := client.begin(notify)
	require.NoError(t, err)
	first.end(completion{errorText: "one"})
	first.end(completion{errorText: "one again"})
	second, err := client.begin(notify)
	require.NoError(t, err)
	require.Same(t, first, second)
	second.end(completion{errorText: "two"})
	require.Equal(t, []string{"one", "two"}, told)

	// After a panic of the library an end may come or not: the call isn't used again.
	third, err := client.begin(notify)
	require.NoError(t, err)
	require.True(t, client.refused(third, statusPanic))
	fourth, err := client.begin(notify)
	require.NoError(t, err)
	require.NotSame(t, third, fourth)
	third.end(completion{errorText: "late"})
	require.Len(t, told, 2)
	require.True(t, client.refused(fourth, statusTooManyCalls))
	fifth, err := client.begin(notify)
	require.NoError(t, err)
	require.Same(t, fourth, fifth)
}

func TestALibraryOfAnotherVersionIsRefused(t *testing.T) {
	require.NoError(t, abiVersion(2, 2))
	err := abiVersion(2, 3)
	require.ErrorContains(t, err, "version 2")
	require.ErrorContains(t, err, "version 3")
	require.ErrorContains(t, err, "make k6")
	_, err = openBridge()
	require.NoError(t, err, "the library that is linked here")
}
