package kafka

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
)

// failurePolicy decides which failed items get a dead letter. Safe for concurrent
// use.
type failurePolicy struct {
	cfg     DeadLetterConfig
	flooded metrics.Vec
	log     *slog.Logger
}

func newFailurePolicy(cfg DeadLetterConfig, tel *pipeline.Telemetry) failurePolicy {
	return failurePolicy{
		cfg: cfg, log: logger(tel),
		flooded: registry(tel).Gauge("sluice_dead_letter_flood", "1 when the input topic stopped for too many dead letters.", "topic"),
	}
}

// mayFail says why an item's dead letter must not be written.
func (p *failurePolicy) mayFail(f *flood, it *pipeline.Item) error {
	if p.cfg.OnError == OnErrorStop {
		return fmt.Errorf("%s/%d@%d: %w: %w", it.Topic, it.Partition, it.Offset, ErrItemStop, it.Err)
	}
	stop, first := f.letter(time.Now())
	if first {
		p.flooded.With(it.Topic).Set(1)
		p.log.Error("dead letter flood: the partitions of this topic stop at their next failed item; nothing is lost, it is not committed. Mend the model or the messages and restart, or raise dead_letter.max_share",
			"topic", it.Topic, "max_share", p.cfg.MaxShare, "window", p.cfg.Window,
			"class", string(it.Err.Class), "stage", string(it.Err.Stage), "error", it.Err.Message)
	}
	if stop {
		return fmt.Errorf("%s/%d@%d: %w: %w", it.Topic, it.Partition, it.Offset, ErrDeadLetterFlood, it.Err)
	}
	return nil
}
