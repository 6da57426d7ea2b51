package kafkawire

import "encoding/binary"

// Murmur2 is the hash by which the Java client spreads keys over partitions
// (org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c).
func Murmur2(key []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for len(key) >= 4 {
		k := binary.LittleEndian.Uint32(key) * m
		k ^= k >> r
		h = h*m ^ k*m
		key = key[4:]
	}
	if len(key) > 0 {
		for i := len(key) - 1; i >= 0; i-- {
			h ^= uint32(key[i]) << (8 * i)
		}
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// PartitionForKey is the partition, of n, that the Java client chooses for a
// key that is not null.
func PartitionForKey(key []byte, n int) int32 {
	return int32(Murmur2(key)&0x7fffffff) % int32(n)
}
