package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// scripted is a connection with a prepared answer.
type scripted struct {
	io.Reader
	written bytes.Buffer
}

func (s *scripted) Write(b []byte) (int, error) { return s.written.Write(b) }

func frame(size, correlation uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	return append(binary.BigEndian.AppendUint32(b, correlation), body...)
}

func TestAnAnswerThatIsNotTheProtocolEndsTheConnection(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer []byte
		want   error
	}{
		"too large":         {frame(1<<31-1, 5, "x"), ErrResponseTooLarge},
		"above the limit":   {frame(4+1001, 5, "x"), ErrResponseTooLarge},
		"negative":          {frame(1<<32-1, 5, ""), ErrMalformed},
		"below the header":  {frame(3, 5, ""), ErrMalformed},
		"other correlation": {frame(5, 6, "x"), ErrMalformed},
		"cut":               {frame(10, 5, "x"), io.ErrUnexpectedEOF},
		"cut in the size":   {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"closed":            {nil, io.EOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			allocated := 0
			e := &exchange{
				correlation: 5, maxAnswer: 1000, request: &wireWriter{buf: []byte("request")},
				alloc: func(n int) []byte { allocated += n; return make([]byte, n) },
			}
			if _, err := e.RawExchange(&scripted{Reader: bytes.NewReader(tt.answer)}); !errors.Is(err, tt.want) {
				t.Fatalf("error %v", err)
			}
			if allocated > 1000 {
				t.Fatalf("%d bytes allocated", allocated)
			}
		})
	}
}

func TestAnAnswerIsReadIntoTheCallersMemory(t *testing.T) {
	t.Parallel()
	room := make([]byte, 100)
	e := &exchange{correlation: 5, maxAnswer: 1000, request: &wireWriter{}, alloc: func(int) []byte { return room }}
	if _, err := e.RawExchange(&scripted{Reader: bytes.NewReader(frame(7, 5, "abc"))}); err != nil {
		t.Fatal(err)
	}
	if string(e.answer) != "abc" || &e.answer[0] != &room[0] {
		t.Fatalf("%q", e.answer)
	}
}

func TestAnAbortedExchangeStopsAndIsWaitedFor(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	e := &exchange{correlation: 1, maxAnswer: 1000, request: &wireWriter{buf: []byte("request")}}
	result := make(chan error, 1)
	go func() { // ends with the exchange
		_, err := e.RawExchange(ours)
		result <- err
	}()
	if _, err := io.ReadFull(theirs, make([]byte, len("request"))); err != nil {
		t.Fatal(err)
	}
	e.abort()
	e.wait()
	select {
	case err := <-result:
		if err == nil {
			t.Fatal("an aborted exchange succeeded")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the exchange goes on")
	}
	late := &exchange{request: &wireWriter{}}
	late.abort()
	late.wait()
	if _, err := late.RawExchange(ours); !errors.Is(err, errAborted) {
		t.Fatalf("an exchange begins after its abort: %v", err)
	}
}

func TestPiecesAreWrittenInOrderAndLargeOnesWithoutACopy(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("L"), copyBelow)
	w := &wireWriter{flex: true}
	w.string("before")
	w.raw([][]byte{[]byte("small"), large, {}, []byte("tail")})
	w.tags()
	var out countingWriter
	if err := w.writeTo(&out); err != nil {
		t.Fatal(err)
	}
	want := append([]byte("\x07before"), binary.AppendUvarint(nil, uint64(5+len(large)+4+1))...)
	want = append(append(append(want, "small"...), large...), "tail\x00"...)
	if !bytes.Equal(out.all.Bytes(), want) || w.size() != len(want) {
		t.Fatalf("%d bytes, want %d", out.all.Len(), len(want))
	}
	if out.writes != 3 || out.borrowed != &large[0] {
		t.Fatalf("%d writes", out.writes)
	}
}

type countingWriter struct {
	all      bytes.Buffer
	writes   int
	borrowed *byte // the memory of the largest write
}

func (c *countingWriter) Write(b []byte) (int, error) {
	c.writes++
	if len(b) >= copyBelow {
		c.borrowed = &b[0]
	}
	return c.all.Write(b)
}
