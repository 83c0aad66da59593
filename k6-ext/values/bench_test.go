package values

import (
	"encoding/hex"
	"testing"

	"github.com/grafana/sobek"
	"github.com/stretchr/testify/require"
)

// What it costs that a value crosses: a record in a list, a variant, an enum and flags.
func BenchmarkEncode(b *testing.B) {
	runtime := sobek.New()
	given := arguments(b, runtime, "[[{ x: 1, farY: -1 }, { x: 2, farY: 7 }], { tag: 'both', val: ['z', 0] }, 'light-green', ['a']]")
	function := every(b, "compound")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := function.Encode(given); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	wire, err := hex.DecodeString("0201017f0200027a0000000000000000010101")
	require.NoError(b, err)
	function := every(b, "echo-compound")
	runtime := sobek.New()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := function.Decode(runtime, wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBytes(b *testing.B) {
	wire := append([]byte{1, 'a', 0, 0x80, 0x80, 0x40}, make([]byte, 1<<20)...)
	wire = append(wire, make([]byte, 12)...)
	function := every(b, "echo-texts")
	runtime := sobek.New()
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := function.Decode(runtime, wire); err != nil {
			b.Fatal(err)
		}
	}
}
