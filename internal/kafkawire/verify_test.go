package kafkawire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/sluice-ml/sluice/schemas"
)

// fetchAnswer is an answer with the given records, as another implementation
// encodes it; two partitions a topic.
func fetchAnswer(version int16, records [][]byte) []byte {
	res := kmsg.NewPtrFetchResponse()
	res.SetVersion(version)
	for i, b := range records {
		if i%2 == 0 {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = "topic", [16]byte{byte(i + 1)}
			res.Topics = append(res.Topics, topic)
		}
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.RecordBatches = int32(i), b
		if i%3 == 0 {
			p.AbortedTransactions = append(p.AbortedTransactions, kmsg.NewFetchResponseTopicPartitionAbortedTransaction())
		}
		topic := &res.Topics[len(res.Topics)-1]
		topic.Partitions = append(topic.Partitions, p)
	}
	return append([]byte{0}, res.AppendTo(nil)...) // the header's tagged fields: none
}

// verifyInSteps lets an answer arrive in pieces of the given sizes, again and again.
func verifyInSteps(version int16, answer []byte, steps []int) *verifier {
	v := &verifier{version: version}
	for at, i := 0, 0; at < len(answer); i++ {
		at = min(at+steps[i%len(steps)], len(answer))
		v.arrived(answer, at)
	}
	return v
}

// wholeBatches is how many bytes of records NextBatch takes without an error.
func wholeBatches(records []byte) (size int) {
	for {
		_, rest, err := NextBatch(records[size:])
		if err != nil {
			return size
		}
		size = len(records) - len(rest)
	}
}

// needNoCRC checks that decoding the verified bytes gives the same with a CRC, whatever
// else is wrong with them (a negative offset has no part in it).
func needNoCRC(t *rapid.T, records []byte, verified int) {
	for at := 0; at < verified; {
		with, rest, err := NextBatch(records[at:])
		without, _, err2 := NextVerified(records[at:])
		if fmt.Sprint(with, err) != fmt.Sprint(without, err2) {
			t.Fatalf("at %d of %d verified bytes: with a CRC %v, without %v", at, verified, err, err2)
		}
		if err != nil {
			return
		}
		at = len(records) - len(rest)
	}
}

// TestWhatIsVerifiedIsWhatDecodingWouldTake compares with NextBatch, however the
// answer arrives, and whichever byte of it is wrong.
func TestWhatIsVerifiedIsWhatDecodingWouldTake(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.Int16Range(apis[apiFetch].min, apis[apiFetch].max).Draw(t, "version")
		var records [][]byte
		for range rapid.IntRange(0, 5).Draw(t, "partitions") {
			records = append(records, drawBatches(t))
		}
		answer := fetchAnswer(version, records)
		steps := rapid.SliceOfN(rapid.IntRange(1, 400), 1, 5).Draw(t, "steps")

		v := verifyInSteps(version, answer, steps)
		for i, b := range records {
			if got, want := v.of(i), wholeBatches(b); got != want {
				t.Fatalf("partition %d: %d bytes verified, decoding takes %d of %d", i, got, want, len(b))
			}
		}
		if v.of(len(records)) != 0 {
			t.Fatal("a partition too many")
		}

		damaged := bytes.Clone(answer)
		damaged[rapid.IntRange(0, len(answer)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		v = verifyInSteps(version, damaged, steps)
		res, _, err := decodeFetch(&wireReader{b: damaged[1:], version: version, flex: true}, namesOf(version, damaged, len(records)))
		if err != nil || damaged[0] != 0 {
			return // the request fails
		}
		for i, p := range res.Partitions {
			needNoCRC(t, p.Records, v.of(i))
		}
	})
}

// namesOf has a name for every topic of an answer, and for those whose id is damaged.
func namesOf(version int16, answer []byte, partitions int) map[[16]byte]string {
	names := map[[16]byte]string{}
	for i := range partitions {
		names[[16]byte{byte(i + 1)}] = fmt.Sprint("topic", i)
	}
	if version >= byTopicID {
		for at := 0; at+16 <= len(answer); at++ {
			names[[16]byte(answer[at:])] = "some topic"
		}
	}
	return names
}

// drawBatches makes the records of a partition: batches, the last perhaps cut, or
// followed by something else.
func drawBatches(t *rapid.T) []byte {
	var out []byte
	for i := range rapid.IntRange(0, 4).Draw(t, "batches") {
		var w BatchWriter
		w.Append(1, nil, rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "value"), []schemas.Header{{Key: "h"}})
		b, err := w.Finish(CodecNone, -1, -1, -1)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, patched(b, func(b []byte) { b[7] = byte(i) })...)
	}
	switch rapid.IntRange(0, 3).Draw(t, "end") {
	case 0:
		out = out[:rapid.IntRange(0, len(out)).Draw(t, "cut")]
	case 1:
		out = append(out, rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "stray")...)
	}
	return out
}

// BenchmarkVerify is a fetch answer of 8 MB whose CRCs are computed as it arrives,
// and afterwards: what is read is the same, the cache is not.
func BenchmarkVerify(b *testing.B) {
	var w BatchWriter
	for range 30 {
		w.Append(1, nil, make([]byte, 8400), nil)
	}
	batch, err := w.Finish(CodecNone, -1, -1, -1)
	if err != nil {
		b.Fatal(err)
	}
	records := bytes.Repeat(batch, 8<<20/len(batch))
	answer := fetchAnswer(13, [][]byte{records})
	arrived := make([]byte, len(answer))
	begin := bytes.Index(answer, records[:batchHeader])
	b.Run("arriving", func(b *testing.B) {
		b.SetBytes(int64(len(answer)))
		for b.Loop() {
			v := &verifier{version: 13}
			for at := 0; at < len(answer); at += readStep {
				n := at + copy(arrived[at:], answer[at:min(at+readStep, len(answer))])
				v.arrived(arrived, n)
			}
			if v.of(0) != len(records) {
				b.Fatal("not verified")
			}
		}
	})
	b.Run("afterwards", func(b *testing.B) {
		b.SetBytes(int64(len(answer)))
		for b.Loop() {
			copy(arrived, answer)
			if wholeBatches(arrived[begin:begin+len(records)]) != len(records) {
				b.Fatal("not verified")
			}
		}
	})
}
