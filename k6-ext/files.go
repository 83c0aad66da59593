package wrpc

import (
	"bytes"
	"os"
	"strings"

	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/fsext"
)

// fileBytesMax is the library's bound. A longer file is left to it.
const fileBytesMax = 1 << 20

// fileOptions are the options that name a file, or have its text.
var fileOptions = [][]string{
	{"nats", "credentials"},
	{"nats", "nkey"},
	{"nats", "jwt"},
	{"nats", "tls", "ca"},
	{"nats", "tls", "cert"},
	{"nats", "tls", "key"},
	{"tcp", "tls", "ca"},
	{"tcp", "tls", "cert"},
	{"tcp", "tls", "key"},
}

// findFiles looks for the files that options name where k6's open() would: beside the
// script, or in the archive that the test runs from. `k6 archive` takes up what is read
// by this way. A file that isn't there is left to the library, which looks for it in the
// working directory and says what is wrong.
func findFiles(env *common.InitEnvironment, keys map[string]any) {
	for _, path := range fileOptions {
		last := len(path) - 1
		object := keys
		for _, name := range path[:last] {
			object, _ = object[name].(map[string]any)
		}
		if given, ok := object[path[last]].(string); ok {
			if found, ok := findFile(env, given); ok {
				object[path[last]] = found
			}
		}
	}
}

// findFile gives the file's absolute name, or its text if it is in an archive alone.
func findFile(env *common.InitEnvironment, given string) (string, bool) {
	files := env.FileSystems["file"]
	if files == nil || given == "" || strings.Contains(given, "-----BEGIN ") {
		return "", false
	}
	name := env.GetAbsFilePath(given)
	// A pipe can be read once.
	about, err := files.Stat(name)
	if err != nil || !about.Mode().IsRegular() || about.Size() > fileBytesMax {
		return "", false
	}
	text, err := fsext.ReadFile(files, name)
	if err != nil {
		return "", false
	}
	// The library's errors name the file.
	if onDisk, err := os.ReadFile(name); err == nil && bytes.Equal(onDisk, text) {
		return name, true
	}
	return string(text), true
}
