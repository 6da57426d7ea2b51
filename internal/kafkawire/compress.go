package kafkawire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The libraries are used directly and not through kafka-go's compress package:
// its zstd reader takes any window a frame asks for, so the bound on memory
// would not hold, and all of its codecs copy through an io.Reader.

// xerialHeader begins a snappy stream as the Java client frames it: a magic, the
// version and the lowest compatible version.
var xerialHeader = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}

// xerialBlock is the uncompressed size of a block; the Java client's default.
const xerialBlock = 32 << 10

var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	lz4Writers  = sync.Pool{New: func() any { return newLZ4Writer() }}
	zstdWriter  = sync.OnceValues(func() (*zstd.Encoder, error) { return zstd.NewWriter(nil) })
)

// newLZ4Writer frames as the Java client does: independent blocks of 64 KiB,
// which is also all that it reads, and no checksum, since the batch has one.
func newLZ4Writer() *lz4.Writer {
	w := lz4.NewWriter(nil)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1))
	if err != nil {
		panic("BUG: lz4 options: " + err.Error())
	}
	return w
}

// compress appends src in compressed form to dst.
func compress(codec Codec, dst, src []byte) ([]byte, error) {
	switch codec {
	case CodecNone:
		return append(dst, src...), nil
	case Gzip:
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		out := bytes.NewBuffer(dst)
		w.Reset(out)
		return finish(out, w, src)
	case Snappy:
		return compressXerial(dst, src), nil
	case LZ4:
		w := lz4Writers.Get().(*lz4.Writer)
		defer lz4Writers.Put(w)
		out := bytes.NewBuffer(dst)
		w.Reset(out)
		return finish(out, w, src)
	case Zstd:
		w, err := zstdWriter()
		if err != nil {
			return nil, fmt.Errorf("start zstd: %w", err)
		}
		return w.EncodeAll(src, dst), nil
	default:
		return nil, fmt.Errorf("compress with %v: unknown codec", codec)
	}
}

type writeCloser interface {
	Write(p []byte) (int, error)
	Close() error
}

func finish(out *bytes.Buffer, w writeCloser, src []byte) ([]byte, error) {
	if _, err := w.Write(src); err != nil {
		return nil, fmt.Errorf("compress %d bytes: %w", len(src), err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress %d bytes: %w", len(src), err)
	}
	return out.Bytes(), nil
}

func compressXerial(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		if need := at + 4 + snappy.MaxEncodedLen(len(block)); need > cap(dst) {
			dst = append(make([]byte, 0, need+need/2), dst...)
		}
		out := snappy.Encode(dst[at+4:cap(dst)], block)
		dst = dst[:at+4+len(out)]
		binary.BigEndian.PutUint32(dst[at:], uint32(len(out)))
	}
	return dst
}
