package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// extent is what is there of a topic's partitions: from the first record kept
// to the end (the last stable offset when only committed records are read).
type extent struct {
	first, end map[int32]int64
}

func readExtent(ctx context.Context, client *kafkawire.Client, topic string, partitions []int32, committed bool) (extent, error) {
	e := extent{first: map[int32]int64{}, end: map[int32]int64{}}
	for _, p := range partitions {
		first, err := client.ListOffset(ctx, topic, p, kafkawire.EarliestOffset, committed)
		if err != nil {
			return e, err
		}
		end, err := client.ListOffset(ctx, topic, p, kafkawire.LatestOffset, committed)
		if err != nil {
			return e, err
		}
		e.first[p], e.end[p] = first.Offset, end.Offset
	}
	return e, nil
}

func partitionsOf(t *kafkawire.TopicMeta) []int32 {
	ids := make([]int32, len(t.Partitions))
	for i, p := range t.Partitions {
		ids[i] = p.ID
	}
	return ids
}

// bounds are the -o flags of tap, in kcat's notation.
type bounds struct {
	start     string // beginning, end, a number, -number, or "" for s@
	startTime int64  // of s@
	stopTime  int64  // of e@, -1 for none
}

func parseBounds(specs []string, now time.Time) (bounds, error) {
	b := bounds{start: "beginning", stopTime: -1}
	for _, spec := range specs {
		var err error
		switch {
		case spec == "beginning", spec == "end":
			b.start = spec
		case strings.HasPrefix(spec, "s@"):
			b.start = ""
			b.startTime, err = parseMoment(spec[2:], now)
		case strings.HasPrefix(spec, "e@"):
			b.stopTime, err = parseMoment(spec[2:], now)
		default:
			if _, bad := strconv.ParseInt(spec, 10, 64); bad != nil {
				err = fmt.Errorf("%q is no position; write beginning, end, an offset, -N for the last N, s@TIME or e@TIME", spec)
			}
			b.start = spec
		}
		if err != nil {
			return b, usageErrorf("-o: %w", err)
		}
	}
	return b, nil
}

// resolve gives where each partition begins and, where it has one, its end.
func (b bounds) resolve(ctx context.Context, client *kafkawire.Client, topic string, e extent, toEnd bool) (from, until map[int32]int64, err error) {
	from, until = map[int32]int64{}, map[int32]int64{}
	for p, first := range e.first {
		if from[p], err = b.startOf(ctx, client, topic, p, first, e.end[p]); err != nil {
			return nil, nil, err
		}
		if toEnd {
			until[p] = e.end[p]
		}
		if b.stopTime >= 0 {
			stop, err := offsetAt(ctx, client, topic, p, b.stopTime, e.end[p])
			if err != nil {
				return nil, nil, err
			}
			until[p] = min(stop, e.end[p])
		}
	}
	return from, until, nil
}

func (b bounds) startOf(ctx context.Context, client *kafkawire.Client, topic string, p int32, first, end int64) (int64, error) {
	switch b.start {
	case "beginning":
		return first, nil
	case "end":
		return end, nil
	case "":
		return offsetAt(ctx, client, topic, p, b.startTime, end)
	}
	n, err := strconv.ParseInt(b.start, 10, 64)
	if err != nil {
		return 0, err
	}
	if strings.HasPrefix(b.start, "-") {
		n += end
	}
	return min(max(n, first), end), nil
}

// offsetAt is the first offset of that time or later, end when there is none.
func offsetAt(ctx context.Context, client *kafkawire.Client, topic string, p int32, timestamp, end int64) (int64, error) {
	at, err := client.ListOffset(ctx, topic, p, timestamp, false)
	if err != nil {
		return 0, err
	}
	if at.Offset < 0 {
		return end, nil
	}
	return at.Offset, nil
}

// choose keeps the partitions that were asked for, all when none was.
func choose(t *kafkawire.TopicMeta, wanted []int32) ([]int32, error) {
	all := partitionsOf(t)
	if len(wanted) == 0 {
		return all, nil
	}
	for _, p := range wanted {
		if !slices.Contains(all, p) {
			return nil, usageErrorf("topic %s has no partition %d; it has %d, counted from 0", t.Name, p, len(all))
		}
	}
	return wanted, nil
}
