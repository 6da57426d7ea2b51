package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestOutcomeIDHashesClusterTopicPlaceAndModel(t *testing.T) {
	t.Parallel()
	// Kafka prints this UUID as base64url; 0xfb 0xff show both letters that differ from base64
	id := [16]byte{0xfb, 0xff, 0xbf, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	sum := sha256.Sum256([]byte("cluster|-_-_AwQFBgcICQoLDA0ODw|3|123456789012|fraud"))
	if got, want := string(OutcomeID([]byte("id="), "cluster", id, 3, 123456789012, "fraud")), "id="+hex.EncodeToString(sum[:16]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDeadLetterHeadersComeAfterTheOriginalOnes(t *testing.T) {
	t.Parallel()
	rec := record("x", "a", "1", HeaderErrorTopic, "from an earlier dead letter", "a", "2")
	info := DeadLetterInfo{
		Group: "g", Attempts: 3, ModelName: "m", ModelVersion: "2", TraceParent: "00-ab-cd-01",
		Error: Error{Class: WrongShape, Stage: StageValidate, Message: "line\none\x00\x7f\u0085 \xff é"},
	}
	headers := DeadLetterHeaders(nil, rec, info)
	var got [][2]string
	for _, h := range headers {
		got = append(got, [2]string{h.Key, string(h.Value)})
	}
	want := [][2]string{
		{"a", "1"},
		{"__connect.errors.topic", "from an earlier dead letter"},
		{"a", "2"},
		{"__connect.errors.topic", "in"},
		{"__connect.errors.partition", "2"},
		{"__connect.errors.offset", "7"},
		{"__connect.errors.connector.name", "g"},
		{"__connect.errors.task.id", "0"},
		{"__connect.errors.stage", "validate"},
		{"__connect.errors.class.name", "sluice"},
		{"__connect.errors.exception.class.name", "wrong_shape"},
		{"__connect.errors.exception.message", "line one    \uFFFD é"},
		{"x-error-class", "wrong_shape"},
		{"x-attempts", "3"},
		{"x-model-name", "m"},
		{"x-model-version", "2"},
		{"traceparent", "00-ab-cd-01"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	original, back, ok := CutDeadLetter(headers)
	info.Topic, info.Partition, info.Offset = "in", 2, 7
	info.Error.Message = "line one    \uFFFD é"
	if diff := cmp.Diff(info, back); diff != "" || !ok {
		t.Error(ok, diff)
	}
	if diff := cmp.Diff(rec.Headers, original); diff != "" {
		t.Error(diff)
	}
}

func TestRecordThatIsNoDeadLetterIsLeftWhole(t *testing.T) {
	t.Parallel()
	headers := []Header{{Key: "a"}}
	if original, _, ok := CutDeadLetter(headers); ok || len(original) != 1 {
		t.Error(ok, original)
	}
}

func TestMessageIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	got := CleanMessage(strings.Repeat("ä", 400) + "x" + strings.Repeat("€", 400))
	if len(got) > 1024 || len(got) < 1022 || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestStubTellsWhereAndHowBigButNoPayload(t *testing.T) {
	t.Parallel()
	rec := record("payload", "h", "12")
	got := StubValue(nil, rec)
	sum := sha256.Sum256([]byte("payload"))
	want := `{"stub":true,"topic":"in","partition":2,"offset":7,"sha256":"` + hex.EncodeToString(sum[:]) + `","value_bytes":7,"key_bytes":2,"header_bytes":3,"headers":1}`
	if string(got) != want || !json.Valid(got) {
		t.Errorf("%s, want %s", got, want)
	}
}
