// Package load loads a system on a schedule that the system cannot influence,
// and measures from the schedule: open loop, no coordinated omission.
//
//	schedule := load.NewSchedule(load.Poisson, 1000, seed)
//	recorder := load.NewRecorder(load.RecorderConfig{Start: start, Warmup: 5 * time.Second, Duration: time.Minute})
//	generator := load.Generator{Schedule: schedule, Duration: time.Minute, Send: func(ctx context.Context, n int64, at time.Time) error {
//		if err := recorder.Sent(n, at, time.Now()); err != nil {
//			return err
//		}
//		publish(keys.Append(nil, n)) // whatever reaches the system under test
//		return nil
//	}}
//	sent, err := generator.Run(ctx, start)
//
// and where the answers come in:
//
//	if n, ok := keys.Parse(record.Key); ok {
//		recorder.Arrived(n, received, false)
//	}
//
// Latency is always from the scheduled instant to receipt. A sender that was
// held up sends late, which the latency contains; it never skips an instant and
// never moves one. What never came back is counted with its age at the end, so
// that losing slow records does not improve a percentile. See Gil Tene, "How not
// to measure latency", for what goes wrong otherwise.
//
// The package knows neither Kafka nor models.
package load
