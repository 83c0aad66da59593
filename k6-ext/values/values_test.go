package values

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/grafana/sobek"
	"github.com/stretchr/testify/require"
)

// every has a type of every kind: what the Rust library makes of every.wit, which a test
// there compares with this file.
func every(t testing.TB, name string) *Function {
	t.Helper()
	text, err := os.ReadFile("testdata/every.json")
	require.NoError(t, err)
	interfaces, err := Parse(text)
	require.NoError(t, err)
	function, err := interfaces.Function("test:all/every@1.2.0." + name)
	require.NoError(t, err)
	return function
}

func arguments(t testing.TB, runtime *sobek.Runtime, js string) []sobek.Value {
	t.Helper()
	value, err := runtime.RunString(js)
	require.NoError(t, err, js)
	var list []sobek.Value
	for index := range value.ToObject(runtime).Get("length").ToInteger() {
		list = append(list, value.ToObject(runtime).Get(runtime.ToValue(index).String()))
	}
	return list
}

func TestArgumentsAreWhatTheyAreInRust(t *testing.T) {
	text, err := os.ReadFile("testdata/answers.json")
	require.NoError(t, err)
	var answers []struct{ Function, JS, Wire string }
	require.NoError(t, json.Unmarshal(text, &answers))
	require.Greater(t, len(answers), 10)
	runtime := sobek.New()
	for _, answer := range answers {
		encoded, err := every(t, answer.Function).Encode(arguments(t, runtime, answer.JS))
		require.NoError(t, err, answer.JS)
		require.Equal(t, answer.Wire, hex.EncodeToString(encoded), answer.JS)
	}
}

func TestResultsAreWhatWasSent(t *testing.T) {
	for _, answer := range []struct{ function, wire, js string }{
		{
			"echo-numbers", "ffac02f0a204ffffffffffffffffff01ffff7e80808080788080808080808080807f",
			"[255, 300, 70000, 18446744073709551615n, -1, -129, -2147483648, -9223372036854775808n]",
		},
		{
			"echo-texts", "01e282ac0361c3b1030102ff0000003f00000000000002c0",
			"[true, '€', 'añ', [1, 2, 255], 0.5, -2.25]",
		},
		{
			"echo-compound", "0201017f0200027a0000000000000000010101",
			"[[{ x: 1, farY: -1 }, { x: 2, farY: null }], { tag: 'both', val: ['z', 0] }, 'light-green', ['a', 'long-one']]",
		},
		{"echo-nested", "010001010102", "[{ tag: 'some', val: null }, { tag: 'err' }, { tag: 'err', val: [1, 2] }]"},
		{"echo-nested", "0000000103", "[null, { tag: 'ok' }, { tag: 'ok', val: 3 }]"},
		{"compound", "00ffffffffffffffffff01", "({ tag: 'ok', val: 18446744073709551615n })"},
		{"nothing", "", "undefined"},
	} {
		runtime := sobek.New()
		wire, err := hex.DecodeString(answer.wire)
		require.NoError(t, err)
		value, err := every(t, answer.function).Decode(runtime, wire)
		require.NoError(t, err, answer.js)
		require.NoError(t, runtime.Set("got", value))
		same, err := runtime.RunString(`
			const text = (value) => JSON.stringify(value, (_, it) =>
				typeof it === "bigint" ? it + "n" : it instanceof ArrayBuffer ? [...new Uint8Array(it)] : it);
			const [mine, theirs] = [text(got), text(` + answer.js + `)];
			mine === theirs ? "" : mine + " is not " + theirs`)
		require.NoError(t, err)
		require.Empty(t, same.String())
		if len(wire) == 0 {
			continue
		}
		for cut := range wire {
			_, err := every(t, answer.function).Decode(runtime, wire[:cut])
			require.ErrorContains(t, err, "can't be decoded", "%s cut at %d", answer.wire, cut)
		}
		_, err = every(t, answer.function).Decode(runtime, append(wire, 0))
		require.ErrorContains(t, err, "1 bytes are left over")
	}
}

func TestErrorsNameTheValue(t *testing.T) {
	runtime := sobek.New()
	for _, bad := range []struct{ function, js, text string }{
		{"texts", "[true, 'a', '', [0, 1, 2, 300]]", "args[3][3]: 300 doesn't fit u8"},
		{"texts", "[1, 'a', '', []]", "args[0]: 1 isn't bool"},
		{"texts", "[true, 'ab', '', []]", `args[1]: the string "ab" isn't a string of one character (char)`},
		{"texts", "[true, 'a', '\\ud800', []]", "args[2]: the string has half of a surrogate pair, which no string has"},
		{"texts", "[true, 'a', undefined, []]", "args[2]: undefined isn't string"},
		{"texts", "[true, 'a', '', 5]", "args[3]: 5 isn't an ArrayBuffer, a Uint8Array, an array of bytes or a string (list<u8>)"},
		{"numbers", "[0, 0, 0, 2 ** 60, 0, 0, 0, 0]", "args[3]: 1152921504606847000 isn't exact: write it as a BigInt"},
		{"numbers", "[0, 0, 0, 2n ** 64n, 0, 0, 0, 0]", "args[3]: 18446744073709551616 doesn't fit u64"},
		{"numbers", "[0, 0, 0, -1n, 0, 0, 0, 0]", "args[3]: -1 doesn't fit u64"},
		{"numbers", "[0, 0, 0, 0, 128, 0, 0, 0]", "args[4]: 128 doesn't fit s8"},
		{"numbers", "[0, 0, 0, 0, 0, 0, 0, 2n ** 63n]", "args[7]: 9223372036854775808 doesn't fit s64"},
		{"numbers", "[0.5, 0, 0, 0, 0, 0, 0, 0]", "args[0]: 0.5 doesn't fit u8"},
		{"numbers", "[NaN, 0, 0, 0, 0, 0, 0, 0]", "args[0]: NaN doesn't fit u8"},
		{"numbers", "['1', 0, 0, 0, 0, 0, 0, 0]", `args[0]: the string "1" isn't u8`},
		{"numbers", "[1]", "it takes 8 arguments (a: u8, b: u16, c: u32, d: u64, e: s8, f: s16, g: s32, h: s64), and 1 was given"},
		{"floats", "[1e300, 0]", "args[0]: 1e+300 doesn't fit f32"},
		{"floats", "[1n, 0]", "args[0]: 1 isn't a number (f32)"},
		{"compound", "[[{ x: 1 }, { x: 256 }], 'none', 'red', []]", "args[0][1].x: 256 doesn't fit u8"},
		{"compound", "[[{}], 'none', 'red', []]", "args[0][0].x: it is missing: u8 is expected"},
		{"compound", "[[{ x: 1, z: 2 }], 'none', 'red', []]", "args[0][0].z: there is no such field: there are x, far-y"},
		{"compound", "[[3], 'none', 'red', []]", "args[0][0]: 3 isn't an object (point)"},
		{"compound", "[{}, 'none', 'red', []]", "args[0]: an object isn't an array (list<point>)"},
		{"compound", "[[], 'nun', 'red', []]", `args[1]: there is no case "nun": there are none, number, both`},
		{"compound", "[[], { tag: 'number' }, 'red', []]", "args[1].val: it is missing: number holds s16"},
		{"compound", "[[], { tag: 'none', val: 1 }, 'red', []]", "args[1].val: none holds nothing, not 1"},
		{"compound", "[[], { tag: 'both', val: ['z'] }, 'red', []]", "args[1].val: an array of 1 isn't an array of 2 (tuple)"},
		{"compound", "[[], 'none', 'green', []]", `args[2]: there is no case "green": there are red, light-green, blue`},
		{"compound", "[[], 'none', 'red', ['z']]", `args[3][0]: "z" is no flag: there are a, b, c, d, e, f, g, h, long-one`},
		{"nested", "[1, 'ok', 'ok']", `args[0]: 1 isn't an option within an option: write null or { tag: "some", val: … }`},
		{"nested", "[null, 'okay', 'ok']", `args[1]: there is no case "okay": there are ok, err`},
	} {
		_, err := every(t, bad.function).Encode(arguments(t, runtime, bad.js))
		require.EqualError(t, err, bad.text, bad.js)
	}
}

func TestResultsThatAreNone(t *testing.T) {
	runtime := sobek.New()
	for wire, text := range map[string]string{
		"02": "invalid result", "0180808080808080808080": "invalid unsigned integer", "01ffffffff0f": "truncated",
		"0101ff": "invalid UTF-8", "00ffffffffffffffffff7f": "invalid unsigned integer",
	} {
		bytes, err := hex.DecodeString(wire)
		require.NoError(t, err)
		_, err = every(t, "compound").Decode(runtime, bytes)
		require.ErrorContains(t, err, text, wire)
	}
}

func TestNamesOfFunctions(t *testing.T) {
	text, err := os.ReadFile("testdata/every.json")
	require.NoError(t, err)
	interfaces, err := Parse(text)
	require.NoError(t, err)
	for _, name := range []string{"test:all/every@1.2.0.nothing", "test:all/every@1.2.0#nothing", "test:all/every.nothing"} {
		function, err := interfaces.Function(name)
		require.NoError(t, err)
		require.Equal(t, "test:all/every@1.2.0.nothing", function.FullName())
	}
	_, err = interfaces.Function("nothing")
	require.EqualError(t, err, `"nothing" isn't declared: the WIT has test:all/every@1.2.0.nothing`)
	_, err = interfaces.Function("test:all/every@1.2.0.wait")
	require.EqualError(t, err, "test:all/every@1.2.0.wait can't be called: its result: a future can't be sent")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x02\x01\x01\x7f\x02\x00\x02z\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01"))
	text, err := os.ReadFile("testdata/every.json")
	require.NoError(f, err)
	interfaces, err := Parse(text)
	require.NoError(f, err)
	f.Fuzz(func(_ *testing.T, bytes []byte) {
		runtime := sobek.New()
		for _, declared := range interfaces.functions {
			if declared.function != nil {
				_, _ = declared.function.Decode(runtime, bytes)
			}
		}
	})
}
