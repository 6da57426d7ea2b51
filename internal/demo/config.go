package demo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// Config is what the user may choose.
type Config struct {
	// Rate is how many images are published a second, 0 for as many as go through.
	Rate float64
	// Count ends the demo after that many images, 0 for no end.
	Count int64
	// For ends the demo after that time, 0 for no end.
	For time.Duration
	// Partitions of each topic, 1 to 256.
	Partitions int32
	// Terminal is where the live view is drawn; nil for plain lines on Out.
	Terminal *os.File
	// Out takes the plain lines and the summary.
	Out io.Writer
	// Serve starts the service.
	Serve ServeFunc

	// settle bounds the wait for the last predictions at the end; 0 is 30 s.
	settle time.Duration
}

// Validate names the flag that cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Rate < 0:
		return errors.New("--rate: must not be negative; 0 publishes as fast as possible")
	case c.Count < 0:
		return errors.New("--count: must not be negative; 0 goes on until Ctrl-C")
	case c.For < 0:
		return errors.New("--for: must not be negative; 0 goes on until Ctrl-C")
	case c.Partitions < 1 || c.Partitions > 256:
		return errors.New("--partitions: must be 1 to 256")
	}
	return nil
}

// ServeFunc starts the service that `sluice run -c configFile` runs, logging to
// log, and returns without waiting for it to consume. It drains and ends when ctx
// does.
type ServeFunc func(ctx context.Context, configFile string, log *slog.Logger) (*Service, error)

// Service is the started service.
type Service struct {
	// Ready is closed when it consumes.
	Ready <-chan struct{}
	// Done is closed when it has ended.
	Done <-chan struct{}
	// Err is why it ended, once Done is closed: nil after a clean drain.
	Err func() error
	// Admin gives the address of its admin page once it is ready.
	Admin func() string
	// Metrics are its counters.
	Metrics *metrics.Registry
}
