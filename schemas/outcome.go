package schemas

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

// OutcomeID appends the deterministic id of an outcome to dst: 32 lower-case hex
// digits, the first 16 bytes of the SHA-256 of
//
//	cluster.id|topic UUID|partition|offset|model name
//
// with the numbers in decimal and the topic's UUID as Kafka prints it (base64url
// of its 16 bytes, 22 characters, no padding; "AAAAAAAAAAAAAAAAAAAAAA" where the
// source knows none). It depends neither on batches nor on the model's version,
// so a redo has the same id; a recreated topic has another UUID. No allocation
// for cluster, topic and model names of common length (150 bytes together).
func OutcomeID(dst []byte, clusterID string, topicID [16]byte, partition int32, offset int64, model string) []byte {
	var room [256]byte
	b := append(room[:0], clusterID...)
	b = append(b, '|')
	b = base64.RawURLEncoding.AppendEncode(b, topicID[:])
	b = append(b, '|')
	b = strconv.AppendInt(b, int64(partition), 10)
	b = append(b, '|')
	b = strconv.AppendInt(b, offset, 10)
	b = append(b, '|')
	b = append(b, model...)
	sum := sha256.Sum256(b)
	return hex.AppendEncode(dst, sum[:16])
}
