package wrpc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/encarno/encarno/k6-ext/http"
)

// table is that of docs/k6-http.md: what k6/http has, and the scripts that show it.
type table struct {
	rows    map[string]map[string][]string // kind, name, scripts
	scripts map[string]bool
	fields  map[string]bool // of responses, as they came
}

func parityTable(t *testing.T) *table {
	t.Helper()
	text, err := os.ReadFile("../docs/k6-http.md")
	require.NoError(t, err)
	read := &table{map[string]map[string][]string{}, map[string]bool{}, map[string]bool{}}
	_, text, found := bytes.Cut(text, []byte("| | | ✓ |\n"))
	require.True(t, found, "docs/k6-http.md has no table of what k6/http has")
	kind := ""
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			break
		}
		if strings.Contains(line, "---") {
			continue
		}
		if name := strings.TrimSpace(cells[1]); name != "" {
			kind = name
			read.rows[kind] = map[string][]string{}
		}
		links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(cells[3], -1)
		require.NotEmpty(t, links, "no script shows %s", cells[2])
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[2], -1) {
			for _, link := range links {
				read.rows[kind][name[1]] = append(read.rows[kind][name[1]], link[1])
				read.scripts[link[1]] = true
			}
		}
	}
	for script := range read.scripts {
		source, err := os.ReadFile(filepath.Join("../docs", script))
		require.NoError(t, err)
		for kind, pattern := range map[string]string{
			"functions": `http\.%s\b`, "cookie jar": `\.%s\(`, "params": `\b%s\b( }|:|,)`, "methods": `\.%s\(`, "options": `\b%s: `,
		} {
			for name, scripts := range read.rows[kind] {
				if slices.Contains(scripts, script) {
					require.Regexp(t, fmt.Sprintf(pattern, name), string(source), "%s doesn't show %s", script, name)
				}
			}
		}
	}
	return read
}

// check looks whether a script shows what its rows say.
func (table *table) check(t *testing.T, script string, theirs, ours map[string]any) {
	t.Helper()
	path := "../k6-ext/" + script
	require.True(t, table.scripts[path], "%s has no row in docs/k6-http.md", path)
	shown := map[string]bool{}
	table.collect(shown, theirs)
	table.collect(shown, ours)
	for name, scripts := range table.rows["response"] {
		if slices.Contains(scripts, path) {
			require.True(t, shown[name], "no response of %s has a %s", path, name)
		}
	}
	for _, name := range theirs["$functions"].([]any) {
		require.Contains(t, table.rows["functions"], name, "docs/k6-http.md has no row for this function")
	}
	for _, name := range http.ParamNames {
		require.Contains(t, table.rows["params"], name, "docs/k6-http.md has no row for this key of params")
	}
}

// collect notes which fields responses have, and which of them say anything.
func (table *table) collect(shown map[string]bool, seen any) {
	switch seen := seen.(type) {
	case []any:
		for _, one := range seen {
			table.collect(shown, one)
		}
	case map[string]any:
		for name, value := range seen {
			if seen["$response"] == nil {
				table.collect(shown, value)
			} else if name != "$response" {
				table.fields[name] = true
				shown[name] = shown[name] || !slices.Contains([]string{"null", `""`, "0", "{}", "[]"}, asText(value))
			}
		}
	}
}

// finish looks whether k6 has what no row names.
func (table *table) finish(t *testing.T) {
	t.Helper()
	for name := range table.fields {
		require.Contains(t, table.rows["response"], name, "docs/k6-http.md has no row for this field of responses")
	}
}
