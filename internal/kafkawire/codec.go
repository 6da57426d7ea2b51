package kafkawire

import (
	"fmt"
	"strings"
)

// Codec is the compression of a batch, as numbered in its attributes.
type Codec int8

// The codecs.
const (
	CodecNone Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var codecNames = [...]string{CodecNone: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// String is the name that Kafka's compression.type uses.
func (c Codec) String() string {
	if c < 0 || int(c) >= len(codecNames) {
		return fmt.Sprintf("codec %d", int8(c))
	}
	return codecNames[c]
}

// ParseCodec reads a codec's name; "" is none.
func ParseCodec(name string) (Codec, error) {
	if name == "" {
		return CodecNone, nil
	}
	for c, n := range codecNames {
		if strings.EqualFold(n, name) {
			return Codec(c), nil
		}
	}
	return CodecNone, fmt.Errorf("compression %q is none of none, gzip, snappy, lz4, zstd", name)
}
