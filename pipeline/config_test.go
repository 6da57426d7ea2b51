package pipeline_test

import (
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
)

func TestValidateNamesEverySettingThatCannotWork(t *testing.T) {
	t.Parallel()
	err := pipeline.Config{
		Workers: -1, Decoders: -1, MaxDelay: -1, RunTimeout: -1,
		Order: "random", Tombstones: "bury", Expired: "keep", OnError: "ignore",
	}.Validate()
	if err == nil {
		t.Fatal("Validate() = nil")
	}
	for _, name := range []string{
		"MaxInFlight", "MaxRows", "Workers", "Decoders", "MaxDelay", "RunTimeout", "DrainTimeout", "Order", "Tombstones", "Expired", "OnError",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("Validate() does not name %s: %v", name, err)
		}
	}
}
