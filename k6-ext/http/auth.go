package http

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"
)

// authorization returns the header for the URL's name and password, or an empty text if the
// script sets its own.
func (call *call) authorization() string {
	hop := &call.now
	switch {
	case hop.digest != "":
		return hop.digest
	case call.auth == "digest" || hop.header.Get("Authorization") != "":
		return ""
	case hop.user != nil:
		return basic(hop.user.Username(), password(hop))
	case hop.url.User != nil:
		return basic(hop.url.User.Username(), password(hop))
	}
	return ""
}

func password(hop *hop) string {
	user := hop.user
	if user == nil {
		user = hop.url.User
	}
	secret, _ := user.Password()
	return secret
}

func basic(name, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

// answerChallenge returns whether the request must be sent again with the answer to a digest's
// challenge.
func (call *call) answerChallenge(outcome *Outcome) bool {
	hop := &call.now
	if call.auth != "digest" || outcome.Status != http.StatusUnauthorized || hop.digest != "" || hop.user == nil {
		return false
	}
	challenge := challengeOf(outcome.Header)
	if challenge == nil {
		return false
	}
	answer := challenge.answer(hop.sentMethod(), target(hop.url), hop.user.Username(), password(hop), rand.Text())
	if answer == "" {
		return false
	}
	call.emit(outcome, hop, nil, "")
	hop.digest = answer
	return true
}

// challenge has the parameters of a digest in WWW-Authenticate: RFC 7616, section 3.3.
type challenge map[string]string

// challengeOf returns the first challenge for a digest, or nil.
func challengeOf(header []Field) challenge {
	for _, field := range header {
		scheme, rest, _ := strings.Cut(field.Value, " ")
		if strings.EqualFold(field.Name, "www-authenticate") && strings.EqualFold(scheme, "digest") {
			return readChallenge(rest)
		}
	}
	return nil
}

func readChallenge(text string) challenge {
	read := challenge{}
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			break
		}
		name = strings.ToLower(strings.Trim(name, " \t,"))
		var value string
		if quoted, ok := strings.CutPrefix(strings.TrimLeft(rest, " \t"), `"`); ok {
			value, text = unquote(quoted)
		} else {
			value, text, _ = strings.Cut(rest, ",")
		}
		read[name] = strings.TrimSpace(value)
	}
	return read
}

// unquote reads up to the closing quote. It returns the text, and the rest behind the quote.
func unquote(text string) (value, rest string) {
	var unquoted strings.Builder
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '"':
			return unquoted.String(), text[at+1:]
		case '\\':
			at++
			if at == len(text) {
				return unquoted.String(), ""
			}
		}
		unquoted.WriteByte(text[at])
	}
	return unquoted.String(), ""
}

// answer returns the header Authorization (RFC 7616, section 3.4), or an empty text for an
// unknown algorithm or protection. once is the client's nonce.
func (challenge challenge) answer(method, uri, name, secret, once string) string {
	algorithm, session := strings.CutSuffix(strings.ToLower(challenge["algorithm"]), "-sess")
	var newHash func() hash.Hash
	switch algorithm {
	case "", "md5":
		newHash = md5.New
	case "sha-256":
		newHash = sha256.New
	default:
		return ""
	}
	digest := func(parts ...string) string {
		sum := newHash()
		_, _ = sum.Write([]byte(strings.Join(parts, ":"))) // a hash never returns an error
		return hex.EncodeToString(sum.Sum(nil))
	}
	nonce, realm := challenge["nonce"], challenge["realm"]
	secretHash := digest(name, realm, secret)
	if session {
		secretHash = digest(secretHash, nonce, once)
	}
	requestHash := digest(method, uri)
	offered := strings.Split(challenge["qop"], ",")
	for at := range offered {
		offered[at] = strings.TrimSpace(offered[at])
	}
	answer := fmt.Sprintf(`Digest username=%s, realm=%s, nonce=%s, uri=%s`,
		quote(name), quote(realm), quote(nonce), quote(uri))
	switch {
	case challenge["qop"] == "":
		answer += ", response=" + quote(digest(secretHash, nonce, requestHash))
	case slices.Contains(offered, "auth"):
		const count = "00000001"
		response := digest(secretHash, nonce, count, once, "auth", requestHash)
		answer += fmt.Sprintf(`, qop=auth, nc=%s, cnonce=%s, response=%s`, count, quote(once), quote(response))
	default:
		return ""
	}
	if given := challenge["algorithm"]; given != "" {
		answer += ", algorithm=" + given
	}
	if opaque, ok := challenge["opaque"]; ok {
		answer += ", opaque=" + quote(opaque)
	}
	if !isFieldValue(answer) {
		return ""
	}
	return answer
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
