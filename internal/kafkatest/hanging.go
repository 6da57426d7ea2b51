package kafkatest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// verification is off in one test at a time.
var verification sync.Mutex

// WithoutVerification lets f write into a transaction that no coordinator knows, which
// leaves it open for good, as a broker does that leaves markers out. f is repeated while
// it fails: the tests of another package may have the brokers check again. The brokers
// check nothing meanwhile, for nobody.
func WithoutVerification(tb testing.TB, f func(ctx context.Context) error) {
	tb.Helper()
	verification.Lock()
	defer verification.Unlock()
	const key = "transaction.partition.verification.enable"
	admin := Admin(tb)
	alter := func(ctx context.Context, op kadm.IncrementalOp, value string) error {
		res, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &value}})
		if err == nil && len(res) > 0 {
			err = res[0].Err
		}
		return err
	}
	Eventually(tb, 20*time.Second, "a transaction hangs", func(ctx context.Context) bool {
		err := alter(ctx, kadm.SetConfig, "false")
		if err == nil {
			err = f(ctx) // at first the brokers have not heard of it
		}
		return err == nil
	})
	if err := alter(tb.Context(), kadm.DeleteConfig, ""); err != nil {
		tb.Errorf("%s: %v", key, err)
	}
}
