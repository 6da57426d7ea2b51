package kafkawire

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestListOffsetsIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiListOffsets, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		ours := &listOffsets{readCommitted: true, asks: []listOffset{
			{0, OffsetAsk{"a", 3, LatestOffset}, 4},
			{1, OffsetAsk{"b", 1, 1234}, -1},
			{2, OffsetAsk{"a", 0, EarliestOffset}, 5},
		}}
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID, req.IsolationLevel = -1, 1
		for _, topic := range []string{"a", "b"} {
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = topic
			for _, a := range ours.asks {
				if a.Topic == topic {
					rp := kmsg.NewListOffsetsRequestTopicPartition()
					rp.Partition, rp.CurrentLeaderEpoch, rp.Timestamp = a.Partition, a.leaderEpoch, a.Timestamp
					rt.Partitions = append(rt.Partitions, rp)
				}
			}
			req.Topics = append(req.Topics, rt)
		}
		wantBody(t, encodeBody(v, flex, ours.encode), req, v)

		res := kmsg.NewPtrListOffsetsResponse()
		res.ThrottleMillis = 2
		st := kmsg.NewListOffsetsResponseTopic()
		st.Topic = "a"
		for _, of := range []struct {
			partition int32
			code      int16
		}{{0, 78}, {3, 0}} {
			sp := kmsg.NewListOffsetsResponseTopicPartition()
			sp.Partition, sp.ErrorCode, sp.Timestamp, sp.Offset, sp.LeaderEpoch = of.partition, of.code, 12, 13, 14
			st.Partitions = append(st.Partitions, sp)
		}
		res.Topics = append(res.Topics, st)
		r := answerOf(res, v, flex)
		got, throttle, err := ours.decode(r)
		wantAll(t, r, err)
		wantEqual(t, throttle, int32(2))
		if !slices.Equal(got, []ListedOffset{{13, 12, 14, nil}, {-1, -1, -1, ErrUnknown}, {-1, -1, -1, ErrOffsetNotAvailable}}) {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestOffsetCommitIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiOffsetCommit, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		ours := &OffsetCommitRequest{Group: "g", Generation: 4, MemberID: "m", InstanceID: "i", Offsets: []GroupOffset{
			{Topic: "b", Partition: 1, Offset: 10, LeaderEpoch: 2, Metadata: "x"},
			{Topic: "a", Partition: 0, Offset: 5, LeaderEpoch: -1},
			{Topic: "b", Partition: 2, Offset: 11, LeaderEpoch: 2},
		}}
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.Generation, req.MemberID, req.InstanceID = "g", 4, "m", kmsg.StringPtr("i")
		for _, topic := range []string{"a", "b"} {
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic = topic
			for _, o := range ours.Offsets {
				if o.Topic == topic {
					rp := kmsg.NewOffsetCommitRequestTopicPartition()
					rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Partition, o.Offset, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
					rt.Partitions = append(rt.Partitions, rp)
				}
			}
			req.Topics = append(req.Topics, rt)
		}
		wantBody(t, encodeBody(v, flex, ours.encode), req, v)

		res := kmsg.NewPtrOffsetCommitResponse()
		res.ThrottleMillis = 6
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic = "b"
		for id, code := range []int16{0, 0, 22} {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = int32(id), code
			rt.Partitions = append(rt.Partitions, rp)
		}
		res.Topics = append(res.Topics, rt)
		r := answerOf(res, v, flex)
		got, throttle, err := ours.decode(r)
		wantAll(t, r, err)
		if throttle != 6 || got[0].Err != ErrNone || got[1].Err != ErrUnknown || got[2].Err != ErrIllegalGeneration || got[2].Offset != 11 {
			t.Fatalf("throttle %d, %+v", throttle, got)
		}
	})
}

func TestOffsetFetchIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiOffsetFetch, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group, req.RequireStable = "g", true
		for _, topic := range []string{"a", "b"} {
			rt := kmsg.NewOffsetFetchRequestTopic()
			rt.Topic, rt.Partitions = topic, []int32{2, 0}
			req.Topics = append(req.Topics, rt)
		}
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) {
			encodeOffsetFetch(w, "g", map[string][]int32{"b": {2, 0}, "a": {2, 0}}, true)
		}), req, v)
		req.Topics, req.RequireStable = nil, false
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeOffsetFetch(w, "g", nil, false) }), req, v)

		res := kmsg.NewPtrOffsetFetchResponse()
		res.ThrottleMillis, res.ErrorCode = 3, 14
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = "a"
		rp := kmsg.NewOffsetFetchResponseTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = 2, 9, 1, kmsg.StringPtr("m"), 88
		rt.Partitions = append(rt.Partitions, rp)
		res.Topics = append(res.Topics, rt)
		r := answerOf(res, v, flex)
		got, throttle, code, err := decodeOffsetFetch(r)
		wantAll(t, r, err)
		wantEqual(t, got, []GroupOffset{{"a", 2, 9, 1, "m", ErrUnstableOffsetCommit}})
		if throttle != 3 || code != ErrCoordinatorLoading {
			t.Fatal(throttle, code)
		}
	})
}
