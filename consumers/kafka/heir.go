package kafka

import (
	"context"
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

// inherit ends the transactions of dead owners that hold the offsets of these
// partitions. A live one that is merely slow does its transaction again.
func (g *generation) inherit(ctx context.Context, unstable []*partition) {
	s := g.s
	now := time.Now()
	need := map[string][]int32{}
	for _, p := range unstable {
		p.mu.Lock()
		if p.unstableSince.IsZero() {
			p.unstableSince = now
		}
		if now.Sub(p.unstableSince) >= heirPatience && now.Sub(p.inheritedAt) >= heirPause {
			p.inheritedAt = now
			need[p.topic] = append(need[p.topic], p.id)
		}
		p.mu.Unlock()
	}
	if len(need) == 0 || s.cfg.TransactionalID == "" {
		return
	}
	call, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	offsets, err := s.client.OffsetFetch(call, s.cfg.Group, need, false)
	if err != nil {
		s.once.warn("look for the owner of unstable offsets failed, retrying", err)
		return
	}
	owners := map[string]bool{}
	for i := range offsets {
		owner, ok := metadataField(offsets[i].Metadata, ownerPrefix)
		if ok && owner != s.cfg.TransactionalID {
			owners[owner] = true
		}
	}
	for owner := range owners {
		if _, _, err := s.client.InitProducerID(call, owner, heirTimeout, kafkawire.NoProducerID, kafkawire.NoProducerEpoch); err != nil {
			s.once.warn("end the transaction of an earlier owner failed, retrying", err, "transactional_id", owner)
			continue
		}
		s.log.Info("ended the transaction of an earlier owner", "transactional_id", owner)
	}
}
