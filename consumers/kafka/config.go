package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// Start says where a group begins that has committed nothing yet.
type Start string

// The start positions. Partitions added later always begin at their first
// record, whatever Start says: nobody has read them.
const (
	StartEarliest Start = "earliest"
	StartLatest   Start = "latest"
)

// OutOfRange says what to do when the next record to read is gone.
type OutOfRange string

// The policies. Lost records are counted in all three.
const (
	OutOfRangeStop     OutOfRange = "stop"
	OutOfRangeEarliest OutOfRange = "earliest"
	OutOfRangeLatest   OutOfRange = "latest"
)

// minSessionTimeout is the broker's own default bound
// (group.min.session.timeout.ms is 6 s): a broker configured lower accepts less,
// so less is only refused by the broker (code 26).
const minSessionTimeout = 100 * time.Millisecond

// Config says what a Source reads, as which member, and how much of it at once.
// The zero value of an optional field is its default.
type Config struct {
	// Topics are read by every member of the group; at least one.
	Topics []string
	// Group is the consumer group that holds the committed positions.
	Group string
	// Instance makes the member static (KIP-345): a restart under the same name
	// keeps the generation. Empty is a dynamic member.
	Instance string
	// Start is where a group without committed offsets begins; default earliest.
	Start Start
	// OutOfRange is what happens when retention deleted what was not read;
	// default stop.
	OutOfRange OutOfRange
	// ReadUncommitted also reads open and aborted transactions; the default is
	// read_committed.
	ReadUncommitted bool
	// SessionTimeout is how long the coordinator waits for a heartbeat before it
	// gives the partitions away; default 10 s.
	SessionTimeout time.Duration
	// RebalanceTimeout is how long the group waits for a member to rejoin;
	// default 30 s.
	RebalanceTimeout time.Duration
	// MaxInFlight bounds the items between fetch and durable outcome; default
	// 16384. No partition holds more than about twice its fair share.
	MaxInFlight int
	// MaxInFlightBytes bounds the memory of fetched records; default 256 MiB.
	// One batch always comes whole (KIP-74), also above it.
	MaxInFlightBytes int64
	// MaxUncommitted bounds, per partition, the delivered items that wait for an
	// earlier one; default 65536.
	MaxUncommitted int
	// CommitInterval is how often positions are committed; default 100 ms.
	CommitInterval time.Duration
	// StartupWait is how long topics and coordinator may be missing at Start;
	// default 60 s.
	StartupWait time.Duration
	// Unordered lets the outcomes of a partition leave in any order.
	Unordered bool
	// MaxBatchBytes bounds one decompressed batch; default 64 MiB, never above
	// MaxInFlightBytes. A larger one is stepped over with one dead letter.
	MaxBatchBytes int64
	// Headers bounds the headers of one record; default 1024 headers of 256 KiB
	// together. A record with more is a dead letter.
	Headers kafkawire.HeaderLimit
	// FetchWait is how long the broker holds an empty fetch; default 500 ms.
	FetchWait time.Duration
	// FetchBytes is asked of one partition at once; default 4 MiB.
	FetchBytes int
	// WatchInterval is how often partition counts and topic ids are compared
	// with the cluster; default 5 s.
	WatchInterval time.Duration
	// Budget is the byte budget shared with other parts; nil makes one of
	// MaxInFlightBytes.
	Budget *pipeline.Budget
	// Transactions, when set, commit the positions together with the outcomes
	// (exactly-once). The outcomes must be ordered.
	Transactions Transactions
	// TransactionalID is the name of those transactions: commits carry it, so that
	// an heir can end what this process leaves open.
	TransactionalID string
	// TransactionalPrefix begins the names of all processes of the group.
	TransactionalPrefix string
	// TransactionTopics are those that the transactions write to.
	TransactionTopics []string
}

// withDefaults returns c with every zero field set.
func (c Config) withDefaults() Config {
	orDefault(&c.Start, StartEarliest)
	orDefault(&c.OutOfRange, OutOfRangeStop)
	orDefault(&c.SessionTimeout, 10*time.Second)
	orDefault(&c.RebalanceTimeout, 30*time.Second)
	orDefault(&c.MaxInFlight, 16384)
	orDefault(&c.MaxInFlightBytes, 256<<20)
	orDefault(&c.MaxUncommitted, 65536)
	orDefault(&c.CommitInterval, 100*time.Millisecond)
	orDefault(&c.StartupWait, time.Minute)
	orDefault(&c.MaxBatchBytes, 64<<20)
	orDefault(&c.Headers.Count, 1024)
	orDefault(&c.Headers.Bytes, 256<<10)
	orDefault(&c.FetchWait, 500*time.Millisecond)
	orDefault(&c.FetchBytes, 4<<20)
	orDefault(&c.WatchInterval, 5*time.Second)
	c.MaxBatchBytes = min(c.MaxBatchBytes, c.MaxInFlightBytes)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate names every wrong key at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(len(c.Topics) == 0, "input.topics: name at least one topic")
	for i, t := range c.Topics {
		wrong(t == "", "input.topics[%d]: is empty", i)
		for _, u := range c.Topics[:i] {
			wrong(t == u, "input.topics[%d]: %q is there twice", i, t)
		}
	}
	wrong(c.Group == "", "input.group: name the consumer group")
	wrong(c.Start != StartEarliest && c.Start != StartLatest,
		"input.start: %q is neither earliest nor latest", c.Start)
	wrong(c.OutOfRange != OutOfRangeStop && c.OutOfRange != OutOfRangeEarliest && c.OutOfRange != OutOfRangeLatest,
		"input.out_of_range: %q is none of stop, earliest, latest", c.OutOfRange)
	wrong(c.SessionTimeout < minSessionTimeout, "input.session_timeout: %v is too short; the broker's default minimum is 6s", c.SessionTimeout)
	wrong(c.RebalanceTimeout < minSessionTimeout, "input.rebalance_timeout: %v is too short", c.RebalanceTimeout)
	wrong(c.MaxInFlight < 1, "input.max_in_flight: %d must be at least 1", c.MaxInFlight)
	wrong(c.MaxInFlightBytes < 1, "input.max_in_flight_bytes: %d must be at least 1", c.MaxInFlightBytes)
	wrong(c.MaxUncommitted < 1, "input.max_uncommitted: %d must be at least 1", c.MaxUncommitted)
	wrong(c.CommitInterval < 0, "input.commit_interval: %v must not be negative", c.CommitInterval)
	wrong(c.Transactions != nil && c.Unordered, "output.order: none does not go with exactly-once")
	return errors.Join(errs...)
}

// heartbeatInterval leaves room for two lost heartbeats in a session. At most a second,
// for a member hears of a rebalance by its next heartbeat: who takes over from a dead one
// begins that much later.
func (c *Config) heartbeatInterval() time.Duration { return min(time.Second, c.SessionTimeout/3) }

// drainLimit is how long a rebalance waits for running work. The group's clock
// began up to one heartbeat before this member heard of it, and the last commit
// needs time as well: hence a fifth is kept back.
func (c *Config) drainLimit() time.Duration {
	d := min(c.SessionTimeout, c.RebalanceTimeout-c.heartbeatInterval())
	return max(d-d/5, 0)
}
