package kafka

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// Pauses between look-ups that did not help: the first is short, because a
// leader moves within milliseconds; a missing topic is asked for once a second.
const (
	lookupMin = 50 * time.Millisecond
	lookupMax = time.Second
)

// lookupPause doubles with each miss.
func lookupPause(misses int) time.Duration {
	return min(lookupMin<<min(misses, 10), lookupMax)
}

// identity is the producer id that new partitions start with.
type identity struct {
	current producerID
	asking  bool
	askAt   time.Time
	misses  int
}

// identify gives the partition a producer id that it has not used; false when
// it has to be asked for first.
func (d *dispatcher) identify(ctx context.Context, pt *partition, now time.Time) bool {
	if pt.producer.serial > 0 {
		return true
	}
	if d.ids.current.serial > pt.lost {
		pt.producer, pt.sequence = d.ids.current, 0
		return true
	}
	if d.ids.asking {
		return false
	}
	if d.ids.askAt.After(now) {
		d.wait(d.ids.askAt)
		return false
	}
	d.ids.asking = true
	d.start(func() event {
		pid, epoch, err := d.p.broker.InitProducerID(ctx, "", 0, -1, -1)
		if err == nil && pid < 0 {
			// A broker takes batches of producer -1 as not idempotent, silently.
			err = errors.New("InitProducerID answered a negative producer id")
		}
		return &numbered{pid: pid, epoch: epoch, err: err}
	})
	return false
}

// numbered is the answer to InitProducerID.
type numbered struct {
	pid   int64
	epoch int16
	err   error
}

// apply implements event.
func (e *numbered) apply(d *dispatcher, now time.Time) {
	ids := &d.ids
	ids.asking = false
	if e.err == nil {
		ids.misses = 0
		ids.current = producerID{pid: e.pid, epoch: e.epoch, serial: ids.current.serial + 1}
		return
	}
	ids.askAt = now.Add(lookupPause(ids.misses))
	ids.misses++
	for _, pt := range d.active {
		if pt.producer.serial == 0 && !pt.inFlight {
			d.stuck(pt, e.err, now)
		}
	}
}

// stuck is a partition that cannot send because a look-up failed.
func (d *dispatcher) stuck(pt *partition, err error, now time.Time) {
	d.warn(pt, err, now)
	if ruleFor(err).action == persist && d.grace(pt, now) {
		d.giveUp(pt, err, now)
	}
}

// ask looks up a topic's leaders, its partitions the first time, and its
// largest message, on a goroutine of its own; at most one at a time per topic.
func (d *dispatcher) ask(ctx context.Context, t *topic, now time.Time) {
	if t.asking {
		return
	}
	if t.askAt.After(now) {
		d.wait(t.askAt)
		return
	}
	t.asking = true
	d.start(func() event {
		e := &located{t: t}
		var meta *kafkawire.Metadata
		if meta, e.err = d.p.broker.Metadata(ctx, t.name); e.err != nil {
			return e
		}
		e.meta = meta.Topic(t.name)
		switch {
		case e.meta == nil, e.meta.Err == kafkawire.ErrNone && len(e.meta.Partitions) == 0:
			e.err = kafkawire.ErrUnknownTopicOrPartition
		case e.meta.Err != kafkawire.ErrNone:
			e.err = e.meta.Err
		default:
			e.maxBytes = d.p.maxMessage(ctx, t.name)
		}
		return e
	})
}

// maxMessage is the topic's max.message.bytes, 0 when it may not be read: then
// batches that are too large are split when they are refused.
func (p *Producer) maxMessage(ctx context.Context, name string) int {
	return maxMessage(ctx, p.broker, name)
}

func maxMessage(ctx context.Context, b interface {
	TopicConfig(ctx context.Context, topic string, keys ...string) (map[string]string, error)
}, name string,
) int {
	const key = "max.message.bytes"
	config, err := b.TopicConfig(ctx, name, key)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(config[key])
	if err != nil {
		return 0
	}
	return n
}

// located is the answer about a topic.
type located struct {
	t        *topic
	meta     *kafkawire.TopicMeta
	maxBytes int
	err      error
}

// apply implements event.
func (e *located) apply(d *dispatcher, now time.Time) {
	t := e.t
	t.asking = false
	t.askAt = now.Add(lookupPause(t.misses))
	t.misses++
	if e.err != nil {
		for _, pt := range d.active {
			if pt.topic == t && !pt.inFlight && pt.leader < 0 {
				d.stuck(pt, e.err, now)
			}
		}
		return
	}
	if e.maxBytes > 0 {
		t.batchBytes.Store(int64(min(d.p.cfg.BatchBytes, e.maxBytes)))
	}
	d.fix(t, len(e.meta.Partitions))
	e.lead(d, *t.parts.Load(), now)
}

// fix publishes the number of partitions the first time, and logs a change.
func (d *dispatcher) fix(t *topic, count int) {
	parts := t.parts.Load()
	if parts == nil {
		if t.lobby.healthy() {
			d.p.meters.unwritable.Set(d.p.meters.unwritable.Value() - 1)
			d.p.log.Info("output topic is writable again", "topic", t.name)
		}
		t.publish(d.p, count)
		t.count = count
		d.admit()
		return
	}
	if count != t.count {
		d.p.log.Warn("output topic has another number of partitions: keys keep the partitions of the start until a restart",
			"topic", t.name, "at_start", len(*parts), "now", count)
		t.count = count
	}
}

// lead takes over the leaders; a partition that the topic no longer has, or
// that we may not see, is refused.
func (e *located) lead(d *dispatcher, parts []*partition, now time.Time) {
	found := make([]bool, len(parts))
	for i := range e.meta.Partitions {
		m := &e.meta.Partitions[i]
		if int(m.ID) >= len(parts) || m.ID < 0 {
			continue
		}
		pt := parts[m.ID]
		found[m.ID] = true
		if pt.leader < 0 && m.Leader >= 0 {
			pt.leader = m.Leader
			e.t.misses = 0
		}
	}
	for _, pt := range d.active {
		if pt.topic == e.t && pt.id >= 0 && !found[pt.id] && !pt.inFlight {
			pt.leader = -1
			d.stuck(pt, kafkawire.ErrUnknownTopicOrPartition, now)
		}
	}
}
