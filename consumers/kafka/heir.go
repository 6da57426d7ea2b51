package kafka

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// An instance that dies inside a transaction and does not come back leaves its
// offsets unstable until the transaction times out, and the coordinator looks for
// that every 10 s only. So each commit names the transactional id it was made
// under, and whoever inherits the partition ends what is open under that id.

const (
	// heirPatience is longer than a healthy commit takes: measured medians are 10
	// to 45 ms.
	heirPatience = 300 * time.Millisecond
	// heirPause is between two tries of the same partition.
	heirPause = 2 * time.Second
	// heirRest is between the later tries of the same owner.
	heirRest = 30 * time.Second
	// heirTimeout goes with the id until its owner initialises it again; the heir
	// opens no transaction under it.
	heirTimeout = 10 * time.Second
)

// ownerPrefix begins the field of a commit's metadata that names the owner.
const ownerPrefix = "sluice.txn="

// withOwner adds the transactional id to a commit's metadata.
func withOwner(metadata, id string) string {
	if id == "" {
		return metadata
	}
	return strings.TrimSpace(metadata + " " + ownerPrefix + id)
}

// withoutOwner is a commit's metadata without that field.
func withoutOwner(metadata string) string {
	if owner, ok := metadataField(metadata, ownerPrefix); ok {
		return strings.TrimSpace(strings.Replace(" "+metadata+" ", " "+ownerPrefix+owner+" ", " ", 1))
	}
	return metadata
}

// metadataField is the value of a field of a commit's metadata.
func metadataField(metadata, prefix string) (value string, ok bool) {
	for field := range strings.FieldsSeq(metadata) {
		if value, ok = strings.CutPrefix(field, prefix); ok {
			return value, true
		}
	}
	return "", false
}

// heir ends transactions of other owners.
type heir struct {
	owners map[string]*estate
}

// of is what is known of an owner in this life of its, "" where no commit tells which;
// what is old is forgotten. One that came back and died again is another matter: that it
// was taken from lately says nothing, for a new process has not counted that.
func (h *heir) of(owner, life string, now time.Time) *estate {
	maps.DeleteFunc(h.owners, func(_ string, e *estate) bool { return now.Sub(e.next) > heirRest })
	if h.owners == nil {
		h.owners = map[string]*estate{}
	}
	e := h.owners[owner]
	if e == nil || life != "" && e.life != "" && e.life != life {
		e = &estate{next: now}
		h.owners[owner] = e
	}
	e.life = cmp.Or(life, e.life)
	return e
}

// estate is an owner whose transactions hold offsets.
type estate struct {
	life  string            // its process, as commits tell it (runPrefix)
	fate  kafkawire.TxnFate // of the last transaction, from before its name was initialised
	tries int
	next  time.Time
	// Of an owner that no commit names: its epoch when it was looked at.
	looked bool
	epoch  int16
}

// tried counts a try and says when the next may be. Few: one that lives counts how often
// its name was taken.
func (e *estate) tried(now time.Time) {
	e.tries++
	e.next = now.Add(heirPause)
	if e.tries > 1 {
		e.next = now.Add(heirRest)
	}
}

// busy says whether an owner that no commit names has a life of its own: it may belong
// to a group whose name begins like this one's, or have nothing to do with the trouble.
func (e *estate) busy(now time.Time, epoch int16) bool {
	if e.tries > 0 || e.looked && e.epoch == epoch {
		return false
	}
	e.looked, e.epoch, e.next = true, epoch, now.Add(heirPause)
	return true
}

// inherit ends the transactions of dead owners that hold the offsets of these
// partitions. A live one that is merely slow does its transaction again.
//
// Offsets that still wait when that is done wait for a marker that a broker left out
// (kafkawire.Client.MarkAgain). Whose it is only the broker knows, so that then all
// names of the group are asked for, this process's own included, and where nothing goes
// on under them the markers of their last transactions are written again to all that
// they may have reached.
func (g *generation) inherit(ctx context.Context, unstable []*partition) {
	s := g.s
	if s.cfg.TransactionalID == "" {
		return
	}
	now := time.Now()
	need := map[string][]int32{}
	var waited time.Duration // the longest
	for _, p := range unstable {
		p.mu.Lock()
		if p.unstableSince.IsZero() {
			p.unstableSince = now
		}
		if now.Sub(p.unstableSince) >= heirPatience && now.Sub(p.inheritedAt) >= heirPause {
			p.inheritedAt = now
			need[p.topic] = append(need[p.topic], p.id)
			waited = max(waited, now.Sub(p.unstableSince))
		}
		p.mu.Unlock()
	}
	if len(need) == 0 {
		return
	}
	call, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	owners, err := g.ownersOf(call, need)
	if err == nil && waited >= heirPause {
		var all []string
		all, err = s.client.TransactionalIDs(call, s.cfg.TransactionalPrefix)
		for _, id := range all {
			if _, named := owners[id]; !named {
				owners[id] = owner{}
			}
		}
	}
	if err != nil {
		s.once.warn("look for the owner of unstable offsets failed, retrying", err)
	}
	for id, o := range owners {
		if id == s.cfg.TransactionalID {
			if e := s.heir.of(id, s.run, now); waited >= heirPause && !now.Before(e.next) {
				e.tried(now)
				s.cfg.Transactions.Mend()
			}
			continue
		}
		if err := g.endOf(call, id, o); err != nil {
			s.once.warn("end the transaction of an earlier owner failed, retrying", err, "transactional_id", id)
		}
	}
}

// owner is what the group's commits tell of a transactional id.
type owner struct {
	named bool   // they tell of it
	life  string // the process that had it
}

// ownersOf are the names that the committed offsets were committed under.
func (g *generation) ownersOf(ctx context.Context, parts map[string][]int32) (map[string]owner, error) {
	owners := map[string]owner{}
	offsets, err := g.s.client.OffsetFetch(ctx, g.s.cfg.Group, parts, false)
	for i := range offsets {
		if id, ok := metadataField(offsets[i].Metadata, ownerPrefix); ok {
			life, _ := metadataField(offsets[i].Metadata, runPrefix)
			owners[id] = owner{true, life}
		}
	}
	return owners, err
}

// endOf ends what is open under a name, and marks its last transaction again where
// that had ended already and offsets wait all the same.
func (g *generation) endOf(ctx context.Context, id string, o owner) error {
	s, now := g.s, time.Now()
	e := s.heir.of(id, o.life, now)
	if now.Before(e.next) {
		return nil
	}
	state, err := s.client.DescribeTransaction(ctx, id)
	switch {
	case err == nil:
		if state.Fate != kafkawire.FateUnknown {
			e.fate = state.Fate
		}
	case isCode(err, kafkawire.ErrTransactionalIDAuthorization), errors.Is(err, kafkawire.ErrUnsupportedVersion):
		// Before Kafka 3.0, or not allowed to: the transaction is ended all the same.
	default:
		return err
	}
	if !o.named && e.busy(now, state.Epoch) {
		return nil
	}
	pid, epoch, err := s.client.InitProducerID(ctx, id, heirTimeout, kafkawire.NoProducerID, kafkawire.NoProducerEpoch)
	if err != nil {
		return err
	}
	e.tried(now)
	s.log.Info("ended the transaction of an earlier owner", "transactional_id", id)
	fate := e.fate
	if fate == kafkawire.FateUnknown && e.tries > 1 {
		// Initialised by somebody since. What hangs is the whole of a transaction,
		// as nobody had a leader when the broker came back: outcomes and positions
		// share either fate, and an abort has them made again.
		fate = kafkawire.FateAborted
	}
	if !state.Complete || fate == kafkawire.FateUnknown {
		return nil
	}
	if err := g.markAgain(ctx, kafkawire.TxnProducer{TransactionalID: id, ProducerID: pid, Epoch: epoch}, fate); err != nil {
		return err
	}
	e.fate = kafkawire.FateUnknown
	return nil
}

// markAgain writes the markers of an owner's last transaction to everything that the
// transactions of the group reach.
func (g *generation) markAgain(ctx context.Context, t kafkawire.TxnProducer, fate kafkawire.TxnFate) error {
	s := g.s
	scope := kafkawire.TxnScope{Partitions: map[string][]int32{}, Group: s.cfg.Group}
	if len(s.cfg.TransactionTopics) > 0 {
		meta, err := s.client.Metadata(ctx, s.cfg.TransactionTopics...)
		if err != nil {
			return err
		}
		for _, name := range s.cfg.TransactionTopics {
			topic := meta.Topic(name)
			for i := range topic.Partitions {
				scope.Partitions[name] = append(scope.Partitions[name], int32(i))
			}
		}
	}
	if err := s.client.MarkAgain(ctx, t, scope, fate); err != nil {
		return err
	}
	// A new epoch, which refuses what is late of this one.
	_, _, err := s.client.InitProducerID(ctx, t.TransactionalID, heirTimeout, t.ProducerID, t.Epoch)
	s.log.Info("made sure of the markers of an earlier owner's transaction", "transactional_id", t.TransactionalID, "fate", fate.String())
	return err
}
