package kafkawire

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// askInterval is the shortest time between two metadata requests for the same
// topic: an election takes at least as long, and a storm of NOT_LEADER answers
// must not become a storm of metadata requests.
const askInterval = 250 * time.Millisecond

// view is what is known of the cluster: brokers and leaders. It is fed by every
// metadata answer. mu is held for memory only, never over a request.
type view struct {
	mu      sync.Mutex
	cluster string
	brokers map[int32]Broker
	// doubtful: a request failed since the brokers were listed, one may have moved.
	doubtful bool
	answered candidate
	topics   map[string]*knownTopic
	asks     map[string]*asked // by topic; "" is the list of brokers
}

type knownTopic struct {
	meta  TopicMeta
	stale bool
}

type asked struct {
	last    time.Time
	running chan struct{} // closed at the end; nil when nobody asks
}

func (v *view) init() {
	v.brokers = map[int32]Broker{}
	v.topics = map[string]*knownTopic{}
	v.asks = map[string]*asked{}
}

func (v *view) clusterID() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cluster
}

func (b Broker) addr() string { return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) }

func (v *view) addresses() []candidate {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := make([]candidate, 0, len(v.brokers))
	for id, b := range v.brokers {
		list = append(list, candidate{id, b.addr()})
	}
	return list
}

// address is where a broker is; fresh is false when it should be asked for
// again before it is used.
func (v *view) address(node int32) (addr string, fresh bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.brokers[node]
	if !ok {
		return "", false
	}
	return b.addr(), !v.doubtful
}

// suspect makes the next call ask where the brokers are.
func (v *view) suspect() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.doubtful = true
}

func (v *view) isDoubtful() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.doubtful
}

// lastAnswer is the broker that answered the latest metadata request.
func (v *view) lastAnswer() candidate {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.answered
}

// feed takes over a metadata answer and returns the addresses it names.
func (v *view) feed(m *Metadata, from candidate) map[string]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answered = from
	named := make(map[string]bool, len(m.Brokers))
	if m.ClusterID != "" {
		v.cluster = m.ClusterID
	}
	brokers := make(map[int32]Broker, len(m.Brokers))
	for _, b := range m.Brokers {
		brokers[b.ID] = b
		named[b.addr()] = true
	}
	v.brokers = brokers
	v.doubtful = false
	for _, t := range m.Topics {
		v.feedTopic(t)
	}
	return named
}

// feedTopic keeps what a newer leader epoch said: a broker that is behind may
// answer with an older leader.
func (v *view) feedTopic(t TopicMeta) {
	// Without ids (before 2.8) a recreated topic, whose epochs begin anew, cannot
	// be told from the old one.
	old := v.topics[t.Name]
	if old != nil && t.ID != [16]byte{} && old.meta.ID == t.ID && t.Err == ErrNone {
		t.Partitions = slices.Clone(t.Partitions)
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if o := old.meta.Partition(p.ID); o != nil && o.LeaderEpoch > p.LeaderEpoch && o.Leader >= 0 {
				*p = *o
			}
		}
	}
	v.topics[t.Name] = &knownTopic{meta: t}
}

// leader is the cached leader; ok is false when the cluster must be asked.
func (v *view) leader(topic string, partition int32) (node, epoch int32, ok bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.topics[topic]
	if t == nil {
		return -1, -1, false, ErrUnknownTopicOrPartition
	}
	p := t.meta.Partition(partition)
	switch {
	case t.meta.Err != ErrNone:
		return -1, -1, false, t.meta.Err
	case p == nil:
		return -1, -1, false, ErrUnknownTopicOrPartition
	case p.Leader < 0 || p.Err == ErrLeaderNotAvailable:
		return -1, -1, false, ErrLeaderNotAvailable
	}
	return p.Leader, p.LeaderEpoch, !t.stale, nil
}

func (v *view) forget(topic string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t := v.topics[topic]; t != nil {
		t.stale = true
	}
}

// ask runs fn unless somebody else is asking for the same already, whose answer
// is then waited for (mine is false). Two asks are askInterval apart.
func (v *view) ask(ctx context.Context, what string, fn func() error) (mine bool, err error) {
	for {
		v.mu.Lock()
		a := v.asks[what]
		if a == nil {
			a = &asked{}
			v.asks[what] = a
		}
		if running := a.running; running != nil {
			v.mu.Unlock()
			select {
			case <-running:
				return false, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
		if wait := askInterval - time.Since(a.last); wait > 0 {
			v.mu.Unlock()
			if err := sleep(ctx, wait); err != nil {
				return false, err
			}
			continue
		}
		a.running = make(chan struct{})
		v.mu.Unlock()
		err := fn()
		v.mu.Lock()
		close(a.running)
		a.running, a.last = nil, time.Now()
		v.mu.Unlock()
		return true, err
	}
}

// Leader returns the broker that leads a partition and the leader epoch, from
// the cache where it holds them. A topic or partition that does not exist is
// ErrUnknownTopicOrPartition, one without a leader ErrLeaderNotAvailable.
func (c *Client) Leader(ctx context.Context, topic string, partition int32) (node, epoch int32, err error) {
	for {
		node, epoch, ok, _ := c.view.leader(topic, partition)
		if ok {
			return node, epoch, nil
		}
		mine, err := c.view.ask(ctx, topic, func() error {
			_, err := c.Metadata(ctx, topic)
			return err
		})
		if err != nil {
			return -1, -1, fmt.Errorf("find the leader of %s/%d: %w", topic, partition, err)
		}
		if !mine {
			continue
		}
		node, epoch, _, err = c.view.leader(topic, partition)
		if err != nil {
			return -1, -1, fmt.Errorf("find the leader of %s/%d: %w", topic, partition, err)
		}
		return node, epoch, nil
	}
}

// CachedLeader is Leader without a request: fresh is false when the cluster must
// be asked, and err says why there is no leader as far as is known.
func (c *Client) CachedLeader(topic string, partition int32) (node, epoch int32, fresh bool, err error) {
	return c.view.leader(topic, partition)
}

// leadersAsk is the name under which asks for the leaders of many topics are paced.
const leadersAsk = "\x00leaders"

// FindLeaders asks the cluster for the leaders of these topics in one request, for
// CachedLeader; two such requests are 250 ms apart.
func (c *Client) FindLeaders(ctx context.Context, topics ...string) error {
	for {
		mine, err := c.view.ask(ctx, leadersAsk, func() error {
			_, err := c.Metadata(ctx, topics...)
			return err
		})
		if err != nil {
			return fmt.Errorf("find the leaders of %d topics: %w", len(topics), err)
		}
		if mine {
			return nil
		}
	}
}

// Forget makes the next Leader of this topic ask the cluster again, at most
// once per 250 ms.
func (c *Client) Forget(topic string) { c.view.forget(topic) }
