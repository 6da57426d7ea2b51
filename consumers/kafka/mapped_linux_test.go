package kafka

import "testing"

// Large buffers lie outside the heap and go back to the system: when others are
// kept instead of them, and at the end, also those that were out at that time.
func TestMappedMemoryGoesBack(t *testing.T) {
	t.Parallel()
	m := newTestMemory()
	m.outside, m.keep = true, 8<<20
	big := m.alloc(3 << 20)
	if len(m.mapped) == 0 {
		t.Fatal("a large buffer lies in the heap")
	}
	big[0], big[len(big)-1] = 1, 1
	m.recycle(big[5:100]) // as the rest of an answer whose head was read
	again := m.alloc(3 << 20)
	if &again[0] != &big[0] || len(again) != len(big) {
		t.Error("the buffer was not used again as it was")
	}
	m.recycle(again)
	for range 2 {
		m.recycle(m.alloc(6 << 20))
	}
	if len(m.mapped) != 1 || m.freeSize > m.keep {
		t.Errorf("%d mapped buffers, %d bytes free", len(m.mapped), m.freeSize)
	}
	out := m.alloc(2 << 20)
	m.close()
	if len(m.mapped) != 1 || len(m.free) != 0 {
		t.Errorf("%d mapped, %d free after the end, want the one that is out", len(m.mapped), len(m.free))
	}
	m.recycle(out)
	m.recycle(make([]byte, 100))
	if len(m.mapped) != 0 || len(m.free) != 0 || m.freeSize != 0 {
		t.Errorf("%d mapped, %d free, %d bytes", len(m.mapped), len(m.free), m.freeSize)
	}
}

// Large answers fit each other's memory, whichever was smaller; small ones do not
// hold it.
func TestLargeAnswersHaveOneSize(t *testing.T) {
	t.Parallel()
	m := newTestMemory()
	m.outside, m.keep = true, 16<<20
	first := m.answer(1 << 20)
	m.recycle(first)
	whole := m.answer(hotBytes + 100<<10)
	if &whole[0] != &first[0] {
		t.Error("a whole answer does not fit the memory of a quarter")
	}
	m.recycle(whole)
	if small := m.answer(1000); &small[0] == &first[0] {
		t.Error("a small answer holds large memory")
	}
	m.keep = 1 << 20
	if n := cap(m.answer(1 << 20)); n > 2<<20 {
		t.Errorf("an answer of 1 MiB takes %d bytes of a small budget", n)
	}
}
