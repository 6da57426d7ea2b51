package kafkawire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// forVersions runs a test in every version this client uses of an API.
func forVersions(t *testing.T, api apiKey, f func(t *testing.T, version int16, flex bool)) {
	t.Helper()
	info := apis[api]
	for v := info.min; v <= info.max; v++ {
		t.Run(fmt.Sprintf("%s/v%d", info.name, v), func(t *testing.T) {
			t.Parallel()
			f(t, v, v >= info.flex)
		})
	}
}

func encodeBody(version int16, flex bool, encode func(w *wireWriter)) []byte {
	w := &wireWriter{version: version, flex: flex}
	encode(w)
	var out bytes.Buffer
	_ = w.writeTo(&out)
	return out.Bytes()
}

// wantBody compares our encoding with the other client's.
func wantBody(t *testing.T, got []byte, want kmsg.Request, version int16) {
	t.Helper()
	want.SetVersion(version)
	if b := want.AppendTo(nil); !bytes.Equal(got, b) {
		t.Fatalf("encoded\n%x\nwant\n%x", got, b)
	}
	if reflect.TypeOf(kmsg.RequestForKey(want.Key())) != reflect.TypeOf(want) {
		t.Fatalf("key %d", want.Key())
	}
}

// answerOf is the other client's encoding of a response, ready to decode.
func answerOf(res kmsg.Response, version int16, flex bool) *wireReader {
	res.SetVersion(version)
	return &wireReader{b: res.AppendTo(nil), version: version, flex: flex}
}

func wantAll(t *testing.T, r *wireReader, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.b) != 0 {
		t.Fatalf("%d bytes were not read", len(r.b))
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(createdTopic{}, describedConfig{})); diff != "" {
		t.Fatal(diff)
	}
}

// strayTags are tagged fields of a later Kafka, which must be skipped.
func strayTags() kmsg.Tags {
	var tags kmsg.Tags
	tags.Set(77, []byte("later"))
	return tags
}

func TestErrorCodesAreThoseOfTheProtocol(t *testing.T) {
	t.Parallel()
	for code := int16(-1); code < 200; code++ {
		var other *kerr.Error
		if !errors.As(kerr.ErrorForCode(code), &other) || other.Code != code {
			continue
		}
		e := ErrorCode(code)
		if e.Name() != other.Message && code != 6 || e.Retriable() != other.Retriable {
			t.Errorf("%d is %s, retriable %v; want %+v", code, e.Name(), e.Retriable(), other)
		}
	}
	if ErrNotLeader.Error() != "NOT_LEADER_OR_FOLLOWER (6): This server is not the leader for that topic-partition" {
		t.Errorf("text: %s", ErrNotLeader)
	}
	if got := ErrorCode(999).Error(); got != "UNKNOWN_CODE_999 (999): a code this client does not know" {
		t.Errorf("unknown code: %s", got)
	}
	if ErrNone.err() != nil || ErrUnknown.err() == nil {
		t.Error("ErrNone is no error, ErrUnknown is one")
	}
}

func TestMetadataIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiMetadata, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation = false
		for _, name := range []string{"a", "bé"} {
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, rt)
		}
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeMetadata(w, []string{"a", "bé"}, false) }), req, v)
		req.Topics = nil
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeMetadata(w, nil, true) }), req, v)
		req.Topics = []kmsg.MetadataRequestTopic{}
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeMetadata(w, nil, false) }), req, v)

		res := kmsg.NewPtrMetadataResponse()
		res.ThrottleMillis, res.ClusterID, res.ControllerID = 7, kmsg.StringPtr("cluster"), 2
		res.UnknownTags = strayTags()
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack, b.UnknownTags = 2, "host", 9092, kmsg.StringPtr("r"), strayTags()
		res.Brokers = append(res.Brokers, b)
		mt := kmsg.NewMetadataResponseTopic()
		mt.Topic, mt.IsInternal = kmsg.StringPtr("a"), true
		want := TopicMeta{Name: "a", Internal: true}
		if v >= 10 {
			mt.TopicID, want.ID = [16]byte{1, 2}, [16]byte{1, 2}
		}
		for _, id := range []int32{1, 0} {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR = id, 2, 5, []int32{2, 3}, []int32{2}
			p.OfflineReplicas = []int32{3}
			mt.Partitions = append(mt.Partitions, p)
		}
		want.Partitions = []PartitionMeta{
			{ID: 0, Leader: 2, LeaderEpoch: 5, Replicas: []int32{2, 3}, ISR: []int32{2}},
			{ID: 1, Leader: 2, LeaderEpoch: 5, Replicas: []int32{2, 3}, ISR: []int32{2}},
		}
		res.Topics = append(res.Topics, mt)
		r := answerOf(res, v, flex)
		m, throttle, err := decodeMetadata(r)
		wantAll(t, r, err)
		wantEqual(t, throttle, int32(7))
		wantEqual(t, m, &Metadata{
			ClusterID: "cluster", Controller: 2, Brokers: []Broker{{2, "host", 9092, "r"}}, Topics: []TopicMeta{want},
		})
	})
}

func TestApiVersionsIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiVersions, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = softwareName, softwareVersion
		wantBody(t, encodeBody(v, flex, encodeAPIVersions), req, v)

		res := kmsg.NewPtrApiVersionsResponse()
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion, k.UnknownTags = 1, 4, 17, strayTags()
		res.ApiKeys = append(res.ApiKeys, k)
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name = "metadata.version"
		res.SupportedFeatures = append(res.SupportedFeatures, s)
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MaxVersionLevel, f.MinVersionLevel = "transaction.version", 2, 1
		res.FinalizedFeatures = append(res.FinalizedFeatures, f)
		res.FinalizedFeaturesEpoch, res.ThrottleMillis = 9, 3
		r := answerOf(res, v, flex)
		got, throttle, code, err := decodeAPIVersions(r)
		wantAll(t, r, err)
		wantEqual(t, got, &BrokerVersions{APIs: map[int16]VersionRange{1: {4, 17}}, Features: map[string]int16{"transaction.version": 2}})
		if throttle != 3 || code != ErrNone {
			t.Fatalf("throttle %d, code %v", throttle, code)
		}
	})
}

func TestFetchIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiFetch, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		id := [16]byte{9}
		ours := &FetchRequest{MaxWait: 500 * time.Millisecond, MinBytes: 1, MaxBytes: 1 << 20, ReadCommitted: true, Partitions: []FetchPartition{
			{"a", id, 3, 4, 77, 4096}, {"a", id, 5, -1, 78, 4096},
		}}
		req := kmsg.NewPtrFetchRequest()
		req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = -1, 500, 1, 1<<20, 1
		req.SessionID, req.SessionEpoch = 0, -1
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = "a", id
		for _, p := range ours.Partitions {
			rp := kmsg.NewFetchRequestTopicPartition()
			rp.Partition, rp.CurrentLeaderEpoch, rp.FetchOffset, rp.PartitionMaxBytes = p.Partition, p.LeaderEpoch, p.Offset, p.MaxBytes
			rp.LogStartOffset, rp.LastFetchedEpoch = -1, -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeFetch(w, ours) }), req, v)

		res := kmsg.NewPtrFetchResponse()
		res.ThrottleMillis = 11
		ft := kmsg.NewFetchResponseTopic()
		ft.Topic, ft.TopicID = "a", id
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.HighWatermark, p.LastStableOffset, p.LogStartOffset, p.RecordBatches = 3, 100, 90, 2, []byte("bytes")
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = 4, 4
		a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		a.ProducerID, a.FirstOffset, a.UnknownTags = 5, 80, strayTags()
		p.AbortedTransactions = append(p.AbortedTransactions, a)
		q := kmsg.NewFetchResponseTopicPartition()
		q.Partition, q.ErrorCode, q.HighWatermark, q.LastStableOffset, q.LogStartOffset = 5, 1, -1, -1, -1
		q.RecordBatches = nil
		ft.Partitions = append(ft.Partitions, p, q)
		res.Topics = append(res.Topics, ft)
		r := answerOf(res, v, flex)
		got, throttle, err := decodeFetch(r, topicNames(ours))
		wantAll(t, r, err)
		wantEqual(t, throttle, int32(11))
		wantEqual(t, got.Partitions, []FetchedPartition{
			{"a", 3, 0, 100, 90, 2, []AbortedTxn{{5, 80}}, []byte("bytes"), 0},
			{"a", 5, ErrOffsetOutOfRange, -1, -1, -1, nil, nil, 0},
		})
	})
}

func TestProduceIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiProduce, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		ours := &ProduceRequest{TransactionalID: "tx", Partitions: []ProducePartition{
			{"a", 3, [][]byte{[]byte("ba"), nil, []byte("tch")}}, {"a", 4, [][]byte{[]byte("x")}}, {"b", 0, [][]byte{bytes.Repeat([]byte("y"), 100_000)}},
		}}
		req := kmsg.NewPtrProduceRequest()
		req.TransactionID, req.Acks, req.TimeoutMillis = kmsg.StringPtr("tx"), -1, 1500
		for _, topic := range []string{"a", "b"} {
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic = topic
			for _, p := range ours.Partitions {
				if p.Topic == topic {
					rp := kmsg.NewProduceRequestTopicPartition()
					rp.Partition, rp.Records = p.Partition, bytes.Join(p.Records, nil)
					rt.Partitions = append(rt.Partitions, rp)
				}
			}
			req.Topics = append(req.Topics, rt)
		}
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeProduce(w, ours, 1500*time.Millisecond) }), req, v)

		res := kmsg.NewPtrProduceResponse()
		res.ThrottleMillis = 5
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = "a"
		p := kmsg.NewProduceResponseTopicPartition()
		p.Partition, p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStartOffset = 4, 87, 9, -1, 1
		p.ErrorMessage = kmsg.StringPtr("refused")
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = 2, kmsg.StringPtr("this one")
		p.ErrorRecords = append(p.ErrorRecords, e)
		p.CurrentLeader.LeaderID = 3
		rt.Partitions = append(rt.Partitions, p)
		res.Topics = append(res.Topics, rt)
		want := ProducedPartition{Topic: "a", Partition: 4, Err: ErrInvalidRecord, BaseOffset: 9, LogAppendTime: -1, LogStart: -1}
		if v >= 5 {
			want.LogStart = 1
		}
		if v >= 8 {
			want.Message, want.RecordErrors = "refused", []RecordError{{2, "this one"}}
		}
		r := answerOf(res, v, flex)
		got, throttle, err := decodeProduce(r)
		wantAll(t, r, err)
		wantEqual(t, throttle, int32(5))
		wantEqual(t, got.Partitions, []ProducedPartition{want})
	})
}

func TestInitProducerIDIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiInitProducerID, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 10_000, -1, -1
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) {
			encodeInitProducerID(w, "", 10*time.Second, NoProducerID, NoProducerEpoch)
		}), req, v)
		res := kmsg.NewPtrInitProducerIDResponse()
		res.ThrottleMillis, res.ErrorCode, res.ProducerID, res.ProducerEpoch = 1, 51, 77, 3
		r := answerOf(res, v, flex)
		pid, epoch, throttle, code, err := decodeInitProducerID(r)
		wantAll(t, r, err)
		if pid != 77 || epoch != 3 || throttle != 1 || code != ErrConcurrentTransactions {
			t.Fatal(pid, epoch, throttle, code)
		}
	})
}
