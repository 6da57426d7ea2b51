package kafkawire

import (
	"encoding/binary"
	"hash/crc32"
)

// verifier computes the CRCs of a fetch answer's batches while the answer comes
// in: what the kernel has just copied lies in the core's cache, where a CRC runs at
// 20 GB/s; an answer of 8 MB read again afterwards comes from memory, at 6 GB/s
// (measured on one Zen 3 core; 1.4 us less 0.4 for a record of 8.4 KB).
//
// It only ever vouches: what it does not understand, or finds wrong, it leaves to
// the decoder, which then computes the CRC itself and says what is the matter.
type verifier struct {
	version int16

	at     int // where the next element begins
	stage  verifyStage
	topics int // still to come
	parts  int // of this topic, still to come
	end    int // of this partition's records
	crc    uint32
	done   int // of this batch: up to where crc is computed
	// verified[i] is how many bytes at the start of the i-th partition's records
	// are whole batches with the right CRC.
	verified []int
}

// verifyStage is what an answer's next element is.
type verifyStage uint8

const (
	verifyAnswer verifyStage = iota
	verifyTopic
	verifyPartition
	verifyBatch
	verifyEnd
)

// arrived takes note that the first n bytes of answer, which begin behind the
// correlation id, are there now.
func (v *verifier) arrived(answer []byte, n int) {
	for v.at <= n && v.step(answer[:n]) {
	}
}

// step goes over one element; false when more of it has to come.
func (v *verifier) step(b []byte) bool {
	r := wireReader{b: b[v.at:], version: v.version, flex: true}
	switch v.stage {
	case verifyAnswer:
		r.tags() // of the header
		r.int32()
		r.int16()
		r.int32()
		topics := r.length(4)
		return v.reach(b, &r, verifyTopic, func() { v.topics = topics })
	case verifyTopic:
		if v.topics <= 0 {
			v.stage = verifyEnd
			return false
		}
		if v.version >= byTopicID {
			r.uuid()
		} else {
			r.bytes()
		}
		parts := r.length(4)
		return v.reach(b, &r, verifyPartition, func() { v.topics, v.parts = v.topics-1, parts })
	case verifyPartition:
		if v.parts <= 0 {
			r.tags()
			return v.reach(b, &r, verifyTopic, func() {})
		}
		skipFetched(&r)
		size := max(r.length(4), 0)
		return v.reach(b, &r, verifyBatch, func() {
			v.end, v.done = v.at+size, 0
			v.parts--
			v.verified = append(v.verified, 0)
		})
	case verifyBatch:
		return v.batch(b)
	default:
		return false
	}
}

// reach moves on to what r has left, unless r came to the end of what is there.
func (v *verifier) reach(b []byte, r *wireReader, next verifyStage, then func()) bool {
	if r.err != nil {
		return false
	}
	v.at, v.stage = len(b)-len(r.b), next
	then()
	return true
}

// skipFetched reads over a partition's fields up to its records.
func skipFetched(r *wireReader) {
	r.take(4+2+8+8+8, "partition")
	for n := r.arrayLen(17); n > 0 && r.err == nil; n-- {
		r.take(16, "aborted transaction")
		r.tags()
	}
	r.int32()
}

// batch goes over as much of a batch as is there.
func (v *verifier) batch(b []byte) bool {
	if v.end-v.at < batchHeader {
		return v.leave(b)
	}
	if len(b)-v.at < batchHeader {
		return false
	}
	size := int64(atLeaderEpoch) + int64(int32(binary.BigEndian.Uint32(b[v.at+atLength:])))
	if b[v.at+atMagic] != 2 || size < batchHeader || size > int64(v.end-v.at) {
		return v.leave(b)
	}
	if v.done == 0 {
		v.crc, v.done = 0, v.at+atAttributes
	}
	end := v.at + int(size)
	there := min(end, len(b))
	v.crc = crc32.Update(v.crc, castagnoli, b[v.done:there])
	if v.done = there; there < end {
		return false
	}
	if v.crc != binary.BigEndian.Uint32(b[v.at+atCRC:]) {
		return v.leave(b)
	}
	v.at, v.done = end, 0
	v.verified[len(v.verified)-1] += int(size)
	return true
}

// leave goes over the rest of the partition's records, which the decoder judges.
func (v *verifier) leave(b []byte) bool {
	if v.end > len(b) {
		return false
	}
	r := wireReader{b: b[v.end:], flex: true}
	r.tags() // of the partition
	return v.reach(b, &r, verifyPartition, func() {})
}

// of is how many bytes of the i-th partition's records are verified.
func (v *verifier) of(i int) int {
	if v == nil || i >= len(v.verified) {
		return 0
	}
	return v.verified[i]
}
