package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// Broker is one broker of the cluster.
type Broker struct {
	ID   int32
	Host string
	Port int32
	Rack string
}

// PartitionMeta is one partition as the cluster sees it. Leader is -1 when
// there is none.
type PartitionMeta struct {
	Err                     ErrorCode
	ID, Leader, LeaderEpoch int32
	Replicas, ISR           []int32
}

// TopicMeta is one topic; Partitions are sorted by ID. The topic ID is zero on
// brokers before 2.8.
type TopicMeta struct {
	Err        ErrorCode
	Name       string
	ID         [16]byte
	Internal   bool
	Partitions []PartitionMeta
}

// Partition returns a partition by its number, nil when the topic has none of it.
func (t *TopicMeta) Partition(id int32) *PartitionMeta {
	i := sort.Search(len(t.Partitions), func(i int) bool { return t.Partitions[i].ID >= id })
	if i == len(t.Partitions) || t.Partitions[i].ID != id {
		return nil
	}
	return &t.Partitions[i]
}

// Metadata is the cluster as one broker sees it.
type Metadata struct {
	ClusterID  string
	Controller int32
	Brokers    []Broker
	Topics     []TopicMeta
}

// Topic returns a topic by name, nil when the answer has none of it.
func (m *Metadata) Topic(name string) *TopicMeta {
	for i := range m.Topics {
		if m.Topics[i].Name == name {
			return &m.Topics[i]
		}
	}
	return nil
}

// Metadata asks the cluster for these topics, or for all when none is named,
// and feeds the cache of leaders. It never creates a topic: one that does not
// exist has ErrUnknownTopicOrPartition as its Err.
func (c *Client) Metadata(ctx context.Context, topics ...string) (*Metadata, error) {
	return c.metadata(ctx, topics, len(topics) == 0)
}

// ClusterID is the cluster's id, asked for once.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	if id := c.view.clusterID(); id != "" {
		return id, nil
	}
	m, err := c.metadata(ctx, nil, false)
	if err != nil {
		return "", err
	}
	return m.ClusterID, nil
}

// metadata asks one broker after the other until one answers. A broker that is
// slow to answer is given metadataAttempt before the next is asked.
func (c *Client) metadata(ctx context.Context, topics []string, all bool) (*Metadata, error) {
	var errs []error
	for _, b := range c.candidates() {
		m, err := c.metadataFrom(ctx, b, topics, all)
		if err == nil {
			c.retire(c.view.feed(m, b))
			return m, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil || errors.Is(err, ErrUnsupportedVersion) || errors.Is(err, ErrClosed) {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// metadataAttempt: a healthy broker answers in milliseconds, also over a slow
// link with a TLS handshake before it; then it is the next one's turn. A guess.
const metadataAttempt = 3 * time.Second

type candidate struct {
	node int32
	addr string
}

// candidates are the brokers to ask, the known ones in random order before the
// bootstrap addresses.
func (c *Client) candidates() []candidate {
	list := c.view.addresses()
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, addr := range c.cfg.Brokers {
		if !slices.ContainsFunc(list, func(k candidate) bool { return k.addr == addr }) {
			list = append(list, candidate{-1, addr})
		}
	}
	return list
}

func (c *Client) metadataFrom(ctx context.Context, from candidate, topics []string, all bool) (*Metadata, error) {
	p, err := c.peerAt(from.addr, from.node)
	if err != nil {
		return nil, err
	}
	attempt, cancel := context.WithTimeout(ctx, metadataAttempt)
	defer cancel()
	r, err := c.call(attempt, p, &request{api: apiMetadata, encode: func(w *wireWriter) {
		encodeMetadata(w, topics, all)
	}})
	if err != nil {
		if attempt.Err() != nil && ctx.Err() == nil {
			c.drop(p)
		}
		return nil, err
	}
	m, throttle, err := decodeMetadata(r)
	if err != nil {
		return nil, c.netError(ctx, p, apiMetadata, err)
	}
	c.throttled(p, apiMetadata, throttle)
	return m, nil
}

func encodeMetadata(w *wireWriter, topics []string, all bool) {
	if all {
		w.nullArray()
	} else {
		w.arrayLen(len(topics))
		for _, name := range topics {
			if w.version >= 10 {
				w.uuid([16]byte{})
			}
			w.string(name)
			w.tags()
		}
	}
	w.bool(false) // create missing topics
	if w.version <= 10 {
		w.bool(false) // authorized operations of the cluster
	}
	w.bool(false) // authorized operations of the topics
	w.tags()
}

func decodeMetadata(r *wireReader) (m *Metadata, throttleMillis int32, err error) {
	m = &Metadata{}
	throttleMillis = r.int32()
	m.Brokers = make([]Broker, r.arrayLen(10))
	for i := range m.Brokers {
		m.Brokers[i] = Broker{ID: r.int32(), Host: r.string(), Port: r.int32(), Rack: r.string()}
		r.tags()
	}
	m.ClusterID = r.string()
	m.Controller = r.int32()
	// Grown as it is read: an element is much larger here than on the wire.
	for n := r.arrayLen(10); n > 0 && r.err == nil; n-- {
		m.Topics = append(m.Topics, decodeTopicMeta(r))
	}
	if r.version <= 10 {
		r.int32() // authorized operations of the cluster
	}
	r.tags()
	return m, throttleMillis, r.err
}

func decodeTopicMeta(r *wireReader) TopicMeta {
	t := TopicMeta{Err: ErrorCode(r.int16()), Name: r.string()}
	if r.version >= 10 {
		t.ID = r.uuid()
	}
	t.Internal = r.bool()
	for n := r.arrayLen(18); n > 0 && r.err == nil; n-- {
		p := PartitionMeta{Err: ErrorCode(r.int16()), ID: r.int32(), Leader: r.int32(), LeaderEpoch: r.int32()}
		p.Replicas = r.int32s()
		p.ISR = r.int32s()
		r.int32s() // offline replicas
		r.tags()
		t.Partitions = append(t.Partitions, p)
	}
	r.int32() // authorized operations
	r.tags()
	slices.SortFunc(t.Partitions, func(a, b PartitionMeta) int { return int(a.ID) - int(b.ID) })
	return t
}

// peer returns the broker with this id, wherever the cluster says it is now.
func (c *Client) peer(ctx context.Context, node int32, api apiKey) (*peer, error) {
	addr, fresh := c.view.address(node)
	if !fresh {
		_, err := c.view.ask(ctx, "", func() error {
			_, err := c.metadata(ctx, nil, false)
			return err
		})
		now, _ := c.view.address(node)
		switch {
		case now != "":
			addr = now
		case err != nil && addr == "":
			return nil, fmt.Errorf("look up broker %d: %w", node, err)
		}
	}
	if addr == "" {
		return nil, &NetError{API: apis[api].name, Node: node, Err: ErrNoBroker}
	}
	return c.peerAt(addr, node)
}
