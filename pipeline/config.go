package pipeline

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Order says how the outcomes of one input partition leave.
type Order string

// The orders.
const (
	// OrderPartition delivers in input order.
	OrderPartition Order = "partition"
	// OrderNone delivers each outcome when it is done.
	OrderNone Order = "none"
)

// Tombstones says what becomes of null values, which never reach a model.
type Tombstones string

// The policies for tombstones.
const (
	TombstonesPass       Tombstones = "pass"
	TombstonesSkip       Tombstones = "skip"
	TombstonesDeadLetter Tombstones = "dead-letter"
)

// ExpiredPolicy says what becomes of items whose deadline has passed.
type ExpiredPolicy string

// The policies for expired items.
const (
	ExpiredDeadLetter ExpiredPolicy = "dead-letter"
	ExpiredDrop       ExpiredPolicy = "drop"
)

// OnError says what an item's own fault does.
type OnError string

// The policies for faulty items.
const (
	OnErrorDeadLetter OnError = "dead-letter"
	// OnErrorStop stops the partition before the item, with nothing written.
	OnErrorStop OnError = "stop"
)

// Config holds the pipeline's settings. New fills in what is zero.
type Config struct {
	// MaxInFlight is how many items may be between fetch and durable outcome
	// (I4), at least 1.
	MaxInFlight int
	// Budget counts encoded outputs until they are settled; shared with the
	// source, which counts what it fetched. Nil counts nothing.
	Budget *Budget
	// Workers is how many batches run at once, default GOMAXPROCS.
	Workers int
	// Decoders is how many goroutines decode, default GOMAXPROCS. With at least
	// as many Workers there are none: each worker decodes what it runs.
	Decoders int
	// MaxRows is the largest batch in rows, at least 1.
	MaxRows int
	// MaxDelay is how long a batch may wait to grow while a worker is idle; 0
	// lets it leave at once.
	MaxDelay time.Duration
	// RunTimeout bounds one run of the model; 0 is no bound.
	RunTimeout time.Duration
	// DrainTimeout bounds the time from the end of Run's context to its return.
	DrainTimeout time.Duration
	// Order is informative here: partitions carry it (PartitionConfig.Ordered).
	Order Order
	// Tombstones, Expired and OnError default to pass, dead-letter, dead-letter.
	Tombstones Tombstones
	Expired    ExpiredPolicy
	OnError    OnError
	// ModelName, ModelVersion and Group name things in spans and metrics.
	ModelName, ModelVersion, Group string
	// Destination names the topic an outcome goes to, for its send span; nil
	// leaves the name out. Called for recorded items only.
	Destination func(it *Item) string
}

// Validate names every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("pipeline: "+format, args...))
		}
	}
	refuse(c.MaxInFlight < 1, "MaxInFlight is %d, want at least 1", c.MaxInFlight)
	refuse(c.MaxRows < 1, "MaxRows is %d, want at least 1", c.MaxRows)
	refuse(c.Workers < 0, "Workers is %d, want 0 (one per core) or more", c.Workers)
	refuse(c.Decoders < 0, "Decoders is %d, want 0 (one per core) or more", c.Decoders)
	refuse(c.MaxDelay < 0, "MaxDelay is %s, want 0 or more", c.MaxDelay)
	refuse(c.RunTimeout < 0, "RunTimeout is %s, want 0 (no bound) or more", c.RunTimeout)
	refuse(c.DrainTimeout <= 0, "DrainTimeout is %s, want more than 0", c.DrainTimeout)
	refuse(!oneOf(c.Order, "", OrderPartition, OrderNone), "Order is %q, want partition or none", c.Order)
	refuse(!oneOf(c.Tombstones, "", TombstonesPass, TombstonesSkip, TombstonesDeadLetter),
		"Tombstones is %q, want pass, skip or dead-letter", c.Tombstones)
	refuse(!oneOf(c.Expired, "", ExpiredDeadLetter, ExpiredDrop), "Expired is %q, want dead-letter or drop", c.Expired)
	refuse(!oneOf(c.OnError, "", OnErrorDeadLetter, OnErrorStop), "OnError is %q, want dead-letter or stop", c.OnError)
	return errors.Join(errs...)
}

func oneOf[T comparable](v T, allowed ...T) bool {
	for _, a := range allowed {
		if v == a {
			return true
		}
	}
	return false
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Decoders == 0 {
		c.Decoders = runtime.GOMAXPROCS(0)
	}
	if c.Tombstones == "" {
		c.Tombstones = TombstonesPass
	}
	if c.Expired == "" {
		c.Expired = ExpiredDeadLetter
	}
	if c.OnError == "" {
		c.OnError = OnErrorDeadLetter
	}
	return c
}
