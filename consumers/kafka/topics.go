package kafka

import (
	"sync"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// topicBook remembers, over generations, what this process knows of its topics.
// Safe for concurrent use.
type topicBook struct {
	mu sync.Mutex
	// initial is how many partitions each topic had when first seen.
	initial map[string]int32
	// gone holds, for partitions whose topic was recreated under this process,
	// how many records of the old topic were never read.
	gone map[topicPartition]int64
}

func newTopicBook() *topicBook {
	return &topicBook{initial: map[string]int32{}, gone: map[topicPartition]int64{}}
}

// see notes partition counts the first time they are known.
func (b *topicBook) see(m *kafkawire.Metadata) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range m.Topics {
		t := &m.Topics[i]
		if _, known := b.initial[t.Name]; !known && len(t.Partitions) > 0 {
			b.initial[t.Name] = int32(len(t.Partitions))
		}
	}
}

// counts returns a copy of initial.
func (b *topicBook) counts() map[string]int32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]int32, len(b.initial))
	for t, n := range b.initial {
		out[t] = n
	}
	return out
}

// recreated notes that a partition's topic is another one now.
func (b *topicBook) recreated(tp topicPartition, lost int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone[tp] = lost
}

// replaced says whether the partition has to begin in a recreated topic.
func (b *topicBook) replaced(tp topicPartition) (lost int64, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost, known = b.gone[tp]
	return lost, known
}

// settle forgets it: the partition has begun in the new topic.
func (b *topicBook) settle(tp topicPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.gone, tp)
}
