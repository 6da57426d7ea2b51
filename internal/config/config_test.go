package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestErrorsNamePlaceAndCure(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			_, _, err := Load(Options{Path: file, Environ: []string{"START=erliest"}})
			if err == nil {
				t.Fatal("loaded, want problems")
			}
			got := err.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// minimal is the smallest good file, followed by more lines.
func minimal(t *testing.T, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	text := "input: {topics: [a], group: g}\nmodel: {name: m, path: m.onnx}\noutput: {topic: out}\n" + more
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, o Options) (*Config, Problems) {
	t.Helper()
	cfg, warnings, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, warnings
}

func TestAnnotatedFileHoldsEveryDefault(t *testing.T) {
	t.Parallel()
	const file = "../../deploy/config/sluice.yaml"
	cfg, warnings := load(t, Options{Path: file})
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	for _, k := range Keys() {
		if k.Required && k.Path != "kafka.brokers" {
			k.field(cfg).SetZero() // examples
		}
	}
	want := Default()
	want.Input.Topics, want.Kafka.Properties = nil, map[string]string{}
	want.Output.Include, want.Model.Inputs = nil, nil
	if len(cfg.Output.Include) == 0 {
		cfg.Output.Include = nil
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
	assertEveryKeyIn(t, file)
}

// assertEveryKeyIn loads the file once without each key's line: a key that is
// not in the file would leave its origin unset.
func assertEveryKeyIn(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	l := &loader{cfg: Default(), file: file, env: lookup(nil), origin: map[string]Position{}, anchors: map[string]anchor{}}
	l.readDocument(data)
	for _, k := range Keys() {
		if _, ok := l.origin[k.Path]; !ok {
			t.Errorf("%s is not in %s", k.Path, file)
		}
	}
}

func TestEveryKeyIsSetByItsEnvironmentName(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, k := range Keys() {
		if other, twice := seen[k.Env]; twice {
			t.Errorf("%s is the name of %s and %s", k.Env, k.Path, other)
		}
		seen[k.Env] = k.Path
		if kubernetes.MatchString(k.Env) {
			t.Errorf("%s looks like a Service's variable", k.Env)
		}
		want := "SLUICE_" + strings.ToUpper(strings.ReplaceAll(k.Path, ".", "_"))
		if k.Env != want {
			t.Errorf("%s has the name %s, want %s", k.Path, k.Env, want)
		}
		l := &loader{cfg: Default(), env: lookup(nil), origin: map[string]Position{}, anchors: map[string]anchor{}}
		l.readEnvironment([]string{k.Env + "=" + sample(k)}, nil)
		if len(l.problems) > 0 || len(l.warnings) > 0 {
			t.Errorf("%s: %v %v", k.Env, l.problems, l.warnings)
		}
		if cmp.Equal(l.cfg, Default()) {
			t.Errorf("%s=%s changes nothing", k.Env, sample(k))
		}
	}
}

// sample is a good value of a key that is not its default.
func sample(k Key) string {
	current := k.field(Default())
	switch {
	case k.Enum != nil:
		for _, e := range k.Enum {
			if e != current.String() && e != "" {
				return e
			}
		}
	case current.Type() == durationType:
		return "7s"
	case current.Type() == sizeType:
		return "7MiB"
	case k.isMap():
		return "x=/y"
	case current.CanInt():
		return "7"
	case current.CanFloat():
		return "0.25"
	case current.Kind().String() == "bool":
		return "true"
	}
	return "x"
}

func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	path := minimal(t, "log: {level: warn}\nadmin: {listen: '127.0.0.1:1'}\nshutdown: {drain_timeout: 1s}\n")
	cfg, _ := load(t, Options{
		Path:    path,
		Environ: []string{"SLUICE_LOG_LEVEL=debug", "SLUICE_ADMIN_LISTEN=127.0.0.1:2", "SLUICE_INPUT_TOPICS=b, c"},
		Sets:    []string{"admin.listen=127.0.0.1:3", "kafka.brokers=x:1,y:2"},
	})
	if cfg.Log.Level != "debug" || cfg.Admin.Listen != "127.0.0.1:3" || cfg.Shutdown.DrainTimeout != time.Second {
		t.Errorf("level %s, listen %s, drain %v", cfg.Log.Level, cfg.Admin.Listen, cfg.Shutdown.DrainTimeout)
	}
	if diff := cmp.Diff([]string{"b", "c"}, cfg.Input.Topics); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"x:1", "y:2"}, cfg.Kafka.Brokers); diff != "" {
		t.Error(diff)
	}
}

func TestBrokerEntriesAreSplitOnCommas(t *testing.T) {
	t.Parallel()
	path := minimal(t, "kafka: {brokers: ['${B}', 'c:3']}\n")
	cfg, _ := load(t, Options{Path: path, Environ: []string{"B=a:1, b:2"}})
	if diff := cmp.Diff([]string{"a:1", "b:2", "c:3"}, cfg.Kafka.Brokers); diff != "" {
		t.Error(diff)
	}
	cfg, _ = load(t, Options{Path: minimal(t, ""), Environ: []string{"KAFKA_BROKERS=k:1,k:2"}})
	if diff := cmp.Diff([]string{"k:1", "k:2"}, cfg.Kafka.Brokers); diff != "" {
		t.Error(diff)
	}
}

func TestVariablesAreReplacedInValuesOnly(t *testing.T) {
	t.Parallel()
	path := minimal(t, "runtime: {library: '${A}/${B:-b}/${C:-}$${D}'}\nlog:\n  level: ${L}\n")
	cfg, _ := load(t, Options{Path: path, Environ: []string{"A=a: [x", "B=", "L=warn"}})
	if cfg.Runtime.Library != "a: [x/b/${D}" || cfg.Log.Level != "warn" {
		t.Errorf("library %q, level %q", cfg.Runtime.Library, cfg.Log.Level)
	}
}

func TestModelInputsTakeEveryForm(t *testing.T) {
	t.Parallel()
	path := minimal(t, "")
	cfg, _ := load(t, Options{Path: path, Sets: []string{
		"model.inputs={a: /x, b: [/y, {path: /z, default: -1}], c: {path: /s, default: none}, d: {path: /t, default: '1'}}",
		"model.inputs.e=/w", "model.inputs.f=/u,/v,w",
	}})
	want := Inputs{
		{Tensor: "a", Fields: []Field{{Pointer: "/x"}}},
		{Tensor: "b", List: true, Fields: []Field{{Pointer: "/y"}, {Pointer: "/z", Default: "-1"}}},
		{Tensor: "c", Fields: []Field{{Pointer: "/s", Default: `"none"`}}},
		{Tensor: "d", Fields: []Field{{Pointer: "/t", Default: `"1"`}}},
		{Tensor: "e", Fields: []Field{{Pointer: "/w"}}},
		{Tensor: "f", List: true, Fields: []Field{{Pointer: "/u"}, {Pointer: "/v,w"}}},
	}
	if diff := cmp.Diff(want, cfg.Model.Inputs); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownVariablesWarnOnceAndServicesDoNot(t *testing.T) {
	t.Parallel()
	_, warnings := load(t, Options{Path: minimal(t, ""), KnownEnv: []string{"SLUICE_JSON"}, Environ: []string{
		"SLUICE_SERVICE_HOST=1", "SLUICE_PORT=tcp://1", "SLUICE_SERVICE_PORT_ADMIN=1", "SLUICE_PORT_8900_TCP_ADDR=1",
		"SLUICE_METRICS_PORT_8900_TCP=1", "SLUICE_METRICS_SERVICE_HOST=1",
		"SLUICE_CACHE=/x", "SLUICE_JSON=true", "SLUICE_INPUT_TOPIC=latest", "SLUICE_FOO=1",
	}})
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "SLUICE_FOO, SLUICE_INPUT_TOPIC") {
		t.Errorf("warnings %v, want one with both names", warnings)
	}
}

func TestSetProblemsSuggest(t *testing.T) {
	t.Parallel()
	_, _, err := Load(Options{Path: minimal(t, ""), Sets: []string{
		"input.strat=latest", "input=x", "model.batch.max_row=1", "log.level", "log.level=loud", "model.inputs.a=x", "quux.y=1",
	}})
	want := strings.Join([]string{
		`--set input.strat: unknown key "input.strat"; did you mean "input.start"?`,
		`--set input: "input" is a section; name one of its keys, such as input.topics`,
		`--set model.batch.max_row: unknown key "model.batch.max_row"; did you mean "model.batch.max_rows"?`,
		`--set log.level: no value; write --set log.level=value`,
		`--set log.level: log.level: unknown value "loud"; allowed: debug, info, warn, error`,
		`--set model.inputs.a: model.inputs.a: "x" is no JSON pointer; start it with a slash: "/x"`,
		`--set quux.y: unknown key "quux.y"; allowed at the top: kafka, input, model, output, dead_letter, transaction, runtime, log, admin, startup, shutdown`,
	}, "\n")
	if err == nil {
		t.Fatal("loaded")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestShortSessionIsHinted(t *testing.T) {
	t.Parallel()
	_, warnings := load(t, Options{Path: minimal(t, ""), Sets: []string{"input.session_timeout=2s"}})
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "group.min.session.timeout.ms") {
		t.Errorf("warnings %v", warnings)
	}
}

func TestKafkaOnlyNeedsNoModel(t *testing.T) {
	t.Parallel()
	cfg, _ := load(t, Options{KafkaOnly: true, Brokers: []string{"a:1,b:2"}})
	if diff := cmp.Diff([]string{"a:1", "b:2"}, cfg.Kafka.Brokers); diff != "" {
		t.Error(diff)
	}
}

func TestMissingFileSaysSo(t *testing.T) {
	t.Parallel()
	_, _, err := Load(Options{Path: "nowhere.yaml"})
	if err == nil || err.Error() != "nowhere.yaml: read the configuration: no such file; give its path with -c" {
		t.Error(err)
	}
}
