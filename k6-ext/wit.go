package wrpc

/*
#include "encarno.h"

#cgo noescape encarno_wit_read
#cgo nocallback encarno_wit_read
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
	"sync"

	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/fsext"

	"github.com/encarno/encarno/k6-ext/values"
)

// witFilesMax files of WIT can't be meant.
const witFilesMax = 1000

// readInterfaces has what was read, by the files' names and texts: VUs read the same.
var readInterfaces sync.Map

// interfacesOf reads files of WIT where k6's open() would: a file, or the files of a folder
// and of its folder deps. `k6 archive` takes them up.
func interfacesOf(env *common.InitEnvironment, given string) (*values.Interfaces, error) {
	files := env.FileSystems["file"]
	if files == nil {
		return nil, errors.New("there are no files")
	}
	sources, err := witSources(files, env.GetAbsFilePath(given))
	if err != nil {
		return nil, err
	}
	// As the library reads them: texts, each with its length.
	var texts []byte
	for _, source := range sources {
		for _, text := range []string{source.path, source.text} {
			texts = binary.LittleEndian.AppendUint32(texts, uint32(len(text)))
			texts = append(texts, text...)
		}
	}
	if known, ok := readInterfaces.Load(string(texts)); ok {
		return known.(*values.Interfaces), nil
	}
	interfaces, err := parseWIT(texts)
	if err != nil {
		return nil, err
	}
	readInterfaces.Store(string(texts), interfaces)
	return interfaces, nil
}

func parseWIT(texts []byte) (*values.Interfaces, error) {
	var shapes, reason C.EncarnoOwnedBytes
	switch status := C.encarno_wit_read(view(texts), &shapes, &reason); status {
	case C.ENCARNO_STATUS_OK:
		return values.Parse([]byte(takeText(&shapes)))
	case C.ENCARNO_STATUS_BAD_OPTIONS:
		return nil, errors.New(takeText(&reason))
	default:
		return nil, statusError("the WIT cannot be read", status, "")
	}
}

// witSource is a file of WIT; its path is relative to the folder of the package.
type witSource struct{ path, text string }

func witSources(files fsext.Fs, name string) ([]witSource, error) {
	about, err := files.Stat(name)
	if err != nil {
		return nil, err
	}
	if !about.IsDir() {
		text, err := readWIT(files, name)
		return []witSource{{path.Base(name), text}}, err
	}
	sources, _, err := witFolder(files, name, "")
	if err == nil && len(sources) == 0 {
		err = fmt.Errorf("there is no file *.wit in %s", name)
	}
	if err != nil {
		return nil, err
	}
	deps := path.Join(name, "deps")
	if about, err := files.Stat(deps); err != nil || !about.IsDir() {
		return sources, nil
	}
	more, folders, err := witFolder(files, deps, "deps/")
	sources = append(sources, more...)
	for _, folder := range folders {
		if err == nil {
			more, _, err = witFolder(files, path.Join(deps, folder), "deps/"+folder+"/")
			sources = append(sources, more...)
		}
	}
	if err == nil && len(sources) > witFilesMax {
		err = fmt.Errorf("there are more than %d files of WIT", witFilesMax)
	}
	return sources, err
}

// witFolder gives the files of a folder, and the names of the folders in it.
func witFolder(files fsext.Fs, name, prefix string) (sources []witSource, folders []string, err error) {
	folder, err := files.Open(name)
	if err != nil {
		return nil, nil, err
	}
	entries, err := folder.Readdir(-1)
	_ = folder.Close()
	if err != nil {
		return nil, nil, err
	}
	sort.Slice(entries, func(one, other int) bool { return entries[one].Name() < entries[other].Name() })
	for _, entry := range entries {
		switch at := path.Join(name, entry.Name()); {
		case entry.IsDir():
			folders = append(folders, entry.Name())
		case strings.HasSuffix(entry.Name(), ".wit") && len(sources) <= witFilesMax:
			text, err := readWIT(files, at)
			if err != nil {
				return nil, nil, err
			}
			sources = append(sources, witSource{prefix + entry.Name(), text})
		}
	}
	return sources, folders, nil
}

func readWIT(files fsext.Fs, name string) (string, error) {
	file, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, fileBytesMax+1))
	if err == nil && len(text) > fileBytesMax {
		err = fmt.Errorf("%s is longer than %d bytes", name, fileBytesMax)
	}
	return string(text), err
}
