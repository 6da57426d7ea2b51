package demo

import (
	"os/exec"
	"strings"
	"testing"
)

// The embedded broker and the client that the demo checks with must not come into
// the service binary, not even as dead weight.
func TestOnlyTheDemoBinaryHasABroker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tags string
		want bool
	}{{"", false}, {"demo", true}} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", c.tags, "-deps", "../../cmd/sluice").CombinedOutput()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, out)
		}
		for _, module := range []string{"github.com/twmb/franz-go", "github.com/sluice-ml/sluice/deploy/digits"} {
			if got := strings.Contains(string(out), module); got != c.want {
				t.Errorf("tags %q: imports %s: %v, want %v", c.tags, module, got, c.want)
			}
		}
	}
}
