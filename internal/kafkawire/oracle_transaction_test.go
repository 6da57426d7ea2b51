package kafkawire

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func testTxn() *TxnProducer { return &TxnProducer{TransactionalID: "tx", ProducerID: 77, Epoch: 3} }

func TestAddPartitionsToTxnIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiAddPartitionsToTxn, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = "tx", 77, 3
		for _, topic := range []string{"a", "b"} {
			rt := kmsg.NewAddPartitionsToTxnRequestTopic()
			rt.Topic, rt.Partitions = topic, []int32{2, 0}
			req.Topics = append(req.Topics, rt)
		}
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) {
			testTxn().encodeAddPartitions(w, map[string][]int32{"b": {2, 0}, "a": {2, 0}})
		}), req, v)

		for name, codes := range map[string][]int16{"first": {55, 29, 55}, "last": {55, 55, 29}, "good": {0, 0, 0}} {
			res := kmsg.NewPtrAddPartitionsToTxnResponse()
			res.ThrottleMillis = 4
			rt := kmsg.NewAddPartitionsToTxnResponseTopic()
			rt.Topic = "a"
			for id, code := range codes {
				rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				rp.Partition, rp.ErrorCode = int32(id), code
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
			r := answerOf(res, v, flex)
			throttle, refused := decodeAddPartitions(r)
			wantAll(t, r, r.err)
			want := map[string]PartitionError{
				"first": {"a", 1, ErrTopicAuthorization}, "last": {"a", 2, ErrTopicAuthorization}, "good": {},
			}[name]
			if throttle != 4 || refused != want {
				t.Errorf("%s: throttle %d, %v", name, throttle, refused)
			}
		}
	})
}

func TestAddOffsetsToTxnIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiAddOffsetsToTxn, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = "tx", 77, 3, "g"
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { testTxn().encodeAddOffsets(w, "g") }), req, v)

		res := kmsg.NewPtrAddOffsetsToTxnResponse()
		res.ThrottleMillis, res.ErrorCode = 2, 51
		r := answerOf(res, v, flex)
		throttle, code := decodeThrottleAndCode(r)
		wantAll(t, r, r.err)
		if throttle != 2 || code != ErrConcurrentTransactions {
			t.Fatal(throttle, code)
		}
	})
}

func TestTxnOffsetCommitIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiTxnOffsetCommit, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		ours := &TxnOffsets{Group: "g", Generation: 4, MemberID: "m", InstanceID: "i", Offsets: []GroupOffset{
			{Topic: "b", Partition: 1, Offset: 10, LeaderEpoch: 2, Metadata: "x"},
			{Topic: "a", Partition: 0, Offset: 5, LeaderEpoch: -1},
		}}
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = "tx", "g", 77, 3
		req.Generation, req.MemberID, req.InstanceID = 4, "m", kmsg.StringPtr("i")
		for _, o := range []GroupOffset{ours.Offsets[1], ours.Offsets[0]} {
			rt := kmsg.NewTxnOffsetCommitRequestTopic()
			rt.Topic = o.Topic
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Partition, o.Offset, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
		}
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { testTxn().encodeTxnOffsets(w, ours) }), req, v)

		res := kmsg.NewPtrTxnOffsetCommitResponse()
		res.ThrottleMillis = 6
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = "b"
		rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
		rp.Partition, rp.ErrorCode = 1, 22
		rt.Partitions = append(rt.Partitions, rp)
		res.Topics = append(res.Topics, rt)
		r := answerOf(res, v, flex)
		got, throttle, err := (&OffsetCommitRequest{Offsets: ours.Offsets}).decode(r)
		wantAll(t, r, err)
		if throttle != 6 || got[0].Err != ErrIllegalGeneration || got[1].Err != ErrUnknown {
			t.Fatalf("throttle %d, %+v", throttle, got)
		}
	})
}

func TestEndTxnIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiEndTxn, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		for _, commit := range []bool{true, false} {
			req := kmsg.NewPtrEndTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = "tx", 77, 3, commit
			wantBody(t, encodeBody(v, flex, func(w *wireWriter) { testTxn().encodeEndTxn(w, commit) }), req, v)
		}

		for code, bumped := range map[int16]bool{0: true, 51: false} {
			res := kmsg.NewPtrEndTxnResponse()
			res.ThrottleMillis, res.ErrorCode, res.ProducerID, res.ProducerEpoch = 9, code, 78, 0
			if code != 0 {
				res.ProducerID, res.ProducerEpoch = -1, -1
			}
			r := answerOf(res, v, flex)
			next := *testTxn()
			throttle, got := next.decodeEndTxn(r)
			wantAll(t, r, r.err)
			want := *testTxn()
			if v >= 5 && bumped {
				want.ProducerID, want.Epoch = 78, 0
			}
			if throttle != 9 || got != ErrorCode(code) || next != want {
				t.Errorf("throttle %d, %v, %+v", throttle, got, next)
			}
		}
	})
}

// The two protocols must never be mixed: a broker does not refuse it cleanly.
func TestTransactionProtocolDecidesTheVersions(t *testing.T) {
	t.Parallel()
	have := &BrokerVersions{APIs: map[int16]VersionRange{
		int16(apiEndTxn): {0, 5}, int16(apiTxnOffsetCommit): {0, 5},
	}}
	for _, api := range []apiKey{apiEndTxn, apiTxnOffsetCommit} {
		for v2, want := range map[bool]int16{false: 3, true: 5} {
			r := (&TxnProducer{V2: v2}).versionsFor(&request{api: api})
			if got, err := have.choose(api, "", r.lo, r.hi); err != nil || got != want {
				t.Errorf("%s, V2 %v: version %d, %v", apis[api].name, v2, got, err)
			}
		}
	}
	have.APIs[int16(apiEndTxn)] = VersionRange{0, 4}
	r := (&TxnProducer{V2: true}).versionsFor(&request{api: apiEndTxn})
	if _, err := have.choose(apiEndTxn, "", r.lo, r.hi); !errors.Is(err, ErrUnsupportedVersion) {
		t.Errorf("EndTxn for V2 on a broker without it: %v", err)
	}
}

func TestDescribeTransactionsIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiDescribeTxns, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{"tx"}
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeDescribeTxn(w, "tx") }), req, v)

		res := kmsg.NewPtrDescribeTransactionsResponse()
		res.ThrottleMillis = 7
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.ErrorCode, s.TransactionalID, s.State, s.ProducerID, s.ProducerEpoch = 15, "tx", "PrepareCommit", 77, 3
		topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
		topic.Topic, topic.Partitions = "a", []int32{1, 2}
		s.Topics = append(s.Topics, topic)
		res.TransactionStates = append(res.TransactionStates, s)
		r := answerOf(res, v, flex)
		throttle, code, state, epoch := decodeDescribeTxn(r)
		wantAll(t, r, r.err)
		if throttle != 7 || code != ErrCoordinatorNotAvailable || state != "PrepareCommit" || epoch != 3 {
			t.Errorf("throttle %d, %v, %q, epoch %d", throttle, code, state, epoch)
		}
	})
}

func TestListTransactionsIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiListTxns, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		wantBody(t, encodeBody(v, flex, encodeListTxns), kmsg.NewPtrListTransactionsRequest(), v)

		res := kmsg.NewPtrListTransactionsResponse()
		res.ThrottleMillis, res.ErrorCode, res.UnknownStateFilters = 7, 14, []string{"Odd"}
		for _, id := range []string{"sluice-g-a", "sluice-h-a", "sluice-g-b"} {
			s := kmsg.NewListTransactionsResponseTransactionState()
			s.TransactionalID, s.ProducerID, s.TransactionState = id, 5, "Ongoing"
			res.TransactionStates = append(res.TransactionStates, s)
		}
		r := answerOf(res, v, flex)
		throttle, code, ids := decodeListTxns(r, "sluice-g-")
		wantAll(t, r, r.err)
		if throttle != 7 || code != ErrCoordinatorLoading || !slices.Equal(ids, []string{"sluice-g-a", "sluice-g-b"}) {
			t.Errorf("throttle %d, %v, %q", throttle, code, ids)
		}
	})
}
