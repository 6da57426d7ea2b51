package load_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/internal/load"
)

// Load something that answers at once with 500 records a second for a fifth of
// a second.
func Example() {
	const duration = 200 * time.Millisecond
	start := time.Now()
	recorder := load.NewRecorder(load.RecorderConfig{Start: start, Duration: duration})
	keys := load.Keys{Prefix: "trial-"}
	echo := func(key []byte) {
		if n, ok := keys.Parse(key); ok {
			recorder.Arrived(n, time.Now(), false)
		}
	}
	generator := load.Generator{
		Schedule: load.NewSchedule(load.Constant, 500, 1), Duration: duration,
		Send: func(_ context.Context, n int64, at time.Time) error {
			if err := recorder.Sent(n, at, time.Now()); err != nil {
				return err
			}
			echo(keys.Append(nil, n))
			return nil
		},
	}
	sent, err := generator.Run(context.Background(), start)
	recorder.Finish(time.Now())
	fmt.Println(sent, err, recorder.Counts().Received, recorder.Latency().Count())
	// Output: 100 <nil> 100 100
}
