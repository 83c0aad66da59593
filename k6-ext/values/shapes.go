// Package values has the values of functions that WIT declares: between JavaScript and
// wRPC's wire, by shapes that the Rust library makes of WIT. It has no cgo.
//
// The files in the order in which a call meets them:
//
//   - shapes.go: functions and their types
//   - encode.go: arguments to the wire
//   - decode.go: results from the wire
package values

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Interfaces are the functions that files of WIT declare.
type Interfaces struct {
	types     []shape
	functions map[string]declared
}

// Function is one of them.
type Function struct {
	// Interface is empty for a function of a component itself.
	Interface string
	Name      string

	full   string
	params []field
	result *int
	types  []shape
}

type declared struct {
	function *Function
	reason   string // why it can't be called
}

// shape is a type, as the library writes it.
type shape struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"` // as WIT writes it
	Bits   int    `json:"bits"`
	Of     json.RawMessage
	OK     *int     `json:"ok"`
	Err    *int     `json:"err"`
	Fields []field  `json:"fields"`
	Cases  []field  `json:"cases"`
	Names  []string `json:"names"`

	kind  kind
	of    int
	parts []int
}

// field is a field, a parameter or a case, which may hold nothing.
type field struct {
	Name string `json:"name"`
	Of   *int   `json:"of"`

	js string // its name in JavaScript
}

type kind int

const (
	kindBool kind = iota
	kindUnsigned
	kindSigned
	kindFloat
	kindChar
	kindString
	kindList
	kindOption
	kindResult
	kindRecord
	kindTuple
	kindVariant
	kindEnum
	kindFlags
)

var kinds = map[string]kind{
	"bool": kindBool, "unsigned": kindUnsigned, "signed": kindSigned, "float": kindFloat, "char": kindChar,
	"string": kindString, "list": kindList, "option": kindOption, "result": kindResult, "record": kindRecord,
	"tuple": kindTuple, "variant": kindVariant, "enum": kindEnum, "flags": kindFlags,
}

// Parse reads what the library says of files of WIT.
func Parse(text []byte) (*Interfaces, error) {
	var raw struct {
		Types     []shape `json:"types"`
		Functions map[string]struct {
			OK *struct {
				Instance string  `json:"instance"`
				Name     string  `json:"name"`
				Params   []field `json:"params"`
				Result   *int    `json:"result"`
			} `json:"Ok"`
			Err string `json:"Err"`
		} `json:"functions"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("the library's account of WIT: %w", err)
	}
	for index := range raw.Types {
		shape := &raw.Types[index]
		known, ok := kinds[shape.Kind]
		if !ok {
			return nil, fmt.Errorf("the library's account of WIT: the type %q isn't known", shape.Kind)
		}
		shape.kind = known
		var err error
		switch known {
		case kindList, kindOption:
			err = json.Unmarshal(shape.Of, &shape.of)
		case kindTuple:
			err = json.Unmarshal(shape.Of, &shape.parts)
		}
		if err != nil {
			return nil, fmt.Errorf("the library's account of WIT: %w", err)
		}
		for index := range shape.Fields {
			shape.Fields[index].js = inJavaScript(shape.Fields[index].Name)
		}
	}
	interfaces := &Interfaces{types: raw.Types, functions: make(map[string]declared, len(raw.Functions))}
	for name, function := range raw.Functions {
		if function.OK == nil {
			interfaces.functions[name] = declared{reason: function.Err}
			continue
		}
		interfaces.functions[name] = declared{function: &Function{
			Interface: function.OK.Instance, Name: function.OK.Name, full: name,
			params: function.OK.Params, result: function.OK.Result, types: raw.Types,
		}}
	}
	return interfaces, nil
}

// Function gives the function of that name: NAMESPACE:PACKAGE/INTERFACE@VERSION.FUNCTION,
// with a # in place of the last dot if you like. The version may be left out if there is
// one.
func (interfaces *Interfaces) Function(name string) (*Function, error) {
	wanted := name
	if at := strings.LastIndexByte(name, '#'); at >= 0 {
		wanted = name[:at] + "." + name[at+1:]
	}
	found, ok := interfaces.functions[wanted]
	if !ok {
		var versions []string
		for known := range interfaces.functions {
			if withoutVersion(known) == wanted {
				versions = append(versions, known)
			}
		}
		switch len(versions) {
		case 0:
			return nil, fmt.Errorf("%q isn't declared: the WIT has %s", name, interfaces.listed(wanted))
		case 1:
			wanted = versions[0]
			found = interfaces.functions[wanted]
		default:
			return nil, fmt.Errorf("%q is %s: write the version", name, listed(sorted(versions), " or "))
		}
	}
	if found.function == nil {
		return nil, fmt.Errorf("%s can't be called: %s", wanted, found.reason)
	}
	return found.function, nil
}

// FullName is its name with that of its interface.
func (function *Function) FullName() string { return function.full }

func withoutVersion(name string) string {
	at, dot := strings.IndexByte(name, '@'), strings.LastIndexByte(name, '.')
	if at < 0 || dot < at {
		return name
	}
	return name[:at] + name[dot:]
}

// listed names functions that are called alike, or all.
func (interfaces *Interfaces) listed(wanted string) string {
	last := func(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
	var alike, all []string
	for known := range interfaces.functions {
		all = append(all, known)
		if last(known) == last(wanted) {
			alike = append(alike, known)
		}
	}
	switch {
	case len(all) == 0:
		return "no functions"
	case len(alike) > 0:
		return listed(sorted(alike), ", ")
	default:
		return listed(sorted(all), ", ")
	}
}

// inJavaScript writes a name of WIT as JavaScript does: a-b is aB.
func inJavaScript(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	for index, word := range words[1:] {
		if word != "" {
			words[index+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

// isNamed says whether a name of WIT is meant: a-b, a_b or aB.
func isNamed(name, given string) bool {
	if name == given {
		return true
	}
	at := 0
	for index := range len(given) {
		if given[index] == '-' || given[index] == '_' {
			continue
		}
		for at < len(name) && name[at] == '-' {
			at++
		}
		if at == len(name) || lower(name[at]) != lower(given[index]) {
			return false
		}
		at++
	}
	return at == len(name)
}

// lower is for the names of WIT, which are ASCII.
func lower(char byte) byte {
	if char >= 'A' && char <= 'Z' {
		return char + 'a' - 'A'
	}
	return char
}
