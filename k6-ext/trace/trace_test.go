package trace

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/metrics"
)

func TestMetadataNameTheTrace(t *testing.T) {
	tags := metrics.TagsAndMeta{Tags: metrics.NewRegistry().RootTagSet()}
	known := Context{High: 0x0af7651916cd43dd, Low: 0x8448eb211c80319c, Span: 0xb7ad6b7169203331}
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", known.Traceparent())
	marked := known.Mark(tags)
	require.Equal(t, map[string]string{
		"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
	}, marked.Metadata)
	require.Empty(t, tags.Metadata, "the tags of the VU stay as they are")
	require.Equal(t, known, Of(marked.Metadata))

	known.Span = 0
	require.Equal(t, known, Of(known.Mark(tags).Metadata))
	require.Equal(t, tags, Context{}.Mark(tags))
	for _, id := range []string{"", "1", "0af7651916cd43dd8448eb211c80319", "xaf7651916cd43dd8448eb211c80319c"} {
		require.False(t, Of(map[string]string{"trace_id": id}).IsThere(), id)
	}
}

func TestAShareOfCallsBeginsATrace(t *testing.T) {
	begun := func(share float64) (count int) {
		for range 1000 {
			if Begin(share).IsThere() {
				count++
			}
		}
		return count
	}
	require.Zero(t, begun(0))
	require.Equal(t, 1000, begun(1))
	require.InDelta(t, 500, begun(0.5), 160, "ten standard deviations")
	require.NotEqual(t, Begin(1), Begin(1))
}
