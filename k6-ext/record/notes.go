package record

import (
	"encoding/json"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.k6.io/k6/v2/metrics"
	"go.k6.io/k6/v2/output"
)

// notes describe the test, in the format of crates/record/src/notes.rs.
type notes struct {
	Program    string      `json:"program,omitempty"`
	Settings   [][2]string `json:"settings,omitempty"`
	Thresholds []threshold `json:"thresholds,omitempty"`
	Checks     []check     `json:"checks,omitempty"`
}

type threshold struct {
	Metric string   `json:"metric"`
	Demand string   `json:"demand"`
	Value  *float64 `json:"value,omitempty"`
	Met    bool     `json:"met"`
}

type check struct {
	Group  string `json:"group"`
	Name   string `json:"name"`
	Passes uint64 `json:"passes"`
	Fails  uint64 `json:"fails"`
}

// checks counts the checks of a script by group and name.
type checks map[[2]string]*[2]uint64

func (checks checks) count(sample metrics.Sample) {
	group, _ := sample.Tags.Get("group")
	name, _ := sample.Tags.Get("check")
	counts := checks[[2]string{group, name}]
	if counts == nil {
		if len(checks) >= checksMax {
			return
		}
		counts = new([2]uint64)
		checks[[2]string{group, name}] = counts
	}
	if sample.Value != 0 {
		counts[0]++
	} else {
		counts[1]++
	}
}

const checksMax = 10_000

// startNotes returns the notes that are known before the test.
func startNotes(params output.Params) notes {
	settings := [][2]string{}
	if params.ScriptPath != nil {
		settings = append(settings, [2]string{"script", params.ScriptPath.Path})
	}
	options := map[string]json.RawMessage{}
	if text, err := json.Marshal(params.ScriptOptions); err == nil {
		_ = json.Unmarshal(text, &options)
	}
	for key, value := range options {
		if text := string(value); text != "null" && !secretOptions[key] {
			settings = append(settings, [2]string{key, withoutSecrets(value)})
		}
	}
	slices.SortFunc(settings, func(one, other [2]string) int { return strings.Compare(one[0], other[0]) })
	return notes{Program: program(), Settings: settings}
}

// secretOptions may contain keys and passwords, or settings of other outputs.
var secretOptions = map[string]bool{"tlsAuth": true, "ext": true, "cloud": true}

// withoutSecrets returns a setting as text, without the environments of scenarios, which may contain secrets.
func withoutSecrets(value json.RawMessage) string {
	var read any
	if json.Unmarshal(value, &read) != nil {
		return string(value)
	}
	var mask func(any)
	mask = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, inner := range value {
				if environment, isMap := inner.(map[string]any); key == "env" && isMap {
					for name := range environment {
						environment[name] = "*"
					}
					continue
				}
				if inner == nil {
					delete(value, key)
					continue
				}
				mask(inner)
			}
		case []any:
			for _, inner := range value {
				mask(inner)
			}
		}
	}
	mask(read)
	if text, isText := read.(string); isText {
		return text
	}
	text, _ := json.Marshal(read)
	return string(text)
}

func program() string {
	if info, isKnown := debug.ReadBuildInfo(); isKnown {
		for _, module := range info.Deps {
			if strings.HasPrefix(module.Path, "go.k6.io/k6") && !strings.Contains(module.Path, "x") {
				return "k6 " + module.Version
			}
		}
	}
	return "k6"
}

// endNotes returns the notes that are known after the test.
func endNotes(thresholds map[string]metrics.Thresholds, known map[string]*metrics.Metric, checks checks, ran time.Duration) notes {
	end := notes{}
	for name, of := range thresholds {
		for _, one := range of.Thresholds {
			end.Thresholds = append(end.Thresholds, threshold{
				Metric: name, Demand: one.Source, Met: !one.LastFailed, Value: valueOf(name, one.Source, known, ran),
			})
		}
	}
	slices.SortFunc(end.Thresholds, func(one, other threshold) int {
		return strings.Compare(one.Metric+"\x00"+one.Demand, other.Metric+"\x00"+other.Demand)
	})
	for key, counts := range checks {
		end.Checks = append(end.Checks, check{strings.TrimPrefix(key[0], "::"), key[1], counts[0], counts[1]})
	}
	slices.SortFunc(end.Checks, func(one, other check) int {
		return strings.Compare(one.Group+"\x00"+one.Name, other.Group+"\x00"+other.Name)
	})
	return end
}

var left = regexp.MustCompile(`^\s*(?:p\(\s*([0-9.]+)\s*\)|([a-z]+))`)

// valueOf returns the value that k6 compared with the threshold. k6 adds no more samples to the metric's sink.
func valueOf(name, source string, known map[string]*metrics.Metric, ran time.Duration) *float64 {
	parts := left.FindStringSubmatch(source)
	metric := named(name, known)
	if parts == nil || metric == nil || metric.Sink == nil || metric.Sink.IsEmpty() {
		return nil
	}
	if trend, isTrend := metric.Sink.(*metrics.TrendSink); isTrend && parts[1] != "" {
		percent, err := strconv.ParseFloat(parts[1], 64)
		if err != nil {
			return nil
		}
		value := trend.P(percent / 100)
		return &value
	}
	if value, isKnown := metric.Sink.Format(ran)[parts[2]]; isKnown {
		return &value
	}
	return nil
}

// named finds a metric, or a submetric such as http_req_duration{status:200}.
func named(name string, known map[string]*metrics.Metric) *metrics.Metric {
	base, _, isPart := strings.Cut(name, "{")
	metric := known[base]
	if metric == nil || !isPart {
		return metric
	}
	for _, part := range metric.Submetrics {
		if part.Name == name {
			return part.Metric
		}
	}
	return nil
}

func asJSON(notes notes) []byte {
	text, err := json.Marshal(notes)
	if err != nil { // only a NaN or an infinity can't become JSON
		return []byte(fmt.Sprintf(`{"program":%q}`, notes.Program))
	}
	return text
}
