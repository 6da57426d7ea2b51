package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/schemas"
)

// previewBytes is how much of a value `dlq show` prints.
const previewBytes = 400

// shownLetter is a dead letter with what was in it.
type shownLetter struct {
	deadLetter
	Key        string              `json:"key"`
	Headers    []map[string]string `json:"headers"`
	ValueBytes int                 `json:"value_bytes"`
	Preview    string              `json:"preview"`
}

func (a *app) dlqShowCommand() *cobra.Command {
	var flags dlqFlags
	var n int
	cmd := &cobra.Command{
		Use:   "show [PARTITION/OFFSET]",
		Short: "Show the latest dead letters, or one",
		Long: `Show the latest dead letters with their cause, their original headers and the
beginning of their value, control characters escaped. tap prints whole values.`,
		Example: `  sluice dlq show -c sluice.yaml -n 3
  sluice dlq show -b localhost:9092 -t payments.dlq 0/17
  sluice dlq show -c sluice.yaml --class wrong_shape --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.dlqShow(cmd, &flags, n, args) },
	}
	flags.register(cmd)
	cmd.Flags().IntVarP(&n, "number", "n", 10, "how many of the latest")
	return cmd
}

func (a *app) dlqShow(cmd *cobra.Command, flags *dlqFlags, n int, args []string) error {
	one, err := parsePlace(args)
	if err != nil {
		return err
	}
	d, err := a.openDeadLetters(cmd, flags)
	if err != nil {
		return err
	}
	defer d.client.Close()
	var latest []shownLetter
	err = d.each(cmd.Context(), func(rec *schemas.Record, l *deadLetter) error {
		if one != nil && (rec.Partition != one.partition || rec.Offset != one.offset) {
			return nil
		}
		if latest = append(latest, showLetter(rec, l)); len(latest) >= 2*max(n, 1) && one == nil {
			latest = newest(latest, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if one != nil && len(latest) == 0 {
		return usageErrorf("no dead letter at %s; sluice dlq ls counts what is there", args[0])
	}
	if one == nil {
		latest = newest(latest, n)
	}
	if flags.json {
		if latest == nil {
			latest = []shownLetter{}
		}
		return printJSON(a.out, latest)
	}
	return printLetters(a.out, latest)
}

// newest keeps the n latest, oldest first.
func newest(list []shownLetter, n int) []shownLetter {
	slices.SortStableFunc(list, func(a, b shownLetter) int { return a.Time.Compare(b.Time) })
	return append([]shownLetter(nil), list[max(0, len(list)-n):]...)
}

type place struct {
	partition int32
	offset    int64
}

func parsePlace(args []string) (*place, error) {
	if len(args) == 0 {
		return nil, nil
	}
	partition, offset, _ := strings.Cut(args[0], "/")
	p, err := strconv.ParseInt(partition, 10, 32)
	o, err2 := strconv.ParseInt(offset, 10, 64)
	if err != nil || err2 != nil {
		return nil, usageErrorf("%q is no place; write partition/offset, such as 0/17", args[0])
	}
	return &place{int32(p), o}, nil
}

func showLetter(rec *schemas.Record, l *deadLetter) shownLetter {
	s := shownLetter{
		deadLetter: *l, Key: preview(rec.Key, previewBytes), ValueBytes: len(rec.Value), Preview: preview(rec.Value, previewBytes),
		Headers: []map[string]string{},
	}
	s.original = nil
	for _, h := range l.original {
		s.Headers = append(s.Headers, map[string]string{"name": preview([]byte(h.Key), previewBytes), "value": preview(h.Value, previewBytes)})
	}
	return s
}

// preview is the beginning of bytes from outside, safe for a terminal: control
// characters are escaped, what is no text is base64.
func preview(value []byte, limit int) string {
	if value == nil {
		return "null"
	}
	cut := value[:min(len(value), limit)]
	for i := 0; i < utf8.UTFMax && len(cut) < len(value) && len(cut) > 0 && !utf8.Valid(cut); i++ {
		cut = cut[:len(cut)-1] // a character that the limit split
	}
	more := ""
	if len(cut) < len(value) {
		more = "..."
	}
	if !utf8.Valid(cut) {
		return "base64:" + base64.StdEncoding.EncodeToString(value[:min(len(value), limit)]) + more
	}
	quoted := strconv.QuoteToGraphic(string(cut))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + more
}

func printLetters(out io.Writer, list []shownLetter) error {
	w := &strings.Builder{}
	for i, l := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s/%d@%d  written %s\n", l.Topic, l.Partition, l.Offset, l.Time.Format(time.RFC3339))
		fmt.Fprintf(w, "  cause     %s at %s, %d attempts: %s\n", l.Class, l.Stage, l.Attempts, preview([]byte(l.Message), 1024))
		fmt.Fprintf(w, "  of        %s, group %s, model %s\n", l.where(), l.Group, l.Model)
		fmt.Fprintf(w, "  key       %s\n", l.Key)
		for _, h := range l.Headers {
			fmt.Fprintf(w, "  header    %s: %s\n", h["name"], h["value"])
		}
		fmt.Fprintf(w, "  value     %d bytes: %s\n", l.ValueBytes, l.Preview)
	}
	_, err := io.WriteString(out, w.String())
	return err
}
