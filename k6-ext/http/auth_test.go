package http

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The example of RFC 7616, section 3.9.1.
func TestDigestsAreThoseOfTheRFC(t *testing.T) {
	const (
		nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
		once  = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	)
	for algorithm, response := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		read := challengeOf([]Field{{"www-authenticate", "Basic realm=x"}, {"WWW-Authenticate",
			`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=` + algorithm +
				`, nonce="` + nonce + `", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`}})
		answer := read.answer("GET", "/dir/index.html", "Mufasa", "Circle of Life", once)
		require.Equal(t, `Digest username="Mufasa", realm="http-auth@example.org", nonce="`+nonce+`", uri="/dir/index.html", `+
			`qop=auth, nc=00000001, cnonce="`+once+`", response="`+response+`", algorithm=`+algorithm+
			`, opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`, answer)
	}
	// Section 3.5 of RFC 2617, but without qop: RFC 2069's way.
	old := readChallenge(`realm="testrealm@host.com",nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`)
	require.Contains(t, old.answer("GET", "/dir/index.html", "Mufasa", "Circle Of Life", ""),
		`response="670fd8c2df070c60b045671b8b24ff02"`)
}

// What a hostile server may say instead.
func TestChallengesThatAreNone(t *testing.T) {
	for _, said := range []string{"", "Digest", "Digest realm", `Digest realm="`, `Digest realm="a\`, "Digest =,=,=",
		`Digest algorithm=SHA-1`, `Digest qop="other"`, `Digest nonce="a b", realm=x y`} {
		require.NotPanics(t, func() {
			if read := challengeOf([]Field{{"www-authenticate", said}}); read != nil {
				read.answer("GET", "/", "a", "b", "c")
			}
		}, said)
	}
	require.Nil(t, challengeOf([]Field{{"www-authenticate", "Basic realm=x"}}))
	require.Empty(t, challenge{"algorithm": "SHA-1"}.answer("GET", "/", "a", "b", "c"))
	require.Equal(t, `a "quoted" word`, readChallenge(`realm="a \"quoted\" word", nonce=1`)["realm"])
}

func TestADigestIsAnswered(t *testing.T) {
	address := server(t).URL
	for name, code := range map[string]string{
		"in the URL": `http.get(url.replace("//", "//me:secret@") + "/digest", { auth: "digest" })`,
		"async":      `await http.asyncRequest("GET", url.replace("//", "//me:secret@") + "/digest", null, { auth: "digest" })`,
		"in a batch": `http.batch([["GET", url.replace("//", "//me:secret@") + "/digest", null, { auth: "digest" }]])[0]`,
	} {
		t.Run(name, func(t *testing.T) {
			script := ofOurs(t, address)
			seen, err := script.run(`const r = `+code+`; return [r.status, r.body, r.url.includes("secret")];`, address)
			require.NoError(t, err)
			require.Equal(t, `[200,"let in",false]`, seen)
			emitted := script.emitted()
			require.Len(t, emitted["wrpc_http_request"], 2)
			require.Empty(t, emitted["wrpc_http_invalid_response"], "the challenge is expected")
		})
	}
}

func TestADigestSendsNoPassword(t *testing.T) {
	var requests []*Request
	script := over(t, noting{&requests})
	_, err := script.run(`http.get("http://me:secret@a/", { auth: "digest" }); http.get("http://me:secret@a/", { auth: "basic" });`, "")
	require.NoError(t, err)
	require.Empty(t, headerOf(requests[0].Header, "authorization"))
	require.Equal(t, "Basic bWU6c2VjcmV0", headerOf(requests[1].Header, "authorization"))
}

func TestAuthByNameAndPasswordStaysAtItsHost(t *testing.T) {
	address := server(t).URL
	for location, sent := range map[string]bool{"/echo": true, "http://a.test/echo": true, "http://b.test/echo": false} {
		script := ofOurs(t, address)
		seen, err := script.run(`const r = http.get("http://a.test/to?code=302&location=`+location+
			`", { auth: { username: "me", password: "secret" } }); return r.body.includes("Basic ");`, address)
		require.NoError(t, err)
		require.Equal(t, map[bool]string{true: "true", false: "false"}[sent], seen, location)
	}
}
