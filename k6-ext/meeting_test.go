package wrpc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAValueIsMadeOnce(t *testing.T) {
	vu := newVU(t)
	require.Contains(t, vu.mustFail(`wrpc.once("a", () => 1)`), "VUs can't meet in the init context")
	vu.start()
	vu.must(`var calls = 0; const make = () => { calls++; return { list: [1, "é", null], big: 2 ** 40 }; };`)
	for range 3 {
		require.Equal(t, `{"list":[1,"é",null],"big":1099511627776}`, vu.must(`JSON.stringify(wrpc.once("value", make))`).String())
	}
	require.EqualValues(t, 1, vu.must(`calls`).ToInteger())
	require.Equal(t, "null", vu.must(`String(wrpc.once("nothing", () => {}))`).String())
	require.Equal(t, "text", vu.must(`wrpc.once("text", () => "text")`).String())

	require.Contains(t, vu.mustFail(`wrpc.once("throws", () => { throw new Error("no luck"); })`), "no luck")
	require.Contains(t, vu.mustFail(`wrpc.once("throws", make)`), `once("throws"): Error: no luck`)
	require.Contains(t, vu.mustFail(`wrpc.once("async", async () => 1)`), "must return a value, and no promise")
	require.Contains(t, vu.mustFail(`wrpc.once("a")`), "once(): a function is expected as the second argument, not undefined")
	require.Contains(t, vu.mustFail(`wrpc.once("", make)`), "once(): a name of 1 to 64 bytes is expected")
	require.Contains(t, vu.mustFail(`wrpc.once(5, make)`), "once(): a name of 1 to 64 bytes is expected")

	vu.must(`wrpc.barrier("alone", 1)`)
	for _, parties := range []string{"", ", 0", ", 1.5", `, "all"`, ", NaN"} {
		require.Contains(t, vu.mustFail(`wrpc.barrier("b"`+parties+`)`), "barrier(): how many VUs meet is expected", parties)
	}
}
