package failpoint_test

import (
	"testing"

	"github.com/sluice-ml/sluice/internal/failpoint"
)

func TestNothingHappensWithoutTheTag(t *testing.T) {
	t.Setenv("SLUICE_FAILPOINT", failpoint.TxnOffsets+"/1")
	failpoint.Here(failpoint.TxnOffsets)
	failpoint.Soon(failpoint.TxnOffsets)
	t.Setenv("SLUICE_FAILPOINT_POISON", "x")
	failpoint.Poison([]byte("x"))
}
