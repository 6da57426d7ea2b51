package kafkatest

import (
	"bufio"
	_ "embed" // the Java program
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-ml/sluice/schemas"
)

//go:embed java/Records.java
var javaRecords []byte

// JavaRead gives a topic, up to its present end, as Kafka's own Java client reads
// it: by partition and offset.
func JavaRead(tb testing.TB, brokers []string, topic string, committed bool) []schemas.Record {
	tb.Helper()
	isolation := "read_uncommitted"
	if committed {
		isolation = "read_committed"
	}
	lines := java(tb, "read", strings.Join(brokers, ","), topic, isolation)
	records := make([]schemas.Record, 0, len(lines))
	for _, text := range lines {
		var line struct {
			Partition int32
			Offset    int64
			Timestamp int64
			Key       []byte
			Value     []byte
			Headers   []struct{ Key, Value []byte }
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			tb.Fatalf("the Java client said %q: %v", text, err)
		}
		record := schemas.Record{
			Topic: topic, Partition: line.Partition, Offset: line.Offset,
			Timestamp: line.Timestamp, Key: line.Key, Value: line.Value,
		}
		for _, h := range line.Headers {
			record.Headers = append(record.Headers, schemas.Header{Key: string(h.Key), Value: h.Value})
		}
		records = append(records, record)
	}
	SortRecords(records)
	return records
}

// JavaWrite has the Java client write count records with each codec, of every
// kind (null and empty keys and values, headers, timestamps out of order), then
// transactions of which some abort.
func JavaWrite(tb testing.TB, brokers []string, topic string, count int) {
	tb.Helper()
	java(tb, "write", strings.Join(brokers, ","), topic, strconv.Itoa(count))
}

// java has one command done and gives the lines it printed.
func java(tb testing.TB, words ...string) []string {
	tb.Helper()
	lines, err := theJVM.do(value(tb, EnvJars), strings.Join(words, " "))
	if err != nil {
		tb.Fatalf("Java client, %s: %v", strings.Join(words, " "), err)
	}
	return lines
}

// theJVM runs the Java client for all tests of one process: a start costs seconds
// of processor time, a command then next to none.
var theJVM jvm

type jvm struct {
	mu     sync.Mutex // one command at a time
	input  io.Writer
	output *bufio.Reader
	failed error
}

func (j *jvm) do(jars, command string) ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.input == nil && j.failed == nil {
		j.failed = j.start(jars)
	}
	if j.failed != nil {
		return nil, j.failed
	}
	if _, err := fmt.Fprintln(j.input, command); err != nil {
		return nil, err
	}
	var lines []string
	for {
		line, err := j.output.ReadString('\n')
		line = strings.TrimSuffix(line, "\n")
		switch {
		case err != nil:
			j.failed = fmt.Errorf("the JVM has ended: %w", err)
			return nil, j.failed
		case line == "done":
			return lines, nil
		case strings.HasPrefix(line, "failed "):
			return nil, errors.New(line)
		}
		lines = append(lines, line)
	}
}

// start runs the program from source. It ends by itself when this process does:
// its input ends then.
func (j *jvm) start(jars string) error {
	dir, err := os.MkdirTemp("", "sluice-java-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder in the temporary one
	source := filepath.Join(dir, "Records.java")
	if err := os.WriteFile(source, javaRecords, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("java", "-XX:+UseSerialGC", "-Xmx256m", "-cp", jars+"/*", source)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start java: %w", err)
	}
	j.input, j.output = input, bufio.NewReader(output)
	// The source has been read once the first command is answered.
	_, err = fmt.Fprintln(input, "hello")
	if err == nil {
		_, err = j.output.ReadString('\n')
	}
	return err
}
