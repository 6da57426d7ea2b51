package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// ErrTooLarge is a batch that decompresses to more than the limit.
var ErrTooLarge = errors.New("decompressed batch is larger than the limit")

// zstdMaxWindow is the largest window of the reference implementation's decoder
// by default (2^27), and what its highest level uses.
const zstdMaxWindow = 128 << 20

var (
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdReader  = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeAllCapLimit(true))
	})
)

// Decompress returns the batch's records, appended to dst[:0] where they fit;
// Payload itself when the batch is not compressed. Memory is bounded by limit
// plus one block of the codec, whatever the bytes claim: ErrTooLarge, wrapped,
// when there is more.
func (b *RawBatch) Decompress(dst []byte, limit int64) ([]byte, error) {
	codec := b.Codec()
	if codec == CodecNone || b.Count == 0 && len(b.Payload) == 0 { // compaction leaves empty batches
		if int64(len(b.Payload)) > limit {
			return nil, fmt.Errorf("batch at offset %d, %d bytes: %w of %d", b.BaseOffset, len(b.Payload), ErrTooLarge, limit)
		}
		return b.Payload, nil
	}
	out, err := decompress(codec, dst[:0], b.Payload, int(limit))
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("batch at offset %d, %v, %d bytes: %w of %d", b.BaseOffset, codec, len(b.Payload), ErrTooLarge, limit)
	default:
		return nil, corrupt(b.BaseOffset, "%v: %v", codec, err)
	}
}

func decompress(codec Codec, dst, src []byte, limit int) ([]byte, error) {
	switch codec {
	case Gzip:
		return decompressGzip(dst, src, limit)
	case Snappy:
		return decompressSnappy(dst, src, limit)
	case LZ4:
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		return readBounded(dst, r, guess(len(src), limit), limit)
	case Zstd:
		return decompressZstd(dst, src, limit)
	default:
		return nil, fmt.Errorf("unknown codec")
	}
}

// guess is the memory to begin with: text compresses to about a quarter.
func guess(compressed, limit int) int { return min(max(4*compressed, 4<<10), limit) }

func decompressGzip(dst, src []byte, limit int) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return nil, err
	}
	return readBounded(dst, r, guess(len(src), limit), limit)
}

// readBounded reads all of r into dst, at most limit bytes.
func readBounded(dst []byte, r io.Reader, start, limit int) ([]byte, error) {
	if cap(dst) < start {
		dst = make([]byte, 0, start)
	}
	for {
		if len(dst) == cap(dst) || len(dst) == limit {
			if len(dst) >= limit {
				return readEnd(dst, r)
			}
			dst = append(make([]byte, 0, min(2*max(cap(dst), 512), limit)), dst...)
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// readEnd wants the end of r now that the limit is reached.
func readEnd(dst []byte, r io.Reader) ([]byte, error) {
	var one [1]byte
	for range 100 {
		n, err := r.Read(one[:])
		switch {
		case n > 0:
			return nil, ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return nil, err
		}
	}
	return nil, io.ErrNoProgress
}

// decompressSnappy reads the Java client's framing, and a single raw block as
// other clients write it.
func decompressSnappy(dst, src []byte, limit int) ([]byte, error) {
	if len(src) < len(xerialHeader) || !bytes.Equal(src[:8], xerialHeader[:8]) {
		return snappyBlock(dst, src, limit)
	}
	src = src[len(xerialHeader):]
	for len(src) > 0 {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(src)
		src = src[4:]
		if uint64(n) > uint64(len(src)) {
			return nil, io.ErrUnexpectedEOF
		}
		out, err := snappyBlock(dst, src[:n], limit)
		if err != nil {
			return nil, err
		}
		dst, src = out, src[n:]
	}
	return dst, nil
}

// snappyBlock appends one block; its size is known before it is decoded.
func snappyBlock(dst, block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if n > limit-len(dst) {
		return nil, ErrTooLarge
	}
	at := len(dst)
	if at+n > cap(dst) {
		dst = append(make([]byte, 0, min(max(at+n, 2*cap(dst)), limit)), dst...)
	}
	out, err := snappy.Decode(dst[at:at+n], block)
	if err != nil {
		return nil, err
	}
	return dst[:at+len(out)], nil
}

// decompressZstd decodes into memory that is made first, because that is the
// bound the library keeps to the byte: its MaxMemory option also refuses every
// frame whose window is larger, and the Java client's windows are 2 MiB and more
// however small the batch.
func decompressZstd(dst, src []byte, limit int) ([]byte, error) {
	r, err := zstdReader()
	if err != nil {
		return nil, err
	}
	size := guess(len(src), limit)
	var h zstd.Header
	if h.Decode(src) == nil && h.HasFCS {
		if h.FrameContentSize > uint64(limit) {
			return nil, ErrTooLarge
		}
		size = max(size, int(h.FrameContentSize))
	}
	for {
		if cap(dst) < size {
			dst = make([]byte, 0, size)
		}
		out, err := r.DecodeAll(src, dst[:0:min(cap(dst), limit)])
		switch {
		case err == nil && len(out) <= limit:
			return out, nil
		case err == nil || outgrown(err) && cap(dst) >= limit:
			return nil, ErrTooLarge
		case !outgrown(err):
			return nil, err
		}
		size = min(4*cap(dst), limit) // the frame does not say its size
	}
}

// outgrown says that there may be more than the memory had room for. Where the end
// of it lies within a block, the library's assembly decoder has no error of its own
// but the one for a block that is too large.
func outgrown(err error) bool {
	return errors.Is(err, zstd.ErrDecoderSizeExceeded) || strings.Contains(err.Error(), "output bigger than max block size")
}
