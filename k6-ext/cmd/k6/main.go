// Program k6 is k6 with the extension k6/x/wrpc.
package main

import (
	"go.k6.io/k6/v2/cmd"

	_ "github.com/encarno/encarno/k6-ext"
)

// libraryHash is set by the linker (-X main.libraryHash=…) to the hash of the
// Rust library, because Go doesn't notice by itself that the library has changed, and
// would not link again.
var libraryHash string

func main() {
	_ = libraryHash
	cmd.Execute()
}
