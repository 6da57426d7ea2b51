package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// ScanConfig says what Scan reads.
type ScanConfig struct {
	Topic string
	// From has the partitions to read and where each begins.
	From map[int32]int64
	// Until is where a partition ends, exclusive; one without is followed for
	// ever. Offsets that hold no record count as read.
	Until map[int32]int64
	// ReadCommitted leaves out open and aborted transactions.
	ReadCommitted bool
	// MaxBatchBytes bounds one decompressed batch; default 64 MiB.
	MaxBatchBytes int64
	// Headers bounds the headers of one record; default none.
	Headers kafkawire.HeaderLimit
}

// scanPatience is how long every fetch of a scan may fail before it gives up.
const scanPatience = 30 * time.Second

// Scan reads partitions without a group and commits nothing: for looking at
// topics. It calls fn for each record, from one goroutine, in offset order per
// partition, with the offset to go on from; rec is valid until fn returns. It
// blocks until every partition has reached its Until (nil), fn returns an error
// (that error), or ctx is done (its cause).
func Scan(ctx context.Context, client *kafkawire.Client, cfg ScanConfig, fn func(rec *schemas.Record, next int64) error) error {
	s := newScan(client, cfg, fn)
	again := newBackoff(50*time.Millisecond, time.Second)
	failing := time.Now()
	for s.open() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		answers, err := s.round(ctx)
		for _, a := range answers {
			if err := s.read(a); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
			failing = time.Now()
			again.Reset()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !temporary(err) || time.Since(failing) > scanPatience:
			return fmt.Errorf("scan topic %s: %w", cfg.Topic, err)
		default:
			client.Forget(cfg.Topic)
			pause(ctx, again.NextBackOff())
		}
	}
	return nil
}

// temporary says whether a fetch may succeed later.
func temporary(err error) bool {
	var net *kafkawire.NetError
	return errors.As(err, &net) || retriable(err)
}

// scanned is one partition of a scan.
type scanned struct {
	id      int32
	cur     cursor
	asked   int64 // offset of the fetch under way
	until   int64 // -1 follows
	maxByte int32
}

type scan struct {
	client *kafkawire.Client
	cfg    ScanConfig
	fn     func(*schemas.Record, int64) error
	parts  []*scanned
	memory *memory
	limit  int64
	rec    kafkawire.WireRecord
	out    schemas.Record
}

func newScan(client *kafkawire.Client, cfg ScanConfig, fn func(*schemas.Record, int64) error) *scan {
	s := &scan{client: client, cfg: cfg, fn: fn, limit: cfg.MaxBatchBytes}
	orDefault(&s.limit, 64<<20)
	s.memory = &memory{budget: pipeline.NewBudget(1 << 40), keep: hotBytes, released: func(bool) {}}
	for _, id := range slices.Sorted(maps.Keys(cfg.From)) {
		until, ok := cfg.Until[id]
		if !ok {
			until = -1
		}
		p := &scanned{id: id, until: until, maxByte: 1 << 20}
		p.cur.position, p.cur.limit = cfg.From[id], cfg.Headers
		s.parts = append(s.parts, p)
	}
	return s
}

// open drops the partitions that are read to their end; false when none is left.
func (s *scan) open() bool {
	s.parts = slices.DeleteFunc(s.parts, func(p *scanned) bool { return p.until >= 0 && p.cur.position >= p.until })
	return len(s.parts) > 0
}

// round asks every leader once, side by side.
func (s *scan) round(ctx context.Context) ([]*kafkawire.FetchResponse, error) {
	requests := map[int32]*kafkawire.FetchRequest{}
	for _, p := range s.parts {
		node, epoch, err := s.client.Leader(ctx, s.cfg.Topic, p.id)
		if err != nil {
			return nil, err
		}
		req := requests[node]
		if req == nil {
			req = &kafkawire.FetchRequest{MaxWait: 500 * time.Millisecond, MinBytes: 1, MaxBytes: hotBytes, ReadCommitted: s.cfg.ReadCommitted, Alloc: s.memory.alloc}
			requests[node] = req
		}
		p.asked = p.cur.position
		req.Partitions = append(req.Partitions, kafkawire.FetchPartition{
			Topic: s.cfg.Topic, Partition: p.id, LeaderEpoch: epoch, Offset: p.asked, MaxBytes: p.maxByte,
		})
	}
	var mu sync.Mutex
	var calls sync.WaitGroup
	var answers []*kafkawire.FetchResponse
	var failed error
	for node, req := range requests {
		if len(requests) > 1 {
			req.MaxWait = shortWait // one quiet leader must not hold the others back
		}
		calls.Go(func() { // ends with its request
			call, cancel := context.WithTimeout(ctx, req.MaxWait+fetchGrace)
			defer cancel()
			resp, err := s.client.Fetch(call, node, req)
			if err == nil && resp.Err != kafkawire.ErrNone {
				err = resp.Err
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			answers = append(answers, resp)
		})
	}
	calls.Wait()
	for _, a := range answers {
		for i := range a.Partitions {
			if code := a.Partitions[i].Err; code != kafkawire.ErrNone {
				failed = fmt.Errorf("partition %d from offset %d: %w", a.Partitions[i].Partition, s.find(a.Partitions[i].Partition).asked, code)
			}
		}
	}
	return answers, failed
}

func (s *scan) find(id int32) *scanned {
	for _, p := range s.parts {
		if p.id == id {
			return p
		}
	}
	return &scanned{id: id}
}

// read calls fn for the records of one answer.
func (s *scan) read(a *kafkawire.FetchResponse) error {
	s.memory.budget.Add(int64(cap(a.Buf)))
	whole := s.memory.lease(a.Buf, nil)
	defer whole.Release()
	for i := range a.Partitions {
		fp := &a.Partitions[i]
		p := s.find(fp.Partition)
		if fp.Err != kafkawire.ErrNone || len(fp.Records) == 0 {
			continue
		}
		size, _ := walk(fp.Records, p.asked)
		if size == 0 {
			p.maxByte = min(p.maxByte*2, 1<<30)
			continue
		}
		p.maxByte = 1 << 20
		p.cur.load(fp.Records[:size], fp.Verified, fp.Aborted)
		if err := s.records(p); err != nil {
			p.cur.reset()
			return err
		}
	}
	return nil
}

func (s *scan) records(p *scanned) error {
	for {
		s.rec.Headers = s.rec.Headers[:0]
		switch step := p.cur.next(&s.rec, s); step.event {
		case gotRecord:
			if p.until >= 0 && s.rec.Offset >= p.until {
				p.cur.reset()
				return nil
			}
			s.out = schemas.Record{
				Topic: s.cfg.Topic, Partition: p.id, Offset: s.rec.Offset, Timestamp: s.rec.Timestamp,
				Key: s.rec.Key, Value: s.rec.Value, Headers: s.rec.Headers,
			}
			if err := s.fn(&s.out, step.next); err != nil {
				return err
			}
		case gotEnd:
			return nil
		case gotStub, gotCorrupt:
			return fmt.Errorf("scan topic %s, partition %d, batch at offset %d: %w", s.cfg.Topic, p.id, p.cur.batch.BaseOffset, step.err)
		default: // skipped: nothing to show
		}
	}
}

// unpack implements unpacker.
func (s *scan) unpack(b *kafkawire.RawBatch) (*lease, []byte, error) {
	payload, err := b.Decompress(s.memory.alloc(len(b.Payload) * firstRatio)[:0], s.limit)
	if err != nil {
		return nil, nil, err
	}
	s.memory.budget.Add(int64(cap(payload)))
	return s.memory.lease(payload[:cap(payload)], nil), payload, nil
}
