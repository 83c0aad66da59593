package wrpc

import (
	"bytes"
	"os"
	"strings"

	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/fsext"
)

// fileBytesMax is the library's limit. The library reports longer files.
const fileBytesMax = 1 << 20

// fileOptions are the options whose value is the name or the content of a file.
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

// findFiles looks for the files of options in the same places as k6's open(): beside the
// script, or in the archive that the test runs from. `k6 archive` includes files that are
// read here. If a file isn't found, the library looks for it in the working directory and
// reports errors.
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

// findFile returns the file's absolute name, or its content if it is only in an archive.
func findFile(env *common.InitEnvironment, given string) (string, bool) {
	files := env.FileSystems["file"]
	if files == nil || given == "" || strings.Contains(given, "-----BEGIN ") {
		return "", false
	}
	name := env.GetAbsFilePath(given)
	// A pipe can be read only once, so it is left to the library.
	about, err := files.Stat(name)
	if err != nil || !about.Mode().IsRegular() || about.Size() > fileBytesMax {
		return "", false
	}
	text, err := fsext.ReadFile(files, name)
	if err != nil {
		return "", false
	}
	// With a name, the library's errors name the file.
	if onDisk, err := os.ReadFile(name); err == nil && bytes.Equal(onDisk, text) {
		return name, true
	}
	return string(text), true
}
