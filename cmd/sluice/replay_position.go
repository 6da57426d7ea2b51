package main

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// replayPosition is what of a partition has been replayed: everything below
// base, and spans above it. With a filter some records stay behind for a later
// replay, so one offset does not tell it all: base is the group's committed
// offset, and the spans are in the commit's metadata.
type replayPosition struct {
	base  int64
	spans []span // sorted, apart from each other, all above base
}

// span is offsets from..to, to exclusive.
type span struct{ from, to int64 }

// positionLimit is below Kafka's offset.metadata.max.bytes of 4096.
const positionLimit = 4000

// errPositionTooLong is a position with more spans than a commit can hold.
var errPositionTooLong = errors.New("what the filter leaves behind is too scattered for the group's commit (Kafka keeps 4096 bytes); replay without --class, or in parts with --from and --to")

// done says whether an offset has been replayed.
func (p *replayPosition) done(offset int64) bool {
	if offset < p.base {
		return true
	}
	i := slices.IndexFunc(p.spans, func(s span) bool { return offset < s.to })
	return i >= 0 && offset >= p.spans[i].from
}

// mark adds offsets from..to.
func (p *replayPosition) mark(from, to int64) {
	from = max(from, p.base)
	if from >= to {
		return
	}
	i := len(p.spans) // confirmations come nearly in order: search from the end
	for i > 0 && p.spans[i-1].to >= from {
		i--
	}
	j := i
	for j < len(p.spans) && p.spans[j].from <= to {
		from, to = min(from, p.spans[j].from), max(to, p.spans[j].to)
		j++
	}
	p.spans = slices.Replace(p.spans, i, j, span{from, to})
	if p.spans[0].from <= p.base {
		p.base = p.spans[0].to
		p.spans = slices.Delete(p.spans, 0, 1)
	}
}

// metadata is the spans as text: lengths of gaps and spans in turn, as varints,
// deflated; "" when there are none.
func (p *replayPosition) metadata() (string, error) {
	if len(p.spans) == 0 {
		return "", nil
	}
	var raw []byte
	at := p.base
	for _, s := range p.spans {
		raw = binary.AppendUvarint(raw, uint64(s.from-at))
		raw = binary.AppendUvarint(raw, uint64(s.to-s.from))
		at = s.to
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(raw); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	text := positionVersion + base64.RawStdEncoding.EncodeToString(packed.Bytes())
	if len(text) > positionLimit {
		return "", errPositionTooLong
	}
	return text, nil
}

const positionVersion = "v1:"

// parsePosition reads a committed offset with its metadata.
func parsePosition(base int64, metadata string) (*replayPosition, error) {
	p := &replayPosition{base: base}
	if metadata == "" {
		return p, nil
	}
	text, ok := strings.CutPrefix(metadata, positionVersion)
	packed, err := base64.RawStdEncoding.DecodeString(text)
	if !ok || err != nil {
		return nil, fmt.Errorf("the replay group's commit was not written by sluice: metadata %q", metadata)
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), 1<<24))
	if err != nil {
		return nil, fmt.Errorf("the replay group's commit is damaged: %w", err)
	}
	at := base
	for len(raw) > 0 {
		gap, n := binary.Uvarint(raw)
		if n <= 0 {
			return nil, errors.New("the replay group's commit is damaged")
		}
		length, m := binary.Uvarint(raw[n:])
		if m <= 0 {
			return nil, errors.New("the replay group's commit is damaged")
		}
		raw = raw[n+m:]
		from := at + int64(gap)
		at = from + int64(length)
		p.mark(from, at)
	}
	return p, nil
}
